//! The queue against its suite, and Redis against what breaks it.
//!
//! `TEST_REDIS_URL` names a server for the tests that only need a namespace of
//! their own; tests that kill or flush start a private one. Without the
//! variable, or without the program `redis-server`, they say that they skip.
// Tests take their servers from the environment, and wait by the real clock.
#![allow(clippy::disallowed_methods)]
#![allow(clippy::unwrap_used)]

mod dead;
mod garbage;
mod memory;
mod outage;
mod refusing;
mod suite;
mod support;
mod sweep;
mod window;
