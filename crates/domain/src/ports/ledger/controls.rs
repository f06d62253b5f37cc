//! What operators order of all processes. It lives in the ledger, so that every
//! process obeys within moments and nothing is lost with one of them.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Serialize;
use time::OffsetDateTime;

use super::{Command, Result};
use crate::{application::RowIds, ids::RunId, run::RunState};

/// A run that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveRun {
    /// Id of the run.
    pub id: RunId,
    /// Its state.
    pub state: RunState,
}

/// What every process obeys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// Since when nothing may be sent, by anybody; `None` while it may.
    pub stopped_since: Option<OffsetDateTime>,
    /// Runs that have not ended, newest first.
    pub runs: Vec<ActiveRun>,
    /// Name of the plan that replaces the configured limits, set by `run rate`: that
    /// of the newest run that has one and has not ended.
    pub rate: Option<String>,
}

impl Orders {
    /// Whether nothing may be sent, by anybody.
    pub fn stop_all(&self) -> bool {
        self.stopped_since.is_some()
    }

    /// The state of a run that has not ended.
    pub fn state_of(&self, run: RunId) -> Option<RunState> {
        self.runs.iter().find(|active| active.id == run).map(|active| active.state)
    }
}

/// How an order that takes its time came to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// All was done.
    #[default]
    Whole,
    /// A person ended it before.
    Interrupted,
    /// A server ended it before.
    Failed,
}

/// What came of writing ids back again into an application's table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Restored {
    /// What the rows carried that were looked at.
    #[serde(flatten)]
    pub rows: RowIds,
    /// Rows that have their id again.
    pub restored: i64,
    /// Those whose user is not at Auth0 any more.
    pub gone: i64,
    /// Those that did not take it: another address, a refusal of the table, a lock.
    pub refused: i64,
    /// Whether every user was looked at.
    pub ended: Ended,
}

/// What `ferry migrate` changed that others meet. Field names are part of the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Migration {
    /// The application's table got its column, or its index.
    Prepared {
        /// The table.
        table: String,
        /// The column with the ids.
        column: String,
    },
    /// The ledger was moved out of an application's file.
    Moved {
        /// That file.
        moved_from: String,
        /// Its runs.
        runs: i64,
    },
}

/// Orders to all processes.
#[async_trait]
pub trait Controls: Send + Sync {
    /// The orders at this moment; asked twice a second, so one cheap statement.
    async fn orders(&self) -> Result<Orders>;

    /// Sets the plan of limits for a run that has not ended, or lifts it; the newest counts for
    /// the tenant. With a line in the audit.
    async fn set_rate(&self, run: RunId, plan: Option<&str>, command: &Command<'_>) -> Result<()>;

    /// Writes down in the audit that ids of a run are about to be written back again, where its
    /// rows carry this of them.
    async fn note_restoring(&self, run: RunId, rows: &RowIds, command: &Command<'_>) -> Result<()>;

    /// Writes down in the audit what came of it.
    async fn note_restored(&self, run: RunId, restored: &Restored, command: &Command<'_>) -> Result<()>;

    /// Writes down in the audit what a migration changed.
    async fn note_migrated(&self, what: &Migration, command: &Command<'_>) -> Result<()>;

    /// Stops all sending, or lets it go on. Returns whether that changed anything; if so, with
    /// a line in the audit.
    async fn stop_all(&self, stop: bool, command: &Command<'_>) -> Result<bool>;
}
