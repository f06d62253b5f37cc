//! The readers from outside: fixtures of our own, databases, and sample files.
// Tests take their servers from the environment, and wait by the real clock.
#![allow(clippy::disallowed_methods)]
#![allow(clippy::unwrap_used, missing_docs)]

mod broken_json;
mod csv;
mod file;
mod json;
mod ndjson;
mod postgres;
mod refusals;
mod samples;
mod sqlite;
mod support;
