//! Several limiters over one real Redis against the simulator, which counts.
//!
//! Nothing here is about how long something takes: the simulator says how many requests
//! came and how many it refused, and its limit says how many could have come.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod outage;
mod support;
mod together;
