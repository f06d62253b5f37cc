//! What tests of several packages share: the suites that each adapter of a port has to
//! pass, a directory in memory, held time and chance.
//!
//! A package of its own, and not a part of `ferry-domain` behind a feature: an edit of a
//! case then builds only the tests that run it, and the packages under test are the ones
//! that `cargo run` builds. Only tests may import it (`tests/it/layers.rs` looks).

mod directory;
mod fixtures;
pub mod ledger;
pub mod queue;

pub use directory::FakeDirectory;
pub use fixtures::{ManualClock, SeededRandom, directory_user, run_now, run_view};
