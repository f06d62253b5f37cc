//! The client against a stand-in that answers as badly as asked for, and against the simulator.
#![allow(clippy::unwrap_used)]

mod broken;
mod quiet;
mod simulated;
mod stand_in;
mod throttled;
mod tokens;
mod world;
