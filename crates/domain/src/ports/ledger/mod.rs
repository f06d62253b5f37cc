//! The port to the lasting record, in four parts after who asks: the planner,
//! the relay and its fellow loops, the workers, and people.
//!
//! All times are durations by the store's own clock. Every write that ends or
//! changes leased work is fenced: its first statement locks the job row and
//! checks the token (a token checked in a subquery does not fence, design §5.6).

mod operating;
mod planning;
mod relaying;
mod working;

pub use operating::{FailureGroup, ItemFilter, ItemView, Operating, Retried, StoredReport};
pub use planning::{NewRun, Planned, Planning};
pub use relaying::{DeadLetter, Loss, Relaying, Rescued, Unclaimed, WorkerRecord, WorkerView};
pub use working::{BatchVerification, Discrepancy, SealedRun, Working, WriteBack};

use crate::{ids::RunId, run::RunState};

/// Why the ledger did not do what was asked, as far as a caller decides on it.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The job is no longer this holder's: drop what it was about.
    #[error("the lease is lost")]
    LeaseLost,
    /// Another run of the same source has not ended.
    #[error("run {run} of this source is {state}; wait for its end, retry it, or cancel it")]
    AnotherRunActive {
        /// That run.
        run: RunId,
        /// Where it stands.
        state: RunState,
    },
    /// No such run, or it is in a state without such a move.
    #[error("{0}")]
    Refused(String),
    /// Rows stayed locked by others (PostgreSQL 55P03, 40P01; SQLite busy). Try again; no attempt is spent.
    #[error("rows are locked by others")]
    Busy,
    /// The application's table lacks what write-back needs.
    #[error("the application's table can't be written back to: {0}")]
    WriteBackTarget(String),
    /// A row makes no sense.
    #[error("row {row} of {table} makes no sense: {why}")]
    Corrupt {
        /// Table.
        table: &'static str,
        /// Its key.
        row: String,
        /// What is wrong with it.
        why: String,
    },
    /// The store can't be reached or failed. The text carries no credentials and no user's data.
    #[error("the ledger {doing}: {reason}")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// What the store said.
        reason: String,
        /// Whether it may pass by itself: a server that restarts, is full or out of reach.
        passes: bool,
    },
}

impl LedgerError {
    /// Whether the same may well succeed later without anybody's doing.
    pub fn passes(&self) -> bool {
        matches!(self, LedgerError::Busy | LedgerError::Unavailable { passes: true, .. })
    }
}

type Result<T> = std::result::Result<T, LedgerError>;

/// The lasting record.
pub trait Ledger: Planning + Relaying + Working + Operating {}

impl<T: Planning + Relaying + Working + Operating> Ledger for T {}
