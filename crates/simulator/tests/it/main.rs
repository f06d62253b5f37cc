//! The simulator over HTTP, as a client meets it.
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
