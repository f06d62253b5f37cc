//! Ends of jobs, batches and runs; each runs inside its holder's transaction.

use ferry_domain::{
    Attempt, BatchId, Code, Job, JobId, JobKind, JobState, Lease, RunId, job::JobMove, ports::LedgerError,
    run::RunMove,
};
use sqlx::SqliteConnection;

use crate::{
    errors::{Doing, Result},
    fence::state_of,
    rows::micros,
};

const ENDING: &str = "could not end a job";

/// The batch has nothing pending: it is `provisioned`, and its verify job is the event that says so.
pub(crate) async fn provisioned(connection: &mut SqliteConnection, job: &Job, batch: BatchId) -> Result<()> {
    sqlx::query!(
        "UPDATE ferry_batches SET state = 'provisioned', provisioned_at = (SELECT at FROM ferry_now) WHERE id = ?1",
        batch.0
    )
    .execute(&mut *connection)
    .await
    .doing(ENDING)?;
    let priority = JobKind::Verify.priority();
    sqlx::query!(
        r#"
        INSERT INTO ferry_jobs (id, run_id, batch_id, kind, state, priority, not_before, created_at, traceparent)
        SELECT randomblob(16), ?1, ?2, 'verify', 'ready', ?3, at, at, ?4 FROM ferry_now
        "#,
        job.run.0,
        batch.0,
        priority,
        job.traceparent
    )
    .execute(connection)
    .await
    .doing(ENDING)?;
    Ok(())
}

/// A batch was read back, or given up on.
pub(crate) async fn verified(
    connection: &mut SqliteConnection,
    batch: BatchId,
    matched: i64,
    differing: i64,
    requests: i64,
) -> Result<()> {
    sqlx::query!(
        r#"
        UPDATE ferry_batches
        SET state = 'verified', verified = ?2, discrepancies = ?3, requests = requests + ?4,
            verified_at = (SELECT at FROM ferry_now)
        WHERE id = ?1
        "#,
        batch.0,
        matched,
        differing,
        requests
    )
    .execute(connection)
    .await
    .doing(ENDING)?;
    Ok(())
}

/// Fails what is pending in a batch, for a reason; the tally follows. Says how many.
pub(crate) async fn fail_pending(
    connection: &mut SqliteConnection,
    run: RunId,
    batch: BatchId,
    code: Code,
) -> Result<i64> {
    let word = code.as_str();
    let failed = sqlx::query!(
        "UPDATE ferry_items SET state = 'failed', code = ?3 WHERE run_id = ?1 AND batch_id = ?2 AND state = 'pending'",
        run.0,
        batch.0,
        word
    )
    .execute(&mut *connection)
    .await
    .doing(ENDING)?;
    let count = i64::try_from(failed.rows_affected()).unwrap_or(i64::MAX);
    sqlx::query!(
        "UPDATE ferry_batches SET failed = failed + ?2, pending = pending - ?2 WHERE id = ?1",
        batch.0,
        count
    )
    .execute(connection)
    .await
    .doing(ENDING)?;
    Ok(count)
}

/// The holder is through.
pub(crate) async fn job_done(connection: &mut SqliteConnection, lease: &Lease<Job>) -> Result<()> {
    end(connection, lease.of.id, after(JobMove::Finish)?, None).await
}

/// A job is given up, for a reason: by its holder, or after the deaths of its holders.
pub(crate) async fn job_dead(connection: &mut SqliteConnection, job: JobId, code: Code) -> Result<()> {
    end(connection, job, JobState::Dead, Some(code)).await
}

async fn end(
    connection: &mut SqliteConnection,
    job: JobId,
    state: JobState,
    code: Option<Code>,
) -> Result<()> {
    let (state, code) = (state.as_str(), code.map(Code::as_str));
    sqlx::query!(
        r#"
        UPDATE ferry_jobs
        SET state = ?2, code = coalesce(?3, code), holder = NULL, expires_at = NULL, queued_at = NULL,
            ended_at = (SELECT at FROM ferry_now)
        WHERE id = ?1
        "#,
        job.0,
        state,
        code
    )
    .execute(connection)
    .await
    .doing(ENDING)?;
    Ok(())
}

/// The holder hands its job back for later.
pub(crate) async fn hand_back(
    connection: &mut SqliteConnection,
    lease: &Lease<Job>,
    later: std::time::Duration,
    code: Code,
) -> Result<()> {
    let (state, later, code) = (after(JobMove::HandBack)?.as_str(), micros(later), code.as_str());
    sqlx::query!(
        r#"
        UPDATE ferry_jobs
        SET state = ?2, not_before = (SELECT at FROM ferry_now) + ?3, code = ?4, holder = NULL, expires_at = NULL
        WHERE id = ?1
        "#,
        lease.of.id.0,
        state,
        later,
        code
    )
    .execute(connection)
    .await
    .doing("could not hand a job back")?;
    Ok(())
}

fn after(step: JobMove) -> Result<JobState> {
    let state = JobState::Leased.after(step);
    state.ok_or_else(|| LedgerError::Refused(format!("a leased job has no move to {step:?}")))
}

/// Counts a try that did not succeed. The row's number is the store's count:
/// a holder may have read its own before another one's try.
pub(crate) async fn count_attempt(
    connection: &mut SqliteConnection,
    lease: &Lease<Job>,
    attempt: &Attempt,
) -> Result<()> {
    const DOING: &str = "could not count an attempt";
    let number = sqlx::query_scalar!(
        r#"UPDATE ferry_jobs SET attempts = attempts + 1 WHERE id = ?1 RETURNING attempts AS "number!: i64""#,
        lease.of.id.0
    )
    .fetch_one(&mut *connection)
    .await
    .doing(DOING)?;
    let code = attempt.code.as_str();
    let took = i64::try_from(attempt.took.as_millis()).unwrap_or(i64::MAX);
    sqlx::query!(
        r#"
        INSERT INTO ferry_attempts (job_id, number, code, took_ms, holder, at)
        SELECT ?1, ?2, ?3, ?4, ?5, at FROM ferry_now
        "#,
        lease.of.id.0,
        number,
        code,
        took,
        lease.holder.0
    )
    .execute(connection)
    .await
    .doing(DOING)?;
    Ok(())
}

/// With the last verified batch the run is `sealing` and gets its report job; a
/// cancelling one stays so. Two can't both be last: the transaction holds the only
/// write lock. A paused run is left to the sweep, which finds it when it runs again.
pub(crate) async fn seal_if_last(connection: &mut SqliteConnection, run: RunId) -> Result<()> {
    const DOING: &str = "could not begin to seal a run";
    let open = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM ferry_batches WHERE run_id = ?1 AND state <> 'verified') AS "open!: bool""#,
        run.0
    )
    .fetch_one(&mut *connection)
    .await
    .doing(DOING)?;
    if open {
        return Ok(());
    }
    let Some(state) = state_of(connection, run).await?.after(RunMove::BeginSealing) else { return Ok(()) };
    let word = state.as_str();
    sqlx::query!("UPDATE ferry_runs SET state = ?2 WHERE id = ?1", run.0, word)
        .execute(&mut *connection)
        .await
        .doing(DOING)?;
    insert_report_job(connection, run).await
}

/// The job that seals a run.
pub(crate) async fn insert_report_job(connection: &mut SqliteConnection, run: RunId) -> Result<()> {
    let priority = JobKind::Report.priority();
    sqlx::query!(
        r#"
        INSERT INTO ferry_jobs (id, run_id, kind, state, priority, not_before, created_at, traceparent)
        SELECT randomblob(16), ?1, 'report', 'ready', ?2, at, at,
               '00-' || lower(hex(randomblob(16))) || '-' || lower(hex(randomblob(8))) || '-01'
        FROM ferry_now
        "#,
        run.0,
        priority
    )
    .execute(connection)
    .await
    .doing("could not make a report job")?;
    Ok(())
}
