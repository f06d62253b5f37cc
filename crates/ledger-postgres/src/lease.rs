//! The fence: the first statement of every leased write.

use ferry_domain::{BatchId, Job, JobKind, Lease, RunState, WriteBackTarget, ports::LedgerError};
use sqlx::{PgConnection, query};

use crate::{errors::Fault, rows};

/// What holds for a job whose row is locked now.
pub(crate) struct Held {
    /// Where its run stands.
    pub run: RunState,
    /// Whether an operator stopped all sending.
    pub all_stopped: bool,
    /// Where its run writes ids back to.
    pub target: Option<WriteBackTarget>,
}

impl Held {
    /// Where the run stands for a holder: with all sending stopped it is paused.
    pub(crate) fn seen_by_holder(&self) -> RunState {
        if self.all_stopped && self.run.is_sending() { RunState::Paused } else { self.run }
    }
}

/// Locks the job row and checks the token in one `UPDATE`: a late owner waits for
/// whoever holds the row now, is checked against what that one left, and finds
/// nothing. Checked by a `SELECT`, it would write after the new owner had read.
pub(crate) async fn fence(connection: &mut PgConnection, lease: &Lease<Job>) -> Result<Held, Fault> {
    let row = query!(
        r#"
        UPDATE ferry.jobs AS job
        SET token = job.token
        FROM ferry.runs AS run
        WHERE job.id = $1
          AND job.token = $2
          AND job.state = 'leased'
          AND run.id = job.run_id
        RETURNING run.state, (run.spec -> 'write_back')::text AS write_back,
            EXISTS (SELECT FROM ferry.controls WHERE name = 'stop_all' AND value = 'true') AS "all_stopped!"
        "#,
        lease.of.id.0,
        lease.token,
    )
    .fetch_optional(connection)
    .await?
    .ok_or(LedgerError::LeaseLost)?;
    let target = match row.write_back.as_deref() {
        None => None,
        Some(json) => serde_json::from_str(json).map_err(|_| LedgerError::Corrupt {
            table: "runs",
            row: lease.of.run.to_string(),
            why: "spec.write_back can't be read".to_owned(),
        })?,
    };
    Ok(Held { run: rows::run_state(lease.of.run.0, &row.state)?, all_stopped: row.all_stopped, target })
}

/// The batch of a provision or verify job.
pub(crate) fn batch_of(job: &Job) -> Result<BatchId, LedgerError> {
    job.batch.ok_or_else(|| LedgerError::Corrupt {
        table: "jobs",
        row: job.id.to_string(),
        why: format!("a {} job without a batch", job.kind),
    })
}

/// Refuses what only a job of another kind may ask.
pub(crate) fn only(lease: &Lease<Job>, kind: JobKind) -> Result<(), LedgerError> {
    if lease.of.kind == kind {
        return Ok(());
    }
    Err(LedgerError::Refused(format!("job {} is of kind {}, not {kind}", lease.of.id, lease.of.kind)))
}
