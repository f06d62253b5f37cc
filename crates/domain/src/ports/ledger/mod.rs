//! The port to the lasting record: one trait for each subject, so that each user
//! takes only what it needs. [`Ledger`] is all of them together.
//!
//! All times are durations by the store's own clock. Every write that ends or
//! changes leased work is fenced: its first statement locks the job row and
//! checks the token (a token checked in a subquery does not fence, design §5.6).

mod batches;
mod controls;
mod dead;
mod items;
mod jobs;
mod leases;
mod moves;
mod planning;
mod presence;
mod processes;
mod reports;
mod runs;
mod users;

pub use batches::{BatchCount, BatchFilter, BatchJob, BatchView, Batches};
pub use controls::{ActiveRun, Controls, Ended, Migration, Orders, Restored};
pub use dead::{
    DeadCount, DeadFilter, DeadKind, DeadLetter, DeadLetters, DeadState, DeadTry, DeadView, Redriven,
};
pub use items::{AppRows, ItemFilter, ItemPages, ItemView, Items, RefusedRow, UserInRun, UserJob, WriteBack};
pub use jobs::{JobCount, Jobs, QueueCount, QueueState};
pub use leases::{Leases, Loss, Rescued, Unclaimed};
pub use moves::{Cancellable, Command, Moved, Moves, Retried, Retryable};
pub use planning::{
    ABANDONED, Addressed, MovedAs, MovedOtherwise, MovedUser, NewRun, Planned, Planning, SettledGroup,
};
pub use presence::Presence;
pub use processes::{Duty, Processes, WaitReason, Whose, WorkerRecord, WorkerView};
pub use reports::{
    AuditLine, BatchVerification, Course, CourseStep, Discrepancy, Example, FailureGroup, Reports, SealedRun,
    StoredReport,
};
pub use runs::{RunNow, Runs, WatchedRun};
pub use users::{BatchIds, LOOKED_AT, Lines, ListedUser, Property, UserFilter, Users};

use crate::{
    ids::RunId,
    run::{RunMove, RunState},
};

/// Why the ledger did not do what was asked, as far as a caller decides on it.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The job is no longer this holder's: drop what it was about.
    #[error("the lease is lost")]
    LeaseLost,
    /// Another run of the same source has not ended.
    #[error("run {run} of this source is {state}; {}", way_on(*.run, *.state))]
    AnotherRunActive {
        /// Id of the other run.
        run: RunId,
        /// Its state.
        state: RunState,
    },
    /// No such run, or it is in a state without such a move.
    #[error("{0}")]
    Refused(String),
    /// Rows stayed locked by others (PostgreSQL 55P03, 40P01; SQLite busy). Try again; no attempt is spent.
    #[error("rows are locked by others")]
    Busy,
    /// The application holds its whole table, or its file, locked. Try again; no attempt is spent.
    #[error("the application holds {0} locked: find its long transaction, or try again at its end")]
    AppBusy(String),
    /// The ledger was in this file, and is not any more.
    #[error(
        "the ledger is not in this file any more: ferry migrate moved it into a file of its own, try again; or \
         somebody removed its tables, see ferry check"
    )]
    Gone,
    /// The application's table lacks what write-back needs.
    #[error("the application's table can't be written back to: {0}")]
    WriteBackTarget(String),
    /// A row makes no sense.
    #[error("row {row} of {table} makes no sense: {why}")]
    Corrupt {
        /// The ledger's table.
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

/// What to do about another run that has not ended.
fn way_on(run: RunId, state: RunState) -> String {
    match state {
        RunState::Planning | RunState::Planned => {
            "another ferry run start is at work on it, or ended a moment ago: answer there, or try again in 20 s, \
             when what it left is removed"
                .to_owned()
        }
        RunState::Paused | RunState::Stopped => {
            format!("ferry run resume {run} lets it go on, ferry run cancel {run} gives it up")
        }
        RunState::Running => {
            format!("wait for its end: ferry run watch {run}; or give it up: ferry run cancel {run}")
        }
        RunState::Sealing | RunState::Cancelling | RunState::Sealed | RunState::Cancelled => {
            format!("wait for its end: ferry run watch {run}")
        }
    }
}

impl LedgerError {
    /// What kind of error it is, in one word of a closed list, for traces.
    pub const fn word(&self) -> &'static str {
        match self {
            LedgerError::LeaseLost => "lease_lost",
            LedgerError::Busy | LedgerError::AppBusy(_) => "busy",
            LedgerError::Unavailable { .. } | LedgerError::Gone => "unavailable",
            LedgerError::WriteBackTarget(_) => "application_table",
            LedgerError::AnotherRunActive { .. } | LedgerError::Refused(_) => "refused",
            LedgerError::Corrupt { .. } => "corrupt",
        }
    }

    /// The one refusal of a move that a run does not have in its state, with what to do instead.
    pub fn no_such_move(run: RunId, state: RunState, step: RunMove) -> Self {
        LedgerError::Refused(format!("run {run} is {state}: {}", state.refusal(run, step)))
    }

    /// The one refusal of other limits for a run that has ended.
    pub fn ended(run: RunId, state: RunState) -> Self {
        LedgerError::Refused(format!(
            "run {run} is {state}: it sends nothing any more. Set AUTH0_PLAN, or auth0.limits in ferry.toml, for \
             the next one"
        ))
    }

    /// The one answer about a run that is not in the ledger.
    pub fn no_such_run(run: RunId) -> Self {
        LedgerError::Refused(format!("there is no run {run} here; see ferry run list"))
    }

    /// Whether the same may well succeed later without anybody's doing.
    pub fn passes(&self) -> bool {
        matches!(
            self,
            LedgerError::Busy
                | LedgerError::AppBusy(_)
                | LedgerError::Gone
                | LedgerError::Unavailable { passes: true, .. }
        )
    }
}

type Result<T> = std::result::Result<T, LedgerError>;

/// The lasting record.
pub trait Ledger:
    Planning
    + Runs
    + Items
    + Users
    + Batches
    + Jobs
    + Leases
    + Processes
    + Moves
    + DeadLetters
    + Reports
    + Controls
{
}

impl<T> Ledger for T where
    T: Planning
        + Runs
        + Items
        + Users
        + Batches
        + Jobs
        + Leases
        + Processes
        + Moves
        + DeadLetters
        + Reports
        + Controls
{
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Asked;

    #[test]
    fn a_run_that_is_in_the_way_names_only_moves_that_it_has() {
        let run = RunId(uuid::Uuid::max());
        for state in RunState::ALL {
            let told = LedgerError::AnotherRunActive { run, state }.to_string();
            for step in [RunMove::Pause, RunMove::Resume, RunMove::Cancel, RunMove::Retry] {
                let named = told.contains(&format!("ferry run {} {run}", step.as_str()));
                let useful = matches!(state.asked(step), Asked::Moves(_));
                assert!(!named || useful, "{state}: {told}");
            }
        }
        let paused = LedgerError::AnotherRunActive { run, state: RunState::Paused }.to_string();
        assert!(paused.contains("ferry run resume") && paused.contains("ferry run cancel"), "{paused}");
    }
}
