//! What the rules need from outside, each as a trait an adapter fulfils.

mod controls;
mod dead;
mod directory;
mod ledger;
mod limiter;
mod presence;
mod queue;
mod source;

pub use controls::{BY_PEOPLE, Command, Controls, Moved};
pub use dead::{DeadFilter, DeadKind, DeadState, DeadView, Redriven};
pub use directory::{Connection, Directory, DirectoryError, DirectoryUser, NewUser};
pub use ledger::{
    BatchVerification, DeadLetter, Discrepancy, FailureGroup, ItemFilter, ItemView, Ledger, LedgerError,
    Loss, NewRun, Operating, Planned, Planning, Relaying, Rescued, Retried, SealedRun, StoredReport,
    Unclaimed, WorkerRecord, WorkerView, Working, WriteBack,
};
pub use limiter::{Group, GroupFigures, Limiter, LimiterFigures, Observed, Waiting};
pub use presence::Presence;
pub use queue::{Consumer, Delivery, Handler, Queue, QueueError, Stop, Swept};
pub use source::{Candidate, Settled, Source, SourceError};

use time::OffsetDateTime;

/// The time of day, in UTC. Passed in, so that tests hold it.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> OffsetDateTime;
}

/// Chance. Passed in, so that tests repeat it. Must be fit for secrets.
pub trait Random: Send + Sync {
    /// Fills the slice with random bytes.
    fn fill(&self, bytes: &mut [u8]);

    /// A number drawn evenly from 0 up to, not including, `end`; 0 when `end` is 0.
    fn below(&self, end: u64) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        if end == 0 { 0 } else { u64::from_le_bytes(bytes) % end }
    }
}
