//! Jobs that nobody holds: sent, counted, halved, given up.

use std::time::Duration;

use async_trait::async_trait;

use super::Result;
use crate::{
    code::Code,
    ids::{BatchId, JobId, RunId, WorkerId},
    job::{Envelope, JobKind, JobState},
};

/// Where a job stands that is not done, for people and metrics: finer than [`JobState`]. How many
/// are done is not counted over all runs, since that would cost more with each run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueState {
    /// May run now, as far as its time goes.
    Ready,
    /// Waits for a later time to which it was put off, without a try that failed before.
    Scheduled,
    /// Waits for its next try after one that failed.
    Retrying,
    /// Sent to the queue.
    Queued,
    /// Held by a worker.
    Leased,
    /// Given up.
    Dead,
}

impl QueueState {
    /// All states.
    pub const ALL: [QueueState; 6] = [
        QueueState::Ready,
        QueueState::Scheduled,
        QueueState::Retrying,
        QueueState::Queued,
        QueueState::Leased,
        QueueState::Dead,
    ];

    /// The state a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// The word used in statements and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            QueueState::Ready => "ready",
            QueueState::Scheduled => "scheduled",
            QueueState::Retrying => "retrying",
            QueueState::Queued => "queued",
            QueueState::Leased => "leased",
            QueueState::Dead => "dead",
        }
    }
}

/// Jobs of all runs of one kind and state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueCount {
    /// What they do.
    pub kind: JobKind,
    /// Where they stand.
    pub state: QueueState,
    /// Number of jobs.
    pub jobs: i64,
    /// Age of the oldest that waits for nothing but its turn: `ready`, due, of a run that
    /// sends, or `queued`; since it was due. None waits for its turn while all sending is stopped.
    pub oldest: Option<Duration>,
}

/// Jobs of one run of one kind and state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobCount {
    /// What they do.
    pub kind: JobKind,
    /// Their state.
    pub state: JobState,
    /// Number of jobs.
    pub jobs: i64,
}

/// What relay and rescue do with jobs that nobody holds, and how many there are.
#[async_trait]
pub trait Jobs: Send + Sync {
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

    /// `queued → ready` for sends that were not pushed or got lost. Sends that moved on are
    /// left alone. Returns the number of jobs.
    async fn unsend(&self, sends: &[Envelope]) -> Result<u64>;

    /// Halves the batch of a provision job that nobody holds (`ready` or `queued`), after
    /// [`crate::poison`]: the second half of its pending items goes into the batch `into`
    /// of the same round with a job of its own, and both start with fewer rescues. Returns the
    /// number of items that went; 0 when the job moved on meanwhile.
    async fn halve(&self, job: JobId, into: BatchId) -> Result<i64>;

    /// Gives up a job that nobody holds, as `Discard` of its holder would, with a dead
    /// letter. Returns false when the job moved on meanwhile.
    async fn give_up(&self, job: JobId, code: Code, by: WorkerId) -> Result<bool>;

    /// Jobs of all runs that are not done, by kind and state; of those that were given up the ones whose
    /// dead letter waits for a decision. Costs as much as there are such jobs.
    async fn queue_counts(&self) -> Result<Vec<QueueCount>>;

    /// Jobs of one run by kind and state.
    async fn job_counts(&self, run: RunId) -> Result<Vec<JobCount>>;
}
