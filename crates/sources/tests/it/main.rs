//! The readers from outside: fixtures of our own, databases, and sample files.
#![allow(clippy::unwrap_used, missing_docs)]

mod csv;
mod file;
mod json;
mod ndjson;
mod postgres;
mod samples;
mod sqlite;
mod support;
