//! The simulator over HTTP, as a client meets it.
// Tests take their servers from the environment, and wait by the real clock.
#![allow(clippy::disallowed_methods)]
#![allow(clippy::unwrap_used)]

mod connections;
mod control;
mod create;
mod faults;
mod limits;
mod read;
mod refusals;
mod support;
mod tokens;
mod update;
