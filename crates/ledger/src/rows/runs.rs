//! Rows of `runs`, and sums over their batches.

use ferry_domain::{RunId, RunView, SourceIdentity, Tally, ports::RunNow};
use uuid::Uuid;

use crate::{
    Result,
    words::{self, StoredTime},
};

/// Sums over rows of `batches`.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct TallyRow {
    pub source: i64,
    pub created: i64,
    pub adopted: i64,
    pub skipped: i64,
    pub conflict: i64,
    pub failed: i64,
    pub cancelled: i64,
    pub pending: i64,
}

impl From<TallyRow> for Tally {
    fn from(row: TallyRow) -> Self {
        let TallyRow { source, created, adopted, skipped, conflict, failed, cancelled, pending } = row;
        Tally { source, created, adopted, skipped, conflict, failed, cancelled, pending }
    }
}

/// A row of `runs`, with sums over its batches.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct RunRow<T> {
    pub id: Uuid,
    pub migration: String,
    pub source_kind: String,
    pub source_location: String,
    pub spec: String,
    pub state: String,
    pub round: i32,
    pub revision: i32,
    pub rate: Option<String>,
    pub why: Option<String>,
    pub abandoned: bool,
    pub created_at: T,
    pub moved_at: T,
    pub started_at: Option<T>,
    pub sealed_at: Option<T>,
    pub source: i64,
    pub created: i64,
    pub adopted: i64,
    pub skipped: i64,
    pub conflict: i64,
    pub failed: i64,
    pub cancelled: i64,
    pub pending: i64,
    pub verified: i64,
    pub discrepancies: i64,
    pub requests: i64,
    pub open_batches: i64,
    pub provisioned_at: Option<T>,
}

impl<T: StoredTime> RunRow<T> {
    /// The run as operators see it.
    pub fn view(self) -> Result<RunView> {
        let id = self.id;
        let at = |time: Option<T>| time.map(|time| time.moment("runs", &id)).transpose();
        let RunRow { source, created, adopted, skipped, conflict, failed, cancelled, pending, .. } = self;
        Ok(RunView {
            id: RunId(id),
            migration: self.migration,
            source: SourceIdentity { kind: self.source_kind, location: self.source_location },
            spec: words::run_spec(id, &self.spec)?,
            state: words::run_state(id, &self.state)?,
            tally: Tally { source, created, adopted, skipped, conflict, failed, cancelled, pending },
            verified: self.verified,
            discrepancies: self.discrepancies,
            requests: self.requests,
            open_batches: self.open_batches,
            revision: self.revision,
            round: self.round,
            rate: self.rate,
            why: self.why,
            abandoned: self.abandoned,
            created_at: self.created_at.moment("runs", &id)?,
            moved_at: self.moved_at.moment("runs", &id)?,
            started_at: at(self.started_at)?,
            provisioned_at: at(self.provisioned_at)?,
            sealed_at: at(self.sealed_at)?,
        })
    }
}

/// What workers read of a row of `runs`.
pub fn run_now(
    run: RunId,
    migration: String,
    source: SourceIdentity,
    spec: &str,
    state: &str,
) -> Result<RunNow> {
    let (spec, state) = (words::run_spec(run.0, spec)?, words::run_state(run.0, state)?);
    Ok(RunNow { migration, source, spec, state })
}
