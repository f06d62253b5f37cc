//! An operator's evening through the binary: what is said while nothing moves, and what ends it.

mod cancelling;
mod choosing;
mod left_behind;
mod limits;
mod pipes;
mod planning;
mod probes;
mod telling;
mod waiting;
