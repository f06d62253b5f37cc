//! What people ask of the ledger.

use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;

use super::{Discrepancy, Result, WorkerView};
use crate::{
    code::Code,
    ids::{Auth0UserId, BatchId, ItemSeq, RunId, SourceKey},
    item::{ItemState, Origin},
    job::JobKind,
    ports::{Command, DeadFilter, DeadView, Moved, Redriven},
    run::RunView,
};

/// Items with the same end, for reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureGroup {
    /// Failed, conflict or skipped.
    pub state: ItemState,
    /// Why.
    pub code: Code,
    /// How many.
    pub count: i64,
    /// Up to three of them, by key and place.
    pub examples: Vec<(SourceKey, Origin)>,
}

/// An item as a person sees it; no personal data but the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemView {
    /// Position in the source.
    pub seq: ItemSeq,
    /// Key.
    pub key: SourceKey,
    /// Place.
    pub origin: Origin,
    /// Where it stands.
    pub state: ItemState,
    /// Why.
    pub code: Option<Code>,
    /// Which field.
    pub field: Option<String>,
    /// The user at Auth0.
    pub auth0_user_id: Option<Auth0UserId>,
}

/// Which items to list.
#[derive(Clone, Debug, Default)]
pub struct ItemFilter {
    /// Only these states; all when empty.
    pub states: Vec<ItemState>,
    /// Only these codes; all when empty.
    pub codes: Vec<Code>,
}

/// What a retry came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retried {
    /// Items pending again.
    pub items: i64,
    /// New batches.
    pub batches: i64,
    /// Failed or conflicting items left alone: a rule refused their record, or the code was not asked for.
    pub left: i64,
    /// Round of the new batches.
    pub round: i32,
}

/// A report as kept.
#[derive(Clone, Debug)]
pub struct StoredReport {
    /// 1 for the first.
    pub revision: i32,
    /// When it was sealed.
    pub sealed_at: OffsetDateTime,
    /// The report.
    pub report: serde_json::Value,
}

/// What people ask.
#[async_trait]
pub trait Operating: Send + Sync {
    /// One run.
    async fn run(&self, run: RunId) -> Result<Option<RunView>>;

    /// Runs, newest first.
    async fn runs(&self, most: i64) -> Result<Vec<RunView>>;

    /// Settled items of a run (failed, conflict, skipped) grouped by state and code, largest first.
    async fn failures(&self, run: RunId) -> Result<Vec<FailureGroup>>;

    /// Up to `most` items after a position, in source order.
    async fn items(
        &self,
        run: RunId,
        filter: &ItemFilter,
        after: ItemSeq,
        most: i64,
    ) -> Result<Vec<ItemView>>;

    /// Up to `most` discrepancies after a position, in source order.
    async fn discrepancies(&self, run: RunId, after: ItemSeq, most: i64) -> Result<Vec<Discrepancy>>;

    /// How many items `retry` would take up, and how many it would leave, without doing it.
    async fn count_retryable(&self, run: RunId, codes: &[Code]) -> Result<(i64, i64)>;

    /// Puts failed and conflicting items (of these codes; all when empty) back
    /// to `pending`, in new batches of the next round with ids from `batch_ids`
    /// as needed (`(count + batch_size - 1) / batch_size` of them); the run is `running` again.
    async fn retry(
        &self,
        run: RunId,
        codes: &[Code],
        batch_ids: &[BatchId],
        by: &str,
        reason: Option<&str>,
    ) -> Result<Retried>;

    /// Moves a run: `Pause`, `Resume`, `Cancel` by a person, `Stop` by a threshold (`reason` is
    /// then the code). Repeating it changes nothing. With a line in the audit. `Cancel` of a
    /// running run settles at once the items of batches that were never leased; batches that
    /// were go to a worker, who asks Auth0. With nothing to ask, the sweep seals it.
    ///
    /// # Errors
    /// `Refused` where the run has no such move.
    async fn move_run(&self, run: RunId, step: crate::run::RunMove, command: &Command<'_>) -> Result<Moved>;

    /// How many items `Cancel` would settle at once, and about how many Auth0 must be asked.
    async fn count_cancellable(&self, run: RunId) -> Result<(i64, i64)>;

    /// Sets the plan of limits for a run that has not ended, or lifts it; the newest counts for the tenant.
    async fn set_rate(&self, run: RunId, plan: Option<&str>, command: &Command<'_>) -> Result<()>;

    /// Stops all sending, or lets it go on. Says whether that changed anything.
    async fn stop_all(&self, stop: bool, command: &Command<'_>) -> Result<bool>;

    /// Worker processes known to the ledger, oldest first.
    async fn workers(&self) -> Result<Vec<WorkerView>>;

    /// Up to `most` dead letters, newest first.
    async fn dead(&self, filter: &DeadFilter, most: i64) -> Result<Vec<DeadView>>;

    /// The payload of a dead letter, as it came.
    async fn dead_payload(&self, id: i64) -> Result<Option<Vec<u8>>>;

    /// How many letters a filter means, and how many users hang on them.
    async fn count_dead(&self, filter: &DeadFilter) -> Result<(i64, i64)>;

    /// Sends kept letters again: users of a provision job become pending in a new round,
    /// a verify job starts afresh. `batch_ids` has one id for each letter at least. With a line in the audit.
    async fn redrive(
        &self,
        filter: &DeadFilter,
        batch_ids: &[BatchId],
        command: &Command<'_>,
    ) -> Result<Redriven>;

    /// Marks kept letters as discarded; they stay on record. Says how many.
    async fn discard(&self, filter: &DeadFilter, command: &Command<'_>) -> Result<i64>;

    /// Removes resolved letters (never kept ones) resolved longer ago than this. Says how many.
    async fn prune_dead(&self, resolved_before: Duration) -> Result<i64>;

    /// Jobs of all runs by kind and state, and the age of the oldest that is due, for operators.
    async fn queue_counts(&self) -> Result<Vec<(JobKind, String, i64, Option<Duration>)>>;

    /// A revision of the report, or the newest.
    async fn report(&self, run: RunId, revision: Option<i32>) -> Result<Option<StoredReport>>;

    /// Jobs by kind and state, for `run show` and the end of tests.
    async fn job_counts(&self, run: RunId) -> Result<Vec<(JobKind, String, i64)>>;
}
