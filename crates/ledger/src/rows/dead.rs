//! Rows of `dead_letters` and `attempts`.

use std::time::Duration;

use ferry_domain::{
    BatchId, JobId, JobKind, RunId,
    ports::{DeadKind, DeadState, DeadTry, DeadView},
};
use uuid::Uuid;

use crate::{
    Result,
    words::{self, StoredTime, corrupt},
};

/// A row of `attempts`, for people.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct TryRow<T> {
    pub number: i32,
    pub code: String,
    pub took_ms: i64,
    pub at: T,
}

impl<T: StoredTime> TryRow<T> {
    /// The try.
    pub fn view(self) -> Result<DeadTry> {
        const TABLE: &str = "attempts";
        Ok(DeadTry {
            number: self.number,
            code: words::code(TABLE, self.number, &self.code)?,
            took: Duration::from_millis(self.took_ms.unsigned_abs()),
            at: self.at.moment(TABLE, &self.number)?,
        })
    }
}

/// A row of `dead_letters` without its payload.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct DeadRow<T> {
    pub id: i64,
    pub received_at: T,
    pub kind: String,
    pub state: String,
    pub queue: String,
    pub job_id: Option<Uuid>,
    pub job_kind: Option<String>,
    pub run_id: Option<Uuid>,
    pub batch_id: Option<Uuid>,
    pub code: String,
    pub reason: String,
    pub attempts: i32,
    pub rescues: i32,
    pub users: i64,
    pub given_up_by: String,
    pub resolved_by: Option<String>,
    pub resolved_at: Option<T>,
}

impl<T: StoredTime> DeadRow<T> {
    /// The letter as a person sees it.
    pub fn view(self) -> Result<DeadView> {
        const TABLE: &str = "dead_letters";
        let kind = [DeadKind::Payload, DeadKind::Job].into_iter().find(|kind| kind.as_str() == self.kind);
        Ok(DeadView {
            id: self.id,
            at: self.received_at.moment(TABLE, &self.id)?,
            kind: kind.ok_or_else(|| corrupt(TABLE, self.id, "unknown kind"))?,
            state: DeadState::parse(&self.state).ok_or_else(|| corrupt(TABLE, self.id, "unknown state"))?,
            queue: self.queue,
            job: self.job_id.map(JobId),
            job_kind: self.job_kind.map(|word| words::job_kind(self.id, &word)).transpose()?,
            run: self.run_id.map(RunId),
            batch: self.batch_id.map(BatchId),
            code: words::code(TABLE, self.id, &self.code)?,
            reason: self.reason,
            attempts: self.attempts,
            rescues: self.rescues,
            users: self.users,
            given_up_by: self.given_up_by,
            resolved_by: self.resolved_by,
            resolved_at: self.resolved_at.map(|at| at.moment(TABLE, &self.id)).transpose()?,
        })
    }
}

/// A kept letter about a job.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Number of the letter.
    pub id: i64,
    /// What the job did.
    pub kind: JobKind,
    /// The job.
    pub job: JobId,
    /// The job's batch; `None` for a report.
    pub batch: Option<BatchId>,
    /// Why it was given up: its users failed with the same code.
    pub code: String,
}

/// Kept letters, by run.
#[derive(Clone, Debug, Default)]
pub struct Letters {
    /// Letters about jobs, by run; those of one run in order of their numbers.
    pub of_runs: std::collections::BTreeMap<RunId, Vec<Letter>>,
    /// Numbers of the others: payloads.
    pub payloads: Vec<i64>,
}

impl Letters {
    /// Adds a row; letters come in order of their numbers.
    pub fn add(
        &mut self,
        id: i64,
        run: Option<Uuid>,
        job: Option<Uuid>,
        job_kind: Option<&str>,
        batch: Option<Uuid>,
        code: String,
    ) -> Result<()> {
        match (run, job, job_kind) {
            (Some(run), Some(job), Some(kind)) => {
                let kind = words::job_kind(id, kind)?;
                let letter = Letter { id, kind, job: JobId(job), batch: batch.map(BatchId), code };
                self.of_runs.entry(RunId(run)).or_default().push(letter);
            }
            _ => self.payloads.push(id),
        }
        Ok(())
    }
}
