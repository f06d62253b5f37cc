//! Moves of a run that people and thresholds ask for: counted first, then made.

use async_trait::async_trait;

use super::{Result, UserFilter};
use crate::{
    ids::{BatchId, RunId},
    run::{RunMove, RunState},
};

/// Who gives an order, and why: kept in the audit.
#[derive(Clone, Copy, Debug)]
pub struct Command<'a> {
    /// Operator, as `user@host`, or `ferry` for a threshold.
    pub by: &'a str,
    /// In their words.
    pub reason: Option<&'a str>,
}

/// The result of a move that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The run's state before.
    pub before: RunState,
    /// The run's state now.
    pub after: RunState,
    /// Users cancelled immediately, since no worker ever held them.
    pub cancelled: i64,
    /// Users that Auth0 must be asked about before they are called cancelled.
    pub to_ask: i64,
}

impl Moved {
    /// Whether anything changed; asking twice changes nothing.
    pub fn changed(&self) -> bool {
        self.before != self.after
    }
}

/// What a cancel would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cancellable {
    /// Users it would cancel immediately.
    pub at_once: i64,
    /// About how many users Auth0 must be asked about first.
    pub to_ask: i64,
}

/// What a retry would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retryable {
    /// Items it would take up.
    pub take: i64,
    /// Failed or conflicting items it would leave alone: a rule refused their record, or
    /// the filter does not mean them.
    pub left: i64,
}

/// The result of a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retried {
    /// Items pending again.
    pub items: i64,
    /// New batches.
    pub batches: i64,
    /// Failed or conflicting items left alone.
    pub left: i64,
    /// Round of the new batches.
    pub round: i32,
}

/// What people ask of a run. Each call is safe to repeat and leaves a line in the audit
/// when it changed something.
#[async_trait]
pub trait Moves: Send + Sync {
    /// Moves a run: `Pause`, `Resume`, `Cancel` by a person, `Stop` by a threshold (`reason` is
    /// then the code). `Cancel` of a run that is still planned ends all its items; of a running
    /// one those of batches that were never leased. Batches that were go to a worker, who asks
    /// Auth0. If no user needs a look-up, the periodic sweep seals the run.
    ///
    /// # Errors
    /// `Refused` where the run has no such move ([`super::LedgerError::no_such_move`]).
    async fn move_run(&self, run: RunId, step: RunMove, command: &Command<'_>) -> Result<Moved>;

    /// What `Cancel` would do.
    async fn count_cancellable(&self, run: RunId) -> Result<Cancellable>;

    /// Puts failed and conflicting items that a filter means back
    /// to `pending`, in new batches of the next round with ids from `batch_ids`
    /// as needed ([`crate::run::batches_for`]); the run is `running` again.
    async fn retry(
        &self,
        run: RunId,
        filter: &UserFilter,
        batch_ids: &[BatchId],
        command: &Command<'_>,
    ) -> Result<Retried>;

    /// What `retry` would do.
    async fn count_retryable(&self, run: RunId, filter: &UserFilter) -> Result<Retryable>;
}
