//! Batches of a run as people look at them: their users in numbers, their jobs, and who holds those.

use async_trait::async_trait;

use super::{BatchIds, Result, UserJob};
use crate::{
    code::Code,
    ids::{BatchId, RunId},
    job::JobState,
    run::BatchState,
    tally::Tally,
};

/// Which batches of a run: all of what is given must hold. The default means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchFilter {
    /// In one of these states; all when empty.
    pub states: Vec<BatchState>,
    /// With a job in one of these states; all when empty.
    pub jobs: Vec<JobState>,
    /// With a job that was handed back or given up with one of these codes last; all when empty. Where
    /// states of jobs are given, too, one job has both.
    pub codes: Vec<Code>,
}

/// A batch as a person sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchView {
    /// Its id.
    pub id: BatchId,
    /// Its run.
    pub run: RunId,
    /// Its place among the batches of the run; 0 for the users whom a rule settled.
    pub ordinal: i64,
    /// The round that made it: 1 for the first, more for those of a retry.
    pub round: i32,
    /// Its state.
    pub state: BatchState,
    /// Its users by state.
    pub tally: Tally,
    /// Users read back.
    pub verified: i64,
    /// Of these, users who were not as written.
    pub discrepancies: i64,
    /// Requests sent for it.
    pub requests: i64,
    /// Its jobs, the oldest first.
    pub jobs: Vec<BatchJob>,
}

/// A job of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchJob {
    /// The job.
    pub job: UserJob,
    /// The worker that holds it, `host/pid`; `None` where nobody does, or the worker is not registered
    /// any more.
    pub holder: Option<String>,
}

/// Batches of one run in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchCount {
    /// The run.
    pub run: RunId,
    /// Their state.
    pub state: BatchState,
    /// Number of batches.
    pub batches: i64,
}

/// Questions about batches.
#[async_trait]
pub trait Batches: Send + Sync {
    /// Up to `most` batches of a run whose ordinal is greater than `after`, in order.
    async fn list_batches(
        &self,
        run: RunId,
        filter: &BatchFilter,
        after: i64,
        most: i64,
    ) -> Result<Vec<BatchView>>;

    /// Number of batches that a filter means.
    async fn count_batches(&self, run: RunId, filter: &BatchFilter) -> Result<i64>;

    /// Batches of these runs by state, in the order of run and state; none where there is no batch.
    /// Costs as much as they have batches, and reads an index only.
    async fn batch_counts(&self, runs: &[RunId]) -> Result<Vec<BatchCount>>;

    /// Up to `most` batches of any run with these ids.
    async fn batches(&self, ids: BatchIds, most: i64) -> Result<Vec<BatchView>>;
}
