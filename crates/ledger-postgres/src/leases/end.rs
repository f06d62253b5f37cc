//! How jobs, batches and runs end, for all who end them: results written back, a job handed
//! back or given up, users read back.

use std::time::Duration;

use ferry_domain::{
    Attempt, Code, Job, JobKind, JobState, Lease, RunId, RunState, Tally, ending, run::RunMove,
};
use ferry_ledger::refusals::batch_of;
use sqlx::{PgConnection, query, query_scalar};

use crate::{errors::Tried, runs};

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
/// one the batch is provisioned, its verify job is made and this job ends, all in the
/// same statement; a batch that only made progress has its rescues cleared
/// (`ferry_domain::poison`). Returns the number of items still pending.
pub(crate) async fn count_in(
    connection: &mut PgConnection,
    job: &Job,
    ended: &Tally,
    requests: i64,
    end: End,
) -> Tried<i64> {
    let pending = query_scalar!(
        r#"
        WITH counted AS (
            UPDATE ferry.batches
            SET created = created + $3, adopted = adopted + $4, skipped = skipped + $5,
                conflict = conflict + $6, failed = failed + $7, cancelled = cancelled + $13,
                pending = pending - $8, requests = requests + $9,
                state = CASE WHEN pending = $8 AND state = 'open' THEN 'provisioned' ELSE state END,
                provisioned_at = CASE WHEN pending = $8 THEN coalesce(provisioned_at, clock_timestamp())
                                      ELSE provisioned_at END
            WHERE id = $2
            RETURNING id, run_id, pending
        ), ended AS (
            UPDATE ferry.jobs
            SET state = $10, code = coalesce($11, code), ended_at = clock_timestamp(), holder = NULL,
                expires_at = NULL, queued_at = NULL
            WHERE id = $1 AND EXISTS (SELECT FROM counted WHERE pending = 0)
            RETURNING traceparent
        ), progressed AS (
            UPDATE ferry.jobs SET rescues = 0
            WHERE id = $1 AND rescues > 0 AND $8 > 0 AND EXISTS (SELECT FROM counted WHERE pending > 0)
        ), verify AS (
            INSERT INTO ferry.jobs (run_id, batch_id, kind, priority, traceparent)
            SELECT counted.run_id, counted.id, 'verify', $12, ended.traceparent
            FROM counted CROSS JOIN ended
            ON CONFLICT (batch_id, kind) WHERE batch_id IS NOT NULL DO NOTHING
        )
        SELECT pending FROM counted
        "#,
        job.id.0,
        batch_of(job)?.0,
        ended.created,
        ended.adopted,
        ended.skipped,
        ended.conflict,
        ended.failed,
        ended.finished(),
        requests,
        end.state(),
        end.code(),
        JobKind::Verify.priority(),
        ended.cancelled,
    )
    .fetch_one(connection)
    .await?;
    Ok(pending)
}

/// Counts of a batch that was read back, or given up.
pub(crate) struct ReadBack {
    pub matched: i64,
    pub discrepancies: i64,
    pub requests: i64,
}

/// Ends a batch and its verify job. The run row is locked **before** its open
/// batches are counted: two verifiers that count at the same time would each see the other's
/// batch open, and nobody would seal the run.
pub(crate) async fn close_batch(
    connection: &mut PgConnection,
    job: &Job,
    found: &ReadBack,
    end: End,
) -> Tried<()> {
    let state = runs::lock(connection, job.run).await?;
    let open = query_scalar!(
        r#"
        WITH closed AS (
            UPDATE ferry.batches
            SET state = 'verified', verified_at = clock_timestamp(), verified = $3, discrepancies = $4,
                requests = requests + $5
            WHERE id = $2
        ), ended AS (
            UPDATE ferry.jobs
            SET state = $6, code = coalesce($7, code), ended_at = clock_timestamp(), holder = NULL,
                expires_at = NULL, queued_at = NULL
            WHERE id = $1
        )
        SELECT count(*) AS "open!" FROM ferry.batches
        WHERE run_id = $8 AND state <> 'verified' AND id <> $2
        "#,
        job.id.0,
        batch_of(job)?.0,
        found.matched,
        found.discrepancies,
        found.requests,
        end.state(),
        end.code(),
        job.run.0,
    )
    .fetch_one(&mut *connection)
    .await?;
    if open == 0 {
        begin_sealing(connection, job.run, state).await?;
    }
    Ok(())
}

/// Makes the report job of a locked run that has nothing open, unless there is one; returns
/// whether it did. A paused run is left to the sweep, which finds it when it runs again.
pub(crate) async fn begin_sealing(connection: &mut PgConnection, run: RunId, state: RunState) -> Tried<bool> {
    let Some(after) = state.after(RunMove::BeginSealing) else { return Ok(false) };
    if after != state {
        runs::set_state(connection, run, after, None).await?;
    }
    let made = query!(
        r#"
        INSERT INTO ferry.jobs (run_id, kind, priority, traceparent)
        VALUES ($1, 'report', $2, ferry.new_traceparent())
        ON CONFLICT (run_id) WHERE kind = 'report' AND state NOT IN ('done', 'dead') DO NOTHING
        "#,
        run.0,
        JobKind::Report.priority(),
    )
    .execute(connection)
    .await?;
    Ok(made.rows_affected() > 0)
}

/// Ends a job that leaves nothing else to do.
pub(crate) async fn end_job(connection: &mut PgConnection, job: &Job, end: End) -> Tried<()> {
    query!(
        r#"
        UPDATE ferry.jobs
        SET state = $2, code = coalesce($3, code), ended_at = clock_timestamp(), holder = NULL,
            expires_at = NULL, queued_at = NULL
        WHERE id = $1
        "#,
        job.id.0,
        end.state(),
        end.code(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Counts a try that did not succeed. The store numbers it: the holder may have read
/// its count before another one's try.
pub(crate) async fn count_attempt(
    connection: &mut PgConnection,
    lease: &Lease<Job>,
    attempt: &Attempt,
) -> Tried<()> {
    query!(
        r#"
        WITH counted AS (
            UPDATE ferry.jobs SET attempts = attempts + 1 WHERE id = $1 RETURNING attempts
        )
        INSERT INTO ferry.attempts (job_id, number, code, took_ms, holder)
        SELECT $1::uuid, attempts, $2::text, $3::bigint, $4::uuid FROM counted
        "#,
        lease.of.id.0,
        attempt.code.as_str(),
        i64::try_from(attempt.took.as_millis()).unwrap_or(i64::MAX),
        lease.holder.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The job goes back for later.
pub(crate) async fn hand_back(
    connection: &mut PgConnection,
    lease: &Lease<Job>,
    after: Duration,
    code: Code,
) -> Tried<()> {
    query!(
        r#"
        UPDATE ferry.jobs
        SET state = 'ready', holder = NULL, expires_at = NULL, code = $3,
            not_before = clock_timestamp() + make_interval(secs => $2)
        WHERE id = $1
        "#,
        lease.of.id.0,
        after.as_secs_f64(),
        code.as_str(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Fails what is pending in the job's batch; returns the number of items.
pub(crate) async fn fail_pending(connection: &mut PgConnection, job: &Job, code: Code) -> Tried<i64> {
    let failed = query!(
        "UPDATE ferry.items SET state = 'failed', code = $2 WHERE batch_id = $1 AND state = 'pending'",
        batch_of(job)?.0,
        code.as_str(),
    )
    .execute(connection)
    .await?;
    Ok(failed.rows_affected() as i64)
}

/// Users that nobody read back are discrepancies, so that the report says so.
pub(crate) async fn note_unread(connection: &mut PgConnection, job: &Job) -> Tried<i64> {
    let unread = query!(
        r#"
        INSERT INTO ferry.discrepancies (run_id, seq, batch_id, key, auth0_user_id, fields)
        SELECT run_id, seq, batch_id, key, coalesce(auth0_user_id, ''), jsonb_build_array($2::text)
        FROM ferry.items WHERE batch_id = $1 AND state IN ('created', 'adopted')
        ON CONFLICT (run_id, seq) DO UPDATE
        SET fields = excluded.fields, found_at = clock_timestamp()
        "#,
        batch_of(job)?.0,
        ending::NOT_READ_BACK,
    )
    .execute(connection)
    .await?;
    Ok(unread.rows_affected() as i64)
}
