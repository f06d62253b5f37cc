//! The tests of the whole: one binary with modules, so that it links once.
#![allow(clippy::unwrap_used)]
// Tests take their servers and tools from the environment, and wait by the real clock.
#![allow(clippy::disallowed_methods)]

mod apart;
mod app_table;
mod bad_input;
mod beside;
mod changed;
mod checks;
mod collector;
mod consent;
mod databases;
mod demo;
mod described;
mod evening;
mod exits;
mod identity;
mod known;
mod layers;
mod locked_rows;
mod lost_ids;
mod memory;
mod metrics;
mod one_user;
mod operators;
mod page;
mod places;
mod plans;
mod predictions;
mod printed;
mod production;
mod reasons;
mod redis_servers;
mod rehearsed;
mod restoring;
mod resumed;
mod runbooks;
mod samples;
mod schema_tools;
mod schemas;
mod secret_files;
mod secrets;
mod shapes;
mod story;
mod traces;
mod world;
