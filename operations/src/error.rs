//! Why an operation did not do what was asked. Each operation has its refusals beside
//! it; here they come together, and each says what kind of no it is, so that the command
//! line can make an exit code of it and a console a status.

use ferry_domain::{
    RunId, migration,
    ports::{DirectoryError, LedgerError, QueueError, SourceError},
};

use crate::{batch, dead, filter, named, plan, planner, rate, report, restore, user};

/// There is no run with this id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", LedgerError::no_such_run(*.0))]
pub struct NoSuchRun(pub RunId);

/// Why an operation did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// See [`NoSuchRun`].
    #[error(transparent)]
    NoSuchRun(#[from] NoSuchRun),
    /// No run, or more than one, is named so.
    #[error(transparent)]
    Named(#[from] named::Refusal),
    /// A filter can't be read.
    #[error(transparent)]
    Filter(#[from] filter::Wrong),
    /// A plan does not hold.
    #[error(transparent)]
    Plan(#[from] plan::Refusal),
    /// The migration's name does not fit what was moved before.
    #[error(transparent)]
    Migration(#[from] Box<migration::Clash>),
    /// See [`planner::ChangedWhileRead`].
    #[error(transparent)]
    ChangedWhileRead(#[from] planner::ChangedWhileRead),
    /// Other limits can't be set.
    #[error(transparent)]
    Rate(#[from] rate::Refusal),
    /// There is no such dead letter, or it is settled.
    #[error(transparent)]
    Dead(#[from] dead::Refusal),
    /// Ids can't be restored.
    #[error(transparent)]
    Restore(#[from] restore::Refusal),
    /// No run has such a user.
    #[error(transparent)]
    User(#[from] user::Unknown),
    /// No batch, or more than one, is named so.
    #[error(transparent)]
    Batch(#[from] batch::Refusal),
    /// There is no such report.
    #[error(transparent)]
    Report(#[from] report::Refusal),
    /// A person ended it before it began.
    #[error("interrupted: nothing was started")]
    Interrupted,
    /// The ledger refuses or fails.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The queue fails.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Auth0 fails.
    #[error("Auth0 refused or did not answer ({0}): {remedy}", remedy = .0.code().remedy())]
    Directory(#[from] DirectoryError),
    /// The source can't be read.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// What kind of no it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What was asked names nothing, or can't be read: ask otherwise.
    Wrong,
    /// It can't be done now: something else has to be done before, and is named.
    Refused,
    /// A server or we ourselves failed.
    Failed,
    /// A person ended it.
    Interrupted,
}

impl Error {
    /// What kind of no it is.
    pub fn kind(&self) -> Kind {
        match self {
            Error::NoSuchRun(_) | Error::Named(_) | Error::Filter(_) | Error::Source(_) => Kind::Wrong,
            Error::Plan(refusal) => refusal.kind(),
            Error::Migration(_) | Error::ChangedWhileRead(_) => Kind::Refused,
            Error::Rate(refusal) => refusal.kind(),
            Error::Dead(_) | Error::User(_) | Error::Batch(_) => Kind::Wrong,
            Error::Restore(restore::Refusal::NotEnded(..)) => Kind::Refused,
            Error::Restore(_) => Kind::Wrong,
            Error::Report(refusal) => refusal.kind(),
            Error::Ledger(error) => of_ledger(error),
            Error::Queue(_) | Error::Directory(_) => Kind::Failed,
            Error::Interrupted => Kind::Interrupted,
        }
    }
}

/// What kind of no a ledger gives.
pub fn of_ledger(error: &LedgerError) -> Kind {
    match error {
        LedgerError::AnotherRunActive { .. } | LedgerError::Refused(_) => Kind::Refused,
        LedgerError::WriteBackTarget(_) => Kind::Wrong,
        LedgerError::LeaseLost
        | LedgerError::Busy
        | LedgerError::AppBusy(_)
        | LedgerError::Gone
        | LedgerError::Corrupt { .. }
        | LedgerError::Unavailable { .. } => Kind::Failed,
    }
}
