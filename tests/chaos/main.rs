//! The fault scenarios: real processes of the real binary, a real PostgreSQL and a real
//! Redis, hurt on purpose; the invariants are checked after each.
//!
//! A selection runs with all other tests. `tests/chaos/run --all` runs every scenario,
//! as often as asked, and prints what it measured. Recovery is measured, never asserted:
//! a slow machine is no fault of Ferry.
#![allow(clippy::unwrap_used)]
// Tests take their servers and tools from the environment, and wait by the real clock.
#![allow(clippy::disallowed_methods)]

mod alerts;
mod auth0;
mod crash_points;
mod crashes;
mod deploy;
mod durations;
mod embedded;
mod figures;
mod invariants;
mod monitoring;
mod operators;
mod payloads;
mod postgres;
mod processes;
mod redis;
mod results;
mod scene;
mod setup;
mod watch;
