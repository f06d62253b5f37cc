//! The queue against its suite, and Redis against what breaks it.
#![allow(clippy::unwrap_used)]

mod memory;
