//! The fence before every leased write, and moves of a run.

use ferry_domain::{
    BatchId, Job, JobKind, Lease, RunId, RunState, WriteBackTarget, ports::LedgerError, run::RunMove,
};
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::{
    errors::{Doing, Result, no_such_run},
    rows::{corrupt, run_state},
};

/// What a holder's transaction starts from.
pub(crate) struct Held {
    batch: Option<BatchId>,
    /// Where the run stands.
    pub run: RunState,
    /// Whether an operator stopped all sending.
    stop_all: bool,
    /// Where ids are written back.
    pub write_back: Option<WriteBackTarget>,
}

impl Held {
    /// Where the run stands for a holder: while all sending is stopped, it is as if paused.
    pub fn seen(&self) -> RunState {
        if self.stop_all { RunState::Paused } else { self.run }
    }

    /// The batch of a provision or verify job.
    pub fn batch(&self) -> Result<BatchId> {
        self.batch.ok_or_else(|| LedgerError::Refused("a report job has no batch".to_owned()))
    }
}

/// Refuses with `LeaseLost` unless the job is still this holder's. Must be the
/// first statement of a transaction begun with `BEGIN IMMEDIATE`: nobody can
/// take the job between this read and the commit.
pub(crate) async fn fence(connection: &mut SqliteConnection, lease: &Lease<Job>) -> Result<Held> {
    let row = sqlx::query!(
        r#"
        SELECT j.batch_id AS "batch_id?: Uuid",
               r.state AS "run_state!: String",
               r.spec ->> 'write_back' AS "write_back?: String",
               EXISTS (SELECT 1 FROM ferry_controls WHERE name = 'stop_all' AND value = 'on') AS "stop_all!: bool"
        FROM ferry_jobs AS j
        JOIN ferry_runs AS r ON r.id = j.run_id
        WHERE j.id = ?1 AND j.token = ?2 AND j.state = 'leased'
        "#,
        lease.of.id.0,
        lease.token
    )
    .fetch_optional(connection)
    .await
    .doing("could not check a lease")?
    .ok_or(LedgerError::LeaseLost)?;

    let write_back = row.write_back.map(|text| serde_json::from_str(&text)).transpose();
    Ok(Held {
        batch: row.batch_id.map(BatchId),
        run: run_state(&row.run_state, lease.of.run.0)?,
        stop_all: row.stop_all,
        write_back: write_back.map_err(|why| corrupt("ferry_runs", lease.of.run, format!("spec: {why}")))?,
    })
}

/// Refuses what a job of another kind would have to ask.
pub(crate) fn only(lease: &Lease<Job>, kind: JobKind) -> Result<()> {
    if lease.of.kind == kind {
        return Ok(());
    }
    Err(LedgerError::Refused(format!("job {} is of kind {}, not {kind}", lease.of.id, lease.of.kind)))
}

/// Where a run stands.
pub(crate) async fn state_of(connection: &mut SqliteConnection, run: RunId) -> Result<RunState> {
    let word =
        sqlx::query_scalar!(r#"SELECT state AS "state!: String" FROM ferry_runs WHERE id = ?1"#, run.0)
            .fetch_optional(connection)
            .await
            .doing("could not read a run")?
            .ok_or_else(|| no_such_run(run))?;
    run_state(&word, run.0)
}

/// Moves a run as the domain allows; refuses a move that its state doesn't have.
pub(crate) async fn move_run(
    connection: &mut SqliteConnection,
    run: RunId,
    step: RunMove,
) -> Result<RunState> {
    let before = state_of(connection, run).await?;
    let after = before.after(step).ok_or_else(|| {
        LedgerError::Refused(format!(
            "run {run} is {before}, which has no move to {step:?}; see `ferry run show`"
        ))
    })?;
    let word = after.as_str();
    sqlx::query!("UPDATE ferry_runs SET state = ?2 WHERE id = ?1", run.0, word)
        .execute(connection)
        .await
        .doing("could not move a run")?;
    Ok(after)
}
