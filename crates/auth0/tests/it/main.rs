//! The client against a stand-in that answers as badly as asked for, and against the simulator.
// Tests take their servers from the environment, and wait by the real clock.
#![allow(clippy::disallowed_methods)]
#![allow(clippy::unwrap_used)]

mod broken;
mod quiet;
mod simulated;
mod stand_in;
mod throttled;
mod tokens;
mod world;
