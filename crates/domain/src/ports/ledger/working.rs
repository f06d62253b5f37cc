//! What workers ask of the ledger. Every call of a holder is fenced.

use std::time::Duration;

use async_trait::async_trait;

use super::{Result, Unclaimed, WorkerRecord};
use crate::{
    code::Code,
    ids::{Auth0UserId, ItemSeq, JobId, RunId, SourceKey, WorkerId},
    item::{Item, ItemResult},
    job::{Attempt, Envelope, Job, Lease, Verdict},
    ports::{Controls, Presence},
    run::{RunSpec, RunState},
};

/// What a write-back came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteBack {
    /// Items whose application row did not take the id; they are conflicts now, with these codes.
    pub refused_rows: Vec<(ItemSeq, Code)>,
    /// Items of the batch still pending.
    pub pending: i64,
    /// Where the run stands: a holder stops sending when it is not `Running`.
    pub run: RunState,
}

impl WriteBack {
    /// Whether the batch is provisioned and the job done with this write.
    pub fn finished(&self) -> bool {
        self.pending == 0
    }
}

/// A user read back and not found as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discrepancy {
    /// Which item.
    pub seq: ItemSeq,
    /// Its key.
    pub key: SourceKey,
    /// The user at Auth0.
    pub auth0_user_id: Auth0UserId,
    /// Names of the fields that differ; empty when the user is missing.
    pub fields: Vec<String>,
}

/// What reading a batch back came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchVerification {
    /// Users found as written.
    pub matched: i64,
    /// The others.
    pub discrepancies: Vec<Discrepancy>,
    /// Requests it took.
    pub requests: i64,
}

/// A report to keep.
#[derive(Clone, Debug)]
pub struct SealedRun {
    /// The report as JSON; no personal data.
    pub report: serde_json::Value,
}

/// What workers ask.
#[async_trait]
pub trait Working: Send + Sync {
    /// Registers one start of a process, or a new identity of it, before it claims anything.
    async fn register(&self, worker: &WorkerRecord) -> Result<Presence>;

    /// What operators said; asked twice a second, so one cheap statement.
    async fn controls(&self) -> Result<Controls>;

    /// Why a delivery could not be claimed, after `claim` gave `None`.
    async fn why_unclaimed(&self, envelope: &Envelope) -> Result<Unclaimed>;

    /// Says that the process lives and renews its leases of these jobs, in one statement.
    /// Returns those that are still its own. What it holds without knowing (the answer to a
    /// claim was lost) is not renewed, so that it runs out and goes to somebody who knows.
    async fn heartbeat(&self, worker: &WorkerRecord, lease: Duration, held: &[JobId]) -> Result<Vec<JobId>>;

    /// The process leaves: its leases go back to `ready` without an attempt, its row goes.
    async fn retire(&self, worker: WorkerId) -> Result<u64>;

    /// Takes one rescue off jobs that were taken from a process which lives after all: it
    /// lost its registration only, and none of them killed it.
    async fn absolve(&self, jobs: &[JobId]) -> Result<()>;

    /// Takes a job by id **and** send counter; `None` for a stale delivery.
    async fn claim(
        &self,
        job: JobId,
        send: i32,
        holder: WorkerId,
        lease: Duration,
    ) -> Result<Option<Lease<Job>>>;

    /// Pending items of the leased provision job's batch, in source order.
    async fn pending_items(&self, lease: &Lease<Job>) -> Result<Vec<Item>>;

    /// Created and adopted items of the leased verify job's batch, in source order.
    async fn items_at_target(&self, lease: &Lease<Job>) -> Result<Vec<Item>>;

    /// The run a job belongs to.
    async fn run_spec(&self, run: RunId) -> Result<(String, RunSpec, RunState)>;

    /// Writes the results of several items in one transaction: items, tally of
    /// the batch, `auth0_user_id` of the application's rows. With the last item the
    /// batch becomes `provisioned`, its verify job is made and this job is done; while some
    /// are left, the job has no rescues against it any more ([`crate::poison`]).
    /// `requests` are those sent for these results. An application row that does
    /// not come back makes its item `conflict APP_ROW_CHANGED`, keeping the id; a
    /// constraint error costs its own row only.
    async fn write_back(
        &self,
        lease: &Lease<Job>,
        results: &[ItemResult],
        requests: i64,
    ) -> Result<WriteBack>;

    /// Ends the lease with a verdict other than `Done` by a handler's own
    /// transaction; `Done` is for a batch found complete. `Retry` counts and
    /// records the attempt; `Discard` fails the remaining items with the code, so that a batch
    /// always ends, and keeps a dead letter; `Stop` hands back and stops the run, with a line in the audit.
    async fn conclude(&self, lease: &Lease<Job>, verdict: &Verdict, attempt: Option<&Attempt>) -> Result<()>;

    /// Ends a verify job: the batch is `verified`. Locks the run row before
    /// counting; whoever finishes the last batch makes the report job and the run `sealing`.
    async fn record_verification(&self, lease: &Lease<Job>, found: &BatchVerification) -> Result<()>;

    /// Ends a report job: keeps the report as the next revision; the run is `sealed`.
    async fn seal(&self, lease: &Lease<Job>, sealed: &SealedRun) -> Result<i32>;
}
