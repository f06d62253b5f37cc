//! The example application, in memory and in both databases.
#![allow(clippy::unwrap_used)]

mod constraints;
mod generated;
mod refusal;
mod world;
mod written;
