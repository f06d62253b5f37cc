//! The steps that the scripts are made of, each a statement or few within one transaction.
//! A ledger writes them in its SQL; in which order they are done, and whether, is written once
//! in [`crate::scripts`].

use std::time::Duration;

use async_trait::async_trait;
use ferry_domain::{
    Attempt, BatchId, Code, Job, JobState, Lease, RunId, RunState, Tally, WorkerId,
    ports::{Cancellable, DeadState, LedgerError, Retryable, SealedRun, UserFilter},
};

use crate::{audit::Line, rows::Letter};

/// How a job ends.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// Well.
    Done,
    /// Given up, with a code.
    Dead(Code),
}

impl End {
    /// The job's state as a word.
    pub const fn state(self) -> &'static str {
        match self {
            End::Done => JobState::Done.as_str(),
            End::Dead(_) => JobState::Dead.as_str(),
        }
    }

    /// The code as a word; `None` leaves the last one.
    pub fn code(self) -> Option<&'static str> {
        match self {
            End::Done => None,
            End::Dead(code) => Some(code.as_str()),
        }
    }
}

/// Counts of a batch that was read back, or given up.
#[derive(Clone, Copy, Debug)]
pub struct ReadBack {
    /// Users found as written.
    pub matched: i64,
    /// The others.
    pub discrepancies: i64,
    /// Requests it took.
    pub requests: i64,
}

/// What a transaction can fail with.
pub trait Transaction: Send {
    /// A ledger's own fault, before it is known whether to try again.
    type Fault: From<LedgerError> + Send;
}

/// The result of a step.
pub type Step<T, X> = Result<T, <X as Transaction>::Fault>;

/// Steps with a run.
#[async_trait]
pub trait RunSteps: Transaction {
    /// Locks a run, so that its state and its batches stay as they are read next.
    ///
    /// # Errors
    /// [`LedgerError::no_such_run`].
    async fn lock(&mut self, run: RunId) -> Step<RunState, Self>;

    /// Writes the state of a locked run. Why it is in its state stays.
    async fn set_state(&mut self, run: RunId, state: RunState) -> Step<(), Self>;

    /// Writes why a locked run was paused, stopped or cancelled.
    async fn set_why(&mut self, run: RunId, why: Option<&str>) -> Step<(), Self>;

    /// Limits on failures count from now on: a person has seen what failed before.
    async fn count_failures_from_here(&mut self, run: RunId) -> Step<(), Self>;

    /// Refuses with `AnotherRunActive`: one active run of a source holds for runs that come
    /// back as well.
    async fn refuse_second(&mut self, run: RunId) -> Step<(), Self>;

    /// Writes a line of the audit.
    async fn write_audit(&mut self, line: &Line<'_>) -> Step<(), Self>;
}

/// What is kept of a batch that is read back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Users found as written.
    pub matched: i64,
    /// The others, with those that were not read.
    pub discrepancies: i64,
    /// Users that were not read.
    pub unread: i64,
}

/// Steps that end jobs, batches and runs.
#[async_trait]
pub trait EndSteps: RunSteps {
    /// Counts a try that did not succeed. The store numbers it: the holder may have read
    /// its count before another one's try.
    async fn count_attempt(&mut self, lease: &Lease<Job>, attempt: &Attempt) -> Step<(), Self>;

    /// The job goes back for later.
    async fn hand_back(&mut self, lease: &Lease<Job>, after: Duration, code: Code) -> Step<(), Self>;

    /// Moves items of a batch from pending to where `ended` counts them. With the last one the
    /// batch is provisioned, its verify job is made and this job ends; a batch that only made
    /// progress has its rescues cleared (`ferry_domain::poison`). Returns the number of items
    /// still pending.
    async fn count_in(&mut self, job: &Job, ended: &Tally, requests: i64, end: End) -> Step<i64, Self>;

    /// Ends a batch and its verify job; with the last batch the run begins to be sealed. The run
    /// is locked before its open batches are counted: two verifiers that count at the same time
    /// would each see the other's batch open, and nobody would seal the run.
    async fn close_batch(&mut self, job: &Job, found: &ReadBack, end: End) -> Step<(), Self>;

    /// Makes the report job of a locked run that has nothing open, unless there is one; returns
    /// whether it did. A paused run is left to the sweep, which finds it when it runs again.
    async fn begin_sealing(&mut self, run: RunId, state: RunState) -> Step<bool, Self>;

    /// Ends a job that leaves nothing else to do.
    async fn end_job(&mut self, job: &Job, end: End) -> Step<(), Self>;

    /// Fails what is pending in the job's batch; returns the number of items.
    async fn fail_pending(&mut self, job: &Job, code: Code) -> Step<i64, Self>;

    /// What tries that could not read all have kept of the job's batch.
    async fn kept(&mut self, job: &Job) -> Step<Kept, Self>;

    /// Users that nobody read back are discrepancies, so that the report tells of them.
    async fn note_unread(&mut self, job: &Job) -> Step<i64, Self>;

    /// Keeps a dead letter of a job that was just given up. Counts come from its row, which knows
    /// of the last attempt. A worker is named as people know it, `host/pid`, where it is still
    /// registered.
    async fn keep_letter(&mut self, job: &Job, code: Code, users: i64, by: WorkerId) -> Step<(), Self>;
}

/// What one transaction of a cancel ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Withdrawn {
    /// Batches.
    pub batches: i64,
    /// Their items.
    pub items: i64,
}

/// Steps of a cancel.
#[async_trait]
pub trait CancelSteps: RunSteps {
    /// Settles duplicates and makes batches and jobs of what was read so far.
    async fn finish_plan(&mut self, run: RunId) -> Step<(), Self>;

    /// What a cancel settles, and what Auth0 must be asked about.
    async fn cancellable(&mut self, run: RunId) -> Step<Cancellable, Self>;

    /// Ends the items of at most `most` batches that no worker ever held (no token was given out
    /// for them), those first that would be sent first: there is nothing to read back, so the
    /// batches are verified and their jobs done.
    async fn withdraw_untouched(&mut self, run: RunId, most: i64) -> Step<Withdrawn, Self>;

    /// Items of the run that are still pending.
    async fn pending(&mut self, run: RunId) -> Step<i64, Self>;
}

/// Steps that end a run with its report.
#[async_trait]
pub trait SealSteps: RunSteps {
    /// Whether a batch of the run is not verified yet.
    async fn has_open_batch(&mut self, run: RunId) -> Step<bool, Self>;

    /// Ends report jobs that nobody holds. Returns whether a worker holds one.
    async fn withdraw_report(&mut self, run: RunId) -> Step<bool, Self>;

    /// Keeps the report of a locked run as its next revision, which is returned.
    async fn keep_report(&mut self, run: RunId, sealed: &SealedRun) -> Step<i32, Self>;
}

/// A run before a retry.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// Its newest round.
    pub number: i32,
    /// Users in a batch.
    pub batch_size: i64,
}

/// A user whose row has an id already, and who is not as an earlier run moved them.
#[derive(Clone, Copy, Debug)]
pub struct Differing {
    /// Of the item in the run that is planned.
    pub seq: i64,
    /// Of the item of the earlier run; `None` where that run did not move this user.
    pub then: Option<i64>,
}

/// A user's record in a run.
#[derive(Clone, Debug)]
pub struct RecordRow {
    /// Position in that run's source.
    pub seq: i64,
    /// The record as JSON; `None` where a rule refuses it.
    pub record: Option<String>,
    /// The field that such a rule speaks of.
    pub field: Option<String>,
    /// The account at Auth0.
    pub account: Option<String>,
}

/// A user to be sent, and one that an earlier run moved.
#[derive(Debug)]
pub struct Met {
    /// Position of the user to be sent.
    pub seq: i64,
    /// Key of the one that was moved.
    pub key: String,
    /// Their account; `None` where it was found to be gone.
    pub account: Option<String>,
    /// Whether the keys are equal; else the addresses are, and the keys are not.
    pub same_key: bool,
}

/// Steps that find who changed since an earlier run moved them.
#[async_trait]
pub trait ChangedSteps: Transaction {
    /// Users of `run` that were `ALREADY_MIGRATED`: those whose digest or account is another than when
    /// `earlier` moved them, and those that `earlier` did not move.
    /// Of all such users, or of these.
    async fn differing(
        &mut self,
        run: RunId,
        earlier: RunId,
        among: Option<&[i64]>,
    ) -> Step<Vec<Differing>, Self>;

    /// Records of these items of a run.
    async fn records(&mut self, run: RunId, seqs: &[i64]) -> Step<Vec<RecordRow>, Self>;

    /// Users of `run` to be sent, without an account yet, whose key or address `earlier` moved.
    async fn met(&mut self, run: RunId, earlier: RunId) -> Step<Vec<Met>, Self>;

    /// Writes accounts on these items.
    async fn keep_accounts(&mut self, run: RunId, accounts: &[(i64, String)]) -> Step<(), Self>;

    /// Writes on these items whose account their address belongs to.
    async fn keep_others(&mut self, run: RunId, others: &[(i64, String)]) -> Step<(), Self>;

    /// Writes a record and an account on an item that a rule left out.
    async fn keep_moved(&mut self, run: RunId, seq: i64, account: &str, record: &str) -> Step<(), Self>;

    /// Makes conflicts `CHANGED_SINCE_MOVED` of these items, in which the same fields changed.
    async fn make_conflicts(&mut self, run: RunId, seqs: &[i64], fields: &str) -> Step<(), Self>;
}

/// Steps of a retry.
#[async_trait]
pub trait RetrySteps: RunSteps {
    /// The run's newest round.
    async fn round(&mut self, run: RunId) -> Step<Round, Self>;

    /// What a retry takes up, and what it leaves.
    async fn retryable(&mut self, run: RunId, filter: &UserFilter) -> Step<Retryable, Self>;

    /// Moves items into new batches with jobs, in source order, and out of the tallies of the
    /// batches they leave. The jobs begin with a token, as if they had been leased: a user that
    /// failed may be at Auth0 all the same, and a cancel has to ask.
    async fn move_items(
        &mut self,
        run: RunId,
        filter: &UserFilter,
        items: i64,
        ids: &[BatchId],
        round: Round,
    ) -> Step<(), Self>;

    /// Writes the newest round of a run.
    async fn set_round(&mut self, run: RunId, round: i32) -> Step<(), Self>;
}

/// Steps of a redrive.
#[async_trait]
pub trait RedriveSteps: EndSteps + RetrySteps {
    /// Whether the letters' run is still there: a plan that was removed leaves its letters.
    async fn is_there(&mut self, run: RunId) -> Step<bool, Self>;

    /// What failed with the jobs goes into one new batch for each letter, with ids from `ids`.
    /// Its users were sent once, so the new jobs have a token: a cancel asks Auth0 before it
    /// calls them cancelled. Returns the number of users.
    async fn provision_again(
        &mut self,
        run: RunId,
        letters: &[&Letter],
        ids: &[BatchId],
        round: i32,
    ) -> Step<i64, Self>;

    /// Batches of given-up verify jobs are read back after all. What such a job left as "not
    /// read back" is forgotten with it. Returns the number of batches.
    async fn verify_again(&mut self, run: RunId, letters: &[&Letter]) -> Step<i64, Self>;

    /// A person decided on these letters.
    async fn resolve(&mut self, letters: &[i64], state: DeadState, by: &str) -> Step<(), Self>;
}
