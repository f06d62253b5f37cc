//! Dead letters: what was given up, kept until a person decides.

use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use time::OffsetDateTime;

use super::{Command, ItemView, Result};
use crate::{
    code::Code,
    ids::{BatchId, JobId, RunId},
    job::JobKind,
};

/// A payload that no version of Ferry wrote.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The queue it came from.
    pub queue: String,
    /// What came, at most the first 4 KiB.
    pub payload: Vec<u8>,
    /// `Undecodable`, or what [`super::Unclaimed`] says.
    pub code: Code,
    /// Why it could not be read or claimed.
    pub reason: String,
    /// Worker that buried it, `host/pid`.
    pub by: String,
}

/// Letters that a filter means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeadCount {
    /// Number of letters.
    pub letters: i64,
    /// Users that failed with their jobs.
    pub users: i64,
}

/// What a dead letter is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum DeadKind {
    /// Something on the queue that could not be taken for a job.
    Payload,
    /// A job that was given up.
    Job,
}

impl DeadKind {
    /// The word used in databases and output.
    pub const fn as_str(self) -> &'static str {
        match self {
            DeadKind::Payload => "payload",
            DeadKind::Job => "job",
        }
    }
}

/// What a person decided on a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum DeadState {
    /// Waits for a person.
    Kept,
    /// Its users or its job go again.
    Redriven,
    /// A person decided that it may be forgotten.
    Discarded,
}

impl DeadState {
    /// All states.
    pub const ALL: [DeadState; 3] = [DeadState::Kept, DeadState::Redriven, DeadState::Discarded];

    /// The word used in databases and output.
    pub const fn as_str(self) -> &'static str {
        match self {
            DeadState::Kept => "kept",
            DeadState::Redriven => "redriven",
            DeadState::Discarded => "discarded",
        }
    }

    /// The state a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// A dead letter as a person sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadView {
    /// Its number.
    pub id: i64,
    /// Since when.
    pub at: OffsetDateTime,
    /// Payload or job.
    pub kind: DeadKind,
    /// Kept, or what a person decided.
    pub state: DeadState,
    /// The queue it came from, for a payload; the job's kind otherwise.
    pub queue: String,
    /// The job; `None` for a payload, as are the next three.
    pub job: Option<JobId>,
    /// What the job did.
    pub job_kind: Option<JobKind>,
    /// The job's run.
    pub run: Option<RunId>,
    /// The job's batch; `None` also for a report.
    pub batch: Option<BatchId>,
    /// Why it was given up.
    pub code: Code,
    /// Why, in words; for a payload, what could not be read. No content.
    pub reason: String,
    /// Tries that counted.
    pub attempts: i32,
    /// Rescues since its batch last made progress.
    pub rescues: i32,
    /// Users that failed with it.
    pub users: i64,
    /// Worker (`host/pid`) that gave up, or the rescuer.
    pub given_up_by: String,
    /// Who redrove or discarded it.
    pub resolved_by: Option<String>,
    /// When it was redriven or discarded.
    pub resolved_at: Option<OffsetDateTime>,
}

/// A try of a job that counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadTry {
    /// 1 for the first.
    pub number: i32,
    /// Why it failed.
    pub code: Code,
    /// How long it took.
    pub took: Duration,
    /// When it ended.
    pub at: OffsetDateTime,
}

/// Which dead letters.
#[derive(Clone, Debug, Default)]
pub struct DeadFilter {
    /// These numbers; all when empty.
    pub ids: Vec<i64>,
    /// Of this run.
    pub run: Option<RunId>,
    /// With one of these codes; all when empty.
    pub codes: Vec<Code>,
    /// In this state; `None` for all.
    pub state: Option<DeadState>,
    /// Received at least this long ago.
    pub older_than: Option<Duration>,
}

/// The result of a redrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Redriven {
    /// Letters redriven.
    pub letters: i64,
    /// Users pending again.
    pub users: i64,
    /// Letters that can't be: payloads, and jobs whose run was cancelled.
    pub left: i64,
}

/// Dead letters, and what people decide on them. Each decision leaves a line in the audit
/// for each run it touched, and one without a run for payloads.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Keeps a payload that could not be read.
    async fn bury(&self, letter: &DeadLetter) -> Result<()>;

    /// Up to `most` dead letters, newest first.
    async fn dead(&self, filter: &DeadFilter, most: i64) -> Result<Vec<DeadView>>;

    /// The payload of a dead letter, as it came.
    async fn dead_payload(&self, id: i64) -> Result<Option<Vec<u8>>>;

    /// Up to `most` users that failed with the job of a dead letter, or were not read back by it, in
    /// source order; none once they were sent again.
    async fn dead_users(&self, id: i64, most: i64) -> Result<Vec<ItemView>>;

    /// The tries of the job of a dead letter that counted, in order.
    async fn dead_tries(&self, id: i64) -> Result<Vec<DeadTry>>;

    /// Number of letters that a filter means, and of their users.
    async fn count_dead(&self, filter: &DeadFilter) -> Result<DeadCount>;

    /// Sends kept letters again: users of a provision job become pending in a new round,
    /// a verify job starts afresh ([`crate::redrive`]). `batch_ids` has one id for each letter at least.
    async fn redrive(
        &self,
        filter: &DeadFilter,
        batch_ids: &[BatchId],
        command: &Command<'_>,
    ) -> Result<Redriven>;

    /// Marks kept letters as discarded; they stay on record. Returns their number.
    async fn discard(&self, filter: &DeadFilter, command: &Command<'_>) -> Result<i64>;

    /// Removes resolved letters (never kept ones) resolved longer ago than this. Returns their
    /// number.
    async fn prune_dead(&self, resolved_before: Duration) -> Result<i64>;
}
