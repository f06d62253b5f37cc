//! How jobs, batches and runs end, for all who end them: results written back, a job handed
//! back or given up, users read back. Each runs inside its caller's transaction.

use std::time::Duration;

use ferry_domain::{
    Attempt, Code, Job, JobKind, JobState, Lease, RunId, RunState, Tally, ending, run::RunMove,
};
use ferry_ledger::{Result, refusals::batch_of};
use sqlx::SqliteConnection;

use crate::{
    errors::Doing,
    runs,
    values::{count, json, micros},
};

const ENDING: &str = "could not end a job";
const SEALING: &str = "could not begin to seal a run";

/// How the job ends when its batch does.
#[derive(Clone, Copy)]
pub(crate) enum End {
    Done,
    Dead(Code),
}

impl End {
    fn state(self) -> &'static str {
        match self {
            End::Done => JobState::Done.as_str(),
            End::Dead(_) => JobState::Dead.as_str(),
        }
    }

    fn code(self) -> Option<&'static str> {
        match self {
            End::Done => None,
            End::Dead(code) => Some(code.as_str()),
        }
    }
}

/// Moves items of a batch from pending to where `ended` counts them. With the last
/// one the batch is provisioned, its verify job is made and this job ends; a batch that only
/// made progress has its rescues cleared (`ferry_domain::poison`). Returns the number of items
/// still pending.
pub(crate) async fn count_in(
    connection: &mut SqliteConnection,
    job: &Job,
    ended: &Tally,
    requests: i64,
    end: End,
) -> Result<i64> {
    let (batch, finished) = (batch_of(job)?, ended.finished());
    let pending = sqlx::query_scalar!(
        r#"
        UPDATE ferry_batches
        SET created = created + ?2, adopted = adopted + ?3, skipped = skipped + ?4, conflict = conflict + ?5,
            failed = failed + ?6, cancelled = cancelled + ?7, pending = pending - ?8, requests = requests + ?9
        WHERE id = ?1
        RETURNING pending AS "pending!: i64"
        "#,
        batch.0,
        ended.created,
        ended.adopted,
        ended.skipped,
        ended.conflict,
        ended.failed,
        ended.cancelled,
        finished,
        requests
    )
    .fetch_one(&mut *connection)
    .await
    .doing(ENDING)?;
    if pending == 0 {
        provisioned(connection, job).await?;
        end_job(connection, job, end).await?;
    } else if finished > 0 && job.rescues > 0 {
        sqlx::query!("UPDATE ferry_jobs SET rescues = 0 WHERE id = ?1", job.id.0)
            .execute(connection)
            .await
            .doing(ENDING)?;
    }
    Ok(pending)
}

/// The batch has nothing pending; its verify job is the event that says so.
async fn provisioned(connection: &mut SqliteConnection, job: &Job) -> Result<()> {
    let (batch, priority) = (batch_of(job)?, JobKind::Verify.priority());
    sqlx::query!(
        r#"
        UPDATE ferry_batches
        SET state = CASE state WHEN 'open' THEN 'provisioned' ELSE state END,
            provisioned_at = coalesce(provisioned_at, (SELECT at FROM ferry_now))
        WHERE id = ?1
        "#,
        batch.0
    )
    .execute(&mut *connection)
    .await
    .doing(ENDING)?;
    sqlx::query!(
        r#"
        INSERT INTO ferry_jobs (id, run_id, batch_id, kind, state, priority, not_before, created_at, traceparent)
        SELECT randomblob(16), ?1, ?2, 'verify', 'ready', ?3, at, at, ?4 FROM ferry_now WHERE true
        ON CONFLICT DO NOTHING
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

/// Counts of a batch that was read back, or given up.
pub(crate) struct ReadBack {
    pub matched: i64,
    pub discrepancies: i64,
    pub requests: i64,
}

/// Ends a batch and its verify job; with the last batch the run begins to be sealed. Two can't
/// both be last: the transaction holds the only write lock.
pub(crate) async fn close_batch(
    connection: &mut SqliteConnection,
    job: &Job,
    found: &ReadBack,
    end: End,
) -> Result<()> {
    let batch = batch_of(job)?;
    sqlx::query!(
        r#"
        UPDATE ferry_batches
        SET state = 'verified', verified = ?2, discrepancies = ?3, requests = requests + ?4,
            verified_at = (SELECT at FROM ferry_now)
        WHERE id = ?1
        "#,
        batch.0,
        found.matched,
        found.discrepancies,
        found.requests
    )
    .execute(&mut *connection)
    .await
    .doing(ENDING)?;
    end_job(connection, job, end).await?;
    let open = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM ferry_batches WHERE run_id = ?1 AND state <> 'verified') AS "open!: bool""#,
        job.run.0
    )
    .fetch_one(&mut *connection)
    .await
    .doing(SEALING)?;
    if !open {
        let state = runs::lock(connection, job.run).await?;
        begin_sealing(connection, job.run, state).await?;
    }
    Ok(())
}

/// Makes the report job of a run that has nothing open, unless there is one; returns whether
/// it did. A paused run is left to the sweep, which finds it when it runs again.
pub(crate) async fn begin_sealing(
    connection: &mut SqliteConnection,
    run: RunId,
    state: RunState,
) -> Result<bool> {
    let Some(after) = state.after(RunMove::BeginSealing) else { return Ok(false) };
    if after != state {
        runs::set_state(connection, run, after, None).await?;
    }
    let priority = JobKind::Report.priority();
    let made = sqlx::query!(
        r#"
        INSERT INTO ferry_jobs (id, run_id, kind, state, priority, not_before, created_at, traceparent)
        SELECT randomblob(16), ?1, 'report', 'ready', ?2, at, at,
               '00-' || lower(hex(randomblob(16))) || '-' || lower(hex(randomblob(8))) || '-01'
        FROM ferry_now
        WHERE NOT EXISTS (
            SELECT 1 FROM ferry_jobs WHERE run_id = ?1 AND kind = 'report' AND state NOT IN ('done', 'dead')
        )
        "#,
        run.0,
        priority
    )
    .execute(connection)
    .await
    .doing(SEALING)?;
    Ok(made.rows_affected() > 0)
}

/// Ends a job that leaves nothing else to do.
pub(crate) async fn end_job(connection: &mut SqliteConnection, job: &Job, end: End) -> Result<()> {
    let (state, code) = (end.state(), end.code());
    sqlx::query!(
        r#"
        UPDATE ferry_jobs
        SET state = ?2, code = coalesce(?3, code), holder = NULL, expires_at = NULL, queued_at = NULL,
            ended_at = (SELECT at FROM ferry_now)
        WHERE id = ?1
        "#,
        job.id.0,
        state,
        code
    )
    .execute(connection)
    .await
    .doing(ENDING)?;
    Ok(())
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

/// The job goes back for later.
pub(crate) async fn hand_back(
    connection: &mut SqliteConnection,
    lease: &Lease<Job>,
    after: Duration,
    code: Code,
) -> Result<()> {
    let (after, code) = (micros(after), code.as_str());
    sqlx::query!(
        r#"
        UPDATE ferry_jobs
        SET state = 'ready', not_before = (SELECT at FROM ferry_now) + ?2, code = ?3, holder = NULL,
            expires_at = NULL
        WHERE id = ?1
        "#,
        lease.of.id.0,
        after,
        code
    )
    .execute(connection)
    .await
    .doing("could not hand a job back")?;
    Ok(())
}

/// Fails what is pending in the job's batch; returns the number of items.
pub(crate) async fn fail_pending(connection: &mut SqliteConnection, job: &Job, code: Code) -> Result<i64> {
    let (batch, word) = (batch_of(job)?, code.as_str());
    let failed = sqlx::query!(
        "UPDATE ferry_items SET state = 'failed', code = ?2 WHERE batch_id = ?1 AND state = 'pending'",
        batch.0,
        word
    )
    .execute(connection)
    .await
    .doing(ENDING)?;
    Ok(count(failed.rows_affected()))
}

/// Users that nobody read back are discrepancies, so that the report says so.
pub(crate) async fn note_unread(connection: &mut SqliteConnection, job: &Job) -> Result<i64> {
    let (batch, fields) = (batch_of(job)?, json(&[ending::NOT_READ_BACK]));
    let unread = sqlx::query!(
        r#"
        INSERT OR REPLACE INTO ferry_discrepancies (run_id, seq, batch_id, key, auth0_user_id, fields, found_at)
        SELECT run_id, seq, batch_id, key, coalesce(auth0_user_id, ''), ?2, at
        FROM ferry_items CROSS JOIN ferry_now
        WHERE batch_id = ?1 AND state IN ('created', 'adopted')
        "#,
        batch.0,
        fields
    )
    .execute(connection)
    .await
    .doing(ENDING)?;
    Ok(count(unread.rows_affected()))
}
