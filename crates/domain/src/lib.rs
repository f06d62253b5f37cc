//! Words, rules and ports of Ferry.
//!
//! Everything that decides is here as a pure function; everything that talks to
//! a database, a queue or Auth0 is behind a port and lives elsewhere. The crate
//! does no input or output, reads no clock and makes no chance: both are passed
//! in, so that each rule can be tested without waiting for anything.

pub mod adoption;
pub mod app_schema;
pub mod application;
pub mod breaker;
pub mod clock;
pub mod code;
pub mod crash;
pub mod ending;
pub mod estimate;
pub mod figures;
pub mod hex;
pub mod ids;
pub mod item;
pub mod job;
pub mod limits;
pub mod liveness;
pub mod migration;
pub mod null;
pub mod pace;
pub mod password;
pub mod plan;
pub mod poison;
pub mod ports;
pub mod record;
pub mod redrive;
pub mod retry;
pub mod run;
pub mod shell;
pub mod tally;
pub mod telemetry;
pub mod threshold;
pub mod verification;
pub mod withdrawal;

// Time and chance that tests hold. The file is ferry-contract's, where tests of other
// packages find it, and calls this crate by its name.
#[cfg(test)]
extern crate self as ferry_domain;
#[cfg(test)]
#[path = "../../contract/src/fixtures.rs"]
pub mod testing;

pub use code::Code;
pub use figures::Figures;
pub use ids::{Auth0UserId, BatchId, ItemSeq, JobId, RunId, SourceKey, WorkerId};
pub use item::{Item, ItemResult, ItemState, NewItem, Origin, Outcome};
pub use job::{Attempt, Envelope, Job, JobKind, JobState, Lane, Lease, QUEUES, Verdict};
pub use record::{Email, UserRecord};
pub use run::{BatchState, OnExisting, RunSpec, RunState, RunView, SourceIdentity, WriteBackTarget};
pub use tally::Tally;
