//! Runs as they are now.

use async_trait::async_trait;

use super::Result;
use crate::{
    ids::{Auth0UserId, RunId, SourceKey},
    migration::Migrated,
    run::{RunSpec, RunState, RunView, SourceIdentity},
    tally::Tally,
    threshold::StopAfter,
};

/// What a worker needs to know of a run: what its users' ids are made of, where they come
/// from, its settings, and its state at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunNow {
    /// Named move it belongs to; a part of each chosen id.
    pub migration: String,
    /// Where its users come from; named in the mark of each user.
    pub source: SourceIdentity,
    /// Settings that stay the same until the run ends.
    pub spec: RunSpec,
    /// Its state when it was read.
    pub state: RunState,
}

impl RunNow {
    /// The id that a user of this run gets at Auth0.
    pub fn id_of(&self, key: &SourceKey) -> Auth0UserId {
        Auth0UserId::chosen(&self.spec.tenant, &self.spec.connection, &self.migration, key)
    }
}

/// A running run that stops by itself after failures, and what counts against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchedRun {
    /// Id of the run.
    pub run: RunId,
    /// Its limits on failures.
    pub limits: StopAfter,
    /// What ended since the run was started or last resumed; see [`crate::threshold::since`].
    pub tally: Tally,
}

/// Questions about runs.
#[async_trait]
pub trait Runs: Send + Sync {
    /// One run.
    async fn run(&self, run: RunId) -> Result<Option<RunView>>;

    /// Up to `most` runs, newest first.
    async fn runs(&self, most: i64) -> Result<Vec<RunView>>;

    /// Every source that was ever moved, with the names it was moved under, newest first.
    async fn migrated(&self) -> Result<Vec<Migrated>>;

    /// The run that a job belongs to.
    ///
    /// # Errors
    /// `Refused` when there is no such run.
    async fn run_now(&self, run: RunId) -> Result<RunNow>;

    /// Running runs with limits on failures. Items that rules settled at planning, and
    /// those that failed before the last resume, are not counted.
    async fn watched_runs(&self) -> Result<Vec<WatchedRun>>;
}
