//! Rows of `batches`, and of their jobs.

use ferry_domain::{
    BatchId, RunId, Tally,
    ports::{BatchJob, BatchView},
};
use uuid::Uuid;

use super::UserJobRow;
use crate::{Result, words};

/// A row of `batches`.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct BatchRow {
    pub id: Uuid,
    pub run_id: Uuid,
    pub ordinal: i64,
    pub round: i32,
    pub state: String,
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
}

/// A job of a batch, with the worker that holds it.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct BatchJobRow {
    pub batch_id: Uuid,
    pub id: Uuid,
    pub kind: String,
    pub state: String,
    pub attempts: i32,
    pub rescues: i32,
    pub code: Option<String>,
    pub host: Option<String>,
    pub pid: Option<i32>,
}

/// Batches in the order of their rows, each with its jobs in the order of theirs.
pub fn batches(rows: Vec<BatchRow>, jobs: Vec<BatchJobRow>) -> Result<Vec<BatchView>> {
    let mut batches = rows.into_iter().map(BatchRow::view).collect::<Result<Vec<_>>>()?;
    for row in jobs {
        let BatchJobRow { batch_id, id, kind, state, attempts, rescues, code, host, pid } = row;
        let job = UserJobRow { id, kind, state, attempts, rescues, code }.job()?;
        let holder = host.zip(pid).map(|(host, pid)| format!("{host}/{pid}"));
        if let Some(batch) = batches.iter_mut().find(|batch| batch.id.0 == batch_id) {
            batch.jobs.push(BatchJob { job, holder });
        }
    }
    Ok(batches)
}

impl BatchRow {
    fn view(self) -> Result<BatchView> {
        let BatchRow { source, created, adopted, skipped, conflict, failed, cancelled, pending, .. } = self;
        Ok(BatchView {
            id: BatchId(self.id),
            run: RunId(self.run_id),
            ordinal: self.ordinal,
            round: self.round,
            state: words::batch_state(self.id, &self.state)?,
            tally: Tally { source, created, adopted, skipped, conflict, failed, cancelled, pending },
            verified: self.verified,
            discrepancies: self.discrepancies,
            requests: self.requests,
            jobs: Vec::new(),
        })
    }
}
