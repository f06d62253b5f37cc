//! Verification and report: what was read back, and how a run is sealed.

use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;

use super::Result;
use crate::{
    application::RowId,
    code::Code,
    ending,
    ids::{Auth0UserId, ItemSeq, RunId, SourceKey},
    item::{ItemState, Origin},
    job::{Job, Lease},
    run::WriteBackTarget,
    tally::Tally,
};

/// A user read back and not found as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discrepancy {
    /// Position in the source.
    pub seq: ItemSeq,
    /// Its key in the source.
    pub key: SourceKey,
    /// The user at Auth0.
    pub auth0_user_id: Auth0UserId,
    /// Names of the fields that differ; empty when the user is missing.
    pub fields: Vec<String>,
}

impl Discrepancy {
    /// What is wrong.
    pub fn code(&self) -> Code {
        match self.fields.as_slice() {
            [] => Code::MissingAtTarget,
            [only] if only == ending::NOT_READ_BACK => Code::NotReadBack,
            _ => Code::DiffersAtTarget,
        }
    }
}

/// The result of reading a batch back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchVerification {
    /// Users found as written.
    pub matched: i64,
    /// The others.
    pub discrepancies: Vec<Discrepancy>,
    /// Requests it took.
    pub requests: i64,
}

/// An item named in a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Its key in the source.
    pub key: SourceKey,
    /// Its place in the source.
    pub origin: Origin,
}

/// Items with the same end, for reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureGroup {
    /// Failed, conflict or skipped.
    pub state: ItemState,
    /// Code of the reason.
    pub code: Code,
    /// Number of items.
    pub count: i64,
    /// Up to three of them, in source order.
    pub examples: Vec<Example>,
}

/// A report to keep.
#[derive(Clone, Debug)]
pub struct SealedRun {
    /// The report as JSON; no personal data.
    pub report: serde_json::Value,
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

/// A line of the audit: who ordered what, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLine {
    /// When.
    pub at: OffsetDateTime,
    /// Operator, as `user@host`, or `ferry` for a threshold.
    pub actor: String,
    /// The word of the command line.
    pub action: String,
    /// The run it was about; `None` where it was about all, or about no run.
    pub run: Option<RunId>,
    /// What came of it; numbers, states and codes.
    pub detail: serde_json::Value,
    /// Why, in their words.
    pub reason: Option<String>,
}

/// What ended in one step of a run's time. A batch counts as a whole: its users when the last of
/// them ended, and again when it was read back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CourseStep {
    /// 0 for the step that begins with the run.
    pub number: i64,
    /// Batches whose users ended in it.
    pub batches: i64,
    /// Their users; none of them is pending.
    pub ended: Tally,
    /// Users of the batches read back in it that were found as written.
    pub verified: i64,
    /// The others of these batches.
    pub discrepancies: i64,
}

/// The course of a run over time, by its batches as they are now: users who were taken up again
/// count where they ended last, and users of a batch that is open do not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    /// When the run was started.
    pub begun: OffsetDateTime,
    /// Length of a step.
    pub step: Duration,
    /// Users whom a rule settled before anything was sent.
    pub before: Tally,
    /// Steps in which something ended, in order of time.
    pub steps: Vec<CourseStep>,
}

/// How runs are read back and sealed, and what their reports are made of.
#[async_trait]
pub trait Reports: Send + Sync {
    /// Ends a verify job: the batch is `verified`. Locks the run row before
    /// counting; the last batch of a run makes the report job, and the run is `sealing`.
    async fn record_verification(&self, lease: &Lease<Job>, found: &BatchVerification) -> Result<()>;

    /// Keeps what a try read back that could not read all: the next try, or a dead letter, is about the
    /// others only. `found` names those as [`ending::NOT_READ_BACK`].
    async fn keep_readings(&self, lease: &Lease<Job>, found: &BatchVerification) -> Result<()>;

    /// Users of the job's batch that an earlier try could not read back; `None` where none kept anything.
    async fn unread(&self, lease: &Lease<Job>) -> Result<Option<Vec<ItemSeq>>>;

    /// Makes the report job of every sending run that has nothing open and none yet.
    /// Returns their number.
    async fn seal_finished(&self) -> Result<u64>;

    /// Ends a report job: keeps the report as the next revision, which is returned; the run is
    /// `sealed`, or `cancelled` if it was being cancelled.
    async fn seal(&self, lease: &Lease<Job>, sealed: &SealedRun) -> Result<i32>;

    /// Ends a run that is being cancelled and of which nothing is left to do, and keeps its
    /// report, so that it needs no worker. Returns the report's revision; `None` where the run
    /// is in another state, a batch is open, or a worker holds the report job.
    async fn end_cancelled(&self, run: RunId, sealed: &SealedRun) -> Result<Option<i32>>;

    /// Settled items of a run (failed, conflict, skipped) grouped by state and code, largest
    /// group first, then in order of code and state.
    async fn failures(&self, run: RunId) -> Result<Vec<FailureGroup>>;

    /// Up to `most` discrepancies after a position, in source order.
    async fn discrepancies(&self, run: RunId, after: ItemSeq, most: i64) -> Result<Vec<Discrepancy>>;

    /// Up to `most` lines of the audit, newest first: of a run, with those about all runs, or every one.
    async fn audit(&self, run: Option<RunId>, most: i64) -> Result<Vec<AuditLine>>;

    /// The course of a run from its start to what ended last, in at most `most` (1 or more) steps
    /// of equal length; `None` for a run that was not started. One look at each of its batches.
    async fn course(&self, run: RunId, most: i64) -> Result<Option<Course>>;

    /// What the rows of these users carry of their ids, in the order of the users; with one
    /// statement, so up to some hundreds at a time. Refuses with `WriteBackTarget` when the table
    /// lacks what writing back needs, or is one that this process does not know.
    async fn row_ids(
        &self,
        target: &WriteBackTarget,
        users: &[(SourceKey, Auth0UserId)],
    ) -> Result<Vec<RowId>>;

    /// A revision of the report, or the newest.
    async fn report(&self, run: RunId, revision: Option<i32>) -> Result<Option<StoredReport>>;
}
