//! The port to the lasting record, in four parts after who asks: the planner,
//! the relay and its fellow loops, the workers, and people.
//!
//! All times are durations by the store's own clock. Every write that ends or
//! changes leased work is fenced: its first statement locks the job row and
//! checks the token (a token checked in a subquery does not fence, design §5.6).

use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;

use crate::{
    code::Code,
    ids::{Auth0UserId, BatchId, ItemSeq, JobId, RunId, SourceKey, WorkerId},
    item::{Item, ItemResult, ItemState, NewItem, Origin},
    job::{Attempt, Envelope, Job, JobKind, Lease, Verdict},
    run::{RunSpec, RunState, RunView, SourceIdentity},
    tally::Tally,
};

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

/// A run to be opened.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// Its id.
    pub id: RunId,
    /// Named move it belongs to.
    pub migration: String,
    /// Where its users come from; one active run per source.
    pub source: SourceIdentity,
    /// What holds for its life.
    pub spec: RunSpec,
    /// Batch of the items that a rule settled.
    pub settled_batch: BatchId,
    /// Who asked for it.
    pub requested_by: String,
    /// Why, in their words.
    pub reason: Option<String>,
}

/// What planning came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planned {
    /// All items by state.
    pub tally: Tally,
    /// Settled items by state and code, in order of code.
    pub settled: Vec<(ItemState, Code, i64)>,
    /// Batches to provision.
    pub batches: i64,
}

/// What the planner asks. A run is visible to nobody else before `start`.
#[async_trait]
pub trait Planning: Send + Sync {
    /// Brings the ledger's own tables up to date. Safe to repeat and to run twice at once.
    async fn migrate(&self) -> Result<()>;

    /// Opens a run in state `planning`. Removes an abandoned planning of the same
    /// source (no chunk for 60 s) first; refuses with `AnotherRunActive`.
    async fn open_run(&self, run: &NewRun) -> Result<()>;

    /// Adds a chunk of items, up to some thousands, in one transaction.
    async fn add_items(&self, run: RunId, items: &[NewItem]) -> Result<()>;

    /// Ends planning with a few statements, whatever the number of items:
    /// settles all but the first of equal keys (`DUPLICATE_KEY`) and of equal
    /// addresses among pending items (`DUPLICATE_EMAIL`), writes batches with
    /// their tallies and one provision job each; the run becomes `planned`.
    async fn finish_planning(&self, run: RunId) -> Result<Planned>;

    /// `planned → running`. With nothing pending the sweep seals it.
    async fn start(&self, run: RunId) -> Result<()>;

    /// Removes a run that is still `planning` or `planned`, with all its rows.
    async fn abandon(&self, run: RunId) -> Result<()>;

    /// Adds `auth0_user_id` (nullable, partial unique index) to the
    /// application's table where it is missing; says whether it changed anything.
    async fn prepare_application(&self, target: &crate::run::WriteBackTarget) -> Result<bool>;

    /// Refuses with `WriteBackTarget` when the application's table lacks what
    /// write-back needs.
    async fn check_application(&self, target: &crate::run::WriteBackTarget) -> Result<()>;
}

/// A worker process as the others see it.
#[derive(Clone, Debug)]
pub struct WorkerRecord {
    /// One start of one process.
    pub id: WorkerId,
    /// Host name, for people.
    pub host: String,
    /// Process id, for people.
    pub pid: i32,
    /// Jobs it can work on at once, over all its roles.
    pub slots: i32,
    /// Why its work waits, for people (`waiting for the limit: user writes 200/min`).
    pub waits: Option<String>,
}

/// A worker process as operators see it.
#[derive(Clone, Debug)]
pub struct WorkerView {
    /// What it says of itself.
    pub record: WorkerRecord,
    /// Whether its death is seen at once.
    pub watched: bool,
    /// Since it said that it lives.
    pub silent_for: Duration,
    /// Leases it holds.
    pub leases: i64,
}

/// A job taken back from a holder that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rescued {
    /// The job; `ready` again.
    pub job: JobId,
    /// What it does.
    pub kind: JobKind,
    /// Who held it.
    pub holder: WorkerId,
    /// How often that has happened to it since its batch last got on, this time included.
    pub rescues: i32,
    /// Items of its batch still pending; 0 for other kinds than provision.
    pub pending: i64,
    /// How it is known.
    pub because: Loss,
}

/// How it is known that a holder is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Its registration is free: the process died, or lost its connection.
    Dead,
    /// Its lease ran out.
    Expired,
}

/// Why a delivery could not be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unclaimed {
    /// Sent before, taken or ended: harmless.
    Stale,
    /// The ledger has no such job.
    Unknown,
    /// The ledger's job is of another kind, run or batch.
    Mismatch,
    /// It carries a send number that this ledger has not given yet.
    Ahead,
}

impl Unclaimed {
    /// The code for a dead letter; `None` for a stale delivery, which is nobody's fault.
    pub const fn code(self) -> Option<Code> {
        match self {
            Unclaimed::Stale => None,
            Unclaimed::Unknown => Some(Code::JobUnknown),
            Unclaimed::Mismatch => Some(Code::JobMismatch),
            Unclaimed::Ahead => Some(Code::SendAhead),
        }
    }
}

/// A payload that no version of Ferry wrote.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The queue it came from.
    pub queue: String,
    /// What came, at most the first 4 KiB.
    pub payload: Vec<u8>,
    /// `Undecodable`, or what [`Unclaimed`] says.
    pub code: Code,
    /// Why it could not be read or claimed.
    pub reason: String,
    /// Worker that buried it, `host/pid`.
    pub by: String,
}

/// What relay, rescue and janitor ask.
#[async_trait]
pub trait Relaying: Send + Sync {
    /// Takes or keeps a role that only one process may have, for `ttl`. Says whether it
    /// is the holder's. A holder that is known to be dead is followed at once.
    async fn lead(&self, role: &'static str, holder: WorkerId, ttl: Duration) -> Result<bool>;

    /// Gives the role up, so that another takes it at once.
    async fn step_down(&self, role: &'static str, holder: WorkerId) -> Result<()>;

    /// Slots of all workers seen within `fresh`, together.
    async fn live_slots(&self, fresh: Duration) -> Result<i64>;

    /// `ready → queued` under a new send counter for up to `most` due jobs of
    /// running (or sealing) runs, in order of priority and age.
    async fn take_ready(&self, most: i64) -> Result<Vec<Envelope>>;

    /// As [`take_ready`](Self::take_ready), but only jobs taken back from holders that are gone
    /// ([`crate::Lane::Rescued`]): they are sent whatever the window holds.
    async fn take_rescued(&self, most: i64) -> Result<Vec<Envelope>>;

    /// Jobs in state `queued`, all kinds.
    async fn queued(&self) -> Result<i64>;

    /// Sends that have been `queued` for longer than `age`, oldest first.
    async fn queued_longer_than(&self, age: Duration, most: i64) -> Result<Vec<Envelope>>;

    /// `queued → ready` for sends that were not pushed or got lost. Sends that moved on are left alone.
    async fn unsend(&self, sends: &[Envelope]) -> Result<u64>;

    /// `leased → ready`, with one more rescue, for leases of registered processes that are
    /// dead, whatever is left of the lease, and (`expired`) for leases that ran out; `me` is
    /// the process that asks. Registrations of the dead go too. Processes whose death can't
    /// be seen ([`super::Presence::unwatched`]) are taken for dead only when their leases run out.
    async fn rescue(&self, me: WorkerId, expired: bool) -> Result<Vec<Rescued>>;

    /// Halves the batch of a provision job that nobody holds (`ready` or `queued`), after
    /// [`crate::poison`]: the second half of its pending items goes into the batch `into`
    /// of the same round with a job of its own, and both start with fewer rescues. Says how
    /// many items went; 0 when the job moved on meanwhile.
    async fn halve(&self, job: JobId, into: BatchId) -> Result<i64>;

    /// Gives up a job that nobody holds, as `Discard` of its holder would, with a dead
    /// letter. Says whether it did: the job may have moved on meanwhile.
    async fn give_up(&self, job: JobId, code: Code, by: &str) -> Result<bool>;

    /// Running runs with limits on failures, and what workers ended in them (items that
    /// rules settled at planning, and those failed before the last resume, are not counted).
    async fn watched_runs(&self) -> Result<Vec<(RunId, crate::threshold::StopAfter, Tally)>>;

    /// Makes the report job of every running run that has nothing open and none yet. Says how many.
    async fn seal_finished(&self) -> Result<u64>;

    /// Keeps a payload that could not be read.
    async fn bury(&self, letter: &DeadLetter) -> Result<()>;
}

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
    async fn register(&self, worker: &WorkerRecord) -> Result<super::Presence>;

    /// What operators said; asked twice a second, so one cheap statement.
    async fn controls(&self) -> Result<super::Controls>;

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
    async fn move_run(
        &self,
        run: RunId,
        step: crate::run::RunMove,
        command: &super::Command<'_>,
    ) -> Result<super::Moved>;

    /// How many items `Cancel` would settle at once, and about how many Auth0 must be asked.
    async fn count_cancellable(&self, run: RunId) -> Result<(i64, i64)>;

    /// Sets the plan of limits for a run that has not ended, or lifts it; the newest counts for the tenant.
    async fn set_rate(&self, run: RunId, plan: Option<&str>, command: &super::Command<'_>) -> Result<()>;

    /// Stops all sending, or lets it go on. Says whether that changed anything.
    async fn stop_all(&self, stop: bool, command: &super::Command<'_>) -> Result<bool>;

    /// Worker processes known to the ledger, oldest first.
    async fn workers(&self) -> Result<Vec<WorkerView>>;

    /// Up to `most` dead letters, newest first.
    async fn dead(&self, filter: &super::DeadFilter, most: i64) -> Result<Vec<super::DeadView>>;

    /// The payload of a dead letter, as it came.
    async fn dead_payload(&self, id: i64) -> Result<Option<Vec<u8>>>;

    /// How many letters a filter means, and how many users hang on them.
    async fn count_dead(&self, filter: &super::DeadFilter) -> Result<(i64, i64)>;

    /// Sends kept letters again: users of a provision job become pending in a new round,
    /// a verify job starts afresh. `batch_ids` has one id for each letter at least. With a line in the audit.
    async fn redrive(
        &self,
        filter: &super::DeadFilter,
        batch_ids: &[BatchId],
        command: &super::Command<'_>,
    ) -> Result<super::Redriven>;

    /// Marks kept letters as discarded; they stay on record. Says how many.
    async fn discard(&self, filter: &super::DeadFilter, command: &super::Command<'_>) -> Result<i64>;

    /// Removes resolved letters (never kept ones) resolved longer ago than this. Says how many.
    async fn prune_dead(&self, resolved_before: Duration) -> Result<i64>;

    /// Jobs of all runs by kind and state, and the age of the oldest that is due, for operators.
    async fn queue_counts(&self) -> Result<Vec<(JobKind, String, i64, Option<Duration>)>>;

    /// A revision of the report, or the newest.
    async fn report(&self, run: RunId, revision: Option<i32>) -> Result<Option<StoredReport>>;

    /// Jobs by kind and state, for `run show` and the end of tests.
    async fn job_counts(&self, run: RunId) -> Result<Vec<(JobKind, String, i64)>>;
}

/// The lasting record.
pub trait Ledger: Planning + Relaying + Working + Operating {}

impl<T: Planning + Relaying + Working + Operating> Ledger for T {}
