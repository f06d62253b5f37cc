//! The readers from outside: fixtures of our own, databases, and sample files.
#![allow(clippy::unwrap_used, missing_docs)]

mod postgres;
mod sqlite;
mod support;
