//! The example application, in memory and in both databases.
// Tests take their servers from the environment, and wait by the real clock.
#![allow(clippy::disallowed_methods)]
#![allow(clippy::unwrap_used)]

mod constraints;
mod generated;
mod refusal;
mod world;
mod written;
