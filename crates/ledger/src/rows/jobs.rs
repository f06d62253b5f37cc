//! Rows of `jobs`.

use std::time::Duration;

use ferry_domain::{
    BatchId, Envelope, Job, JobId, Lease, RunId, WorkerId,
    ports::{Unclaimed, UserJob},
};
use uuid::Uuid;

use crate::{Result, words};

/// A row of `jobs`, for people.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct UserJobRow {
    pub id: Uuid,
    pub kind: String,
    pub state: String,
    pub attempts: i32,
    pub rescues: i32,
    pub code: Option<String>,
}

impl UserJobRow {
    /// The job, for people.
    pub fn job(self) -> Result<UserJob> {
        Ok(UserJob {
            kind: words::job_kind(self.id, &self.kind)?,
            state: words::job_state(self.id, &self.state)?,
            attempts: self.attempts,
            rescues: self.rescues,
            code: self.code.map(|word| words::code("jobs", self.id, &word)).transpose()?,
        })
    }
}

/// A row of `jobs` as it travels.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct SendRow {
    pub id: Uuid,
    pub run_id: Uuid,
    pub batch_id: Option<Uuid>,
    pub kind: String,
    pub send: i32,
    pub rescues: i32,
}

impl SendRow {
    /// What travels; the relay adds the trace.
    pub fn envelope(self) -> Result<Envelope> {
        Ok(Envelope {
            version: Envelope::VERSION,
            kind: words::job_kind(self.id, &self.kind)?,
            job: JobId(self.id),
            run: RunId(self.run_id),
            batch: self.batch_id.map(BatchId),
            send: self.send,
            rescues: self.rescues,
            traceparent: None,
        })
    }

    /// What is wrong with a delivery that could not be claimed.
    pub fn why_unclaimed(&self, delivered: &Envelope) -> Unclaimed {
        let same = self.kind == delivered.kind.as_str()
            && self.run_id == delivered.run.0
            && self.batch_id == delivered.batch.map(|batch| batch.0);
        match same {
            false => Unclaimed::Mismatch,
            true if delivered.send > self.send => Unclaimed::Ahead,
            true => Unclaimed::Stale,
        }
    }
}

/// A row of `jobs` as its holder sees it.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct JobRow {
    pub id: Uuid,
    pub run_id: Uuid,
    pub batch_id: Option<Uuid>,
    pub kind: String,
    pub attempts: i32,
    pub rescues: i32,
}

impl JobRow {
    /// The job as its holder sees it.
    pub fn job(self) -> Result<Job> {
        Ok(Job {
            id: JobId(self.id),
            kind: words::job_kind(self.id, &self.kind)?,
            run: RunId(self.run_id),
            batch: self.batch_id.map(BatchId),
            attempts: self.attempts,
            rescues: self.rescues,
        })
    }
}

/// A row of `jobs` that was just leased.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct ClaimedRow {
    pub id: Uuid,
    pub run_id: Uuid,
    pub batch_id: Option<Uuid>,
    pub kind: String,
    pub attempts: i32,
    pub rescues: i32,
    pub token: i64,
    /// Seconds since it might run.
    pub waited: f64,
}

impl ClaimedRow {
    /// The lease.
    pub fn lease(self, holder: WorkerId, lasts: Duration) -> Result<Lease<Job>> {
        let ClaimedRow { id, run_id, batch_id, kind, attempts, rescues, token, waited } = self;
        let of = JobRow { id, run_id, batch_id, kind, attempts, rescues }.job()?;
        Ok(Lease { of, holder, token, lasts, waited: words::span(waited) })
    }
}
