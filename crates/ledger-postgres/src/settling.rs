//! How batches and jobs end, for all who end them: results written back, a job
//! given up, users read back.

use ferry_domain::{Code, Job, JobKind, JobState, RunState, Tally, job::JobMove, run::RunMove};
use sqlx::{PgConnection, query, query_scalar};
use uuid::Uuid;

use crate::{errors::Fault, lease::batch_of, rows};

/// How the job ends when its batch does.
#[derive(Clone, Copy)]
pub(crate) enum End {
    Done,
    Dead(Code),
}

impl End {
    pub(crate) fn state(self) -> &'static str {
        let step = match self {
            End::Done => JobMove::Finish,
            End::Dead(_) => JobMove::GiveUp,
        };
        JobState::Leased.after(step).map_or("", JobState::as_str)
    }

    pub(crate) fn code(self) -> Option<&'static str> {
        match self {
            End::Done => None,
            End::Dead(code) => Some(code.as_str()),
        }
    }
}

/// Moves items of a batch from pending to where `ended` counts them. With the last
/// one the batch is provisioned, its verify job is made and this job ends, all in the
/// same statement; a batch that only got on has no deaths against it any more
/// (`ferry_domain::poison`). Returns the items still pending.
pub(crate) async fn count_in(
    connection: &mut PgConnection,
    job: &Job,
    ended: &Tally,
    requests: i64,
    end: End,
) -> Result<i64, Fault> {
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
        ), got_on AS (
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
/// batches are counted: two verifiers that count at once would each see the other's
/// batch open, and nobody would seal the run.
pub(crate) async fn close_batch(
    connection: &mut PgConnection,
    job: &Job,
    found: &ReadBack,
    end: End,
) -> Result<(), Fault> {
    let run = job.run.0;
    let state = lock_run(connection, run).await?;
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
        run,
    )
    .fetch_one(&mut *connection)
    .await?;
    // A paused run is sealed by the sweep, once it runs again.
    if open == 0 && state.after(RunMove::BeginSealing).is_some() {
        begin_sealing(connection, &[run]).await?;
    }
    Ok(())
}

/// Locks a run, so that its batches stay as they are counted next.
pub(crate) async fn lock_run(connection: &mut PgConnection, run: Uuid) -> Result<RunState, Fault> {
    let state = query_scalar!("SELECT state FROM ferry.runs WHERE id = $1 FOR NO KEY UPDATE", run)
        .fetch_one(connection)
        .await?;
    Ok(rows::run_state(run, &state)?)
}

/// Makes the report jobs of locked runs that have nothing open; says how many. A run that
/// was given up stays `cancelling` until its report is kept.
pub(crate) async fn begin_sealing(connection: &mut PgConnection, runs: &[Uuid]) -> Result<u64, Fault> {
    let sealing = query!(
        r#"
        WITH sealing AS (
            UPDATE ferry.runs AS run
            SET state = CASE WHEN state = 'cancelling' THEN 'cancelling' ELSE 'sealing' END
            WHERE id = ANY($1)
              AND state IN ('running', 'sealing', 'cancelling')
              AND NOT EXISTS (SELECT FROM ferry.batches WHERE run_id = run.id AND state <> 'verified')
            RETURNING id
        )
        INSERT INTO ferry.jobs (run_id, kind, priority, traceparent)
        SELECT id, 'report', $2, ferry.new_traceparent() FROM sealing
        ON CONFLICT (run_id) WHERE kind = 'report' AND state NOT IN ('done', 'dead') DO NOTHING
        "#,
        runs,
        JobKind::Report.priority(),
    )
    .execute(connection)
    .await?;
    Ok(sealing.rows_affected())
}

/// Ends a job that leaves nothing else to do.
pub(crate) async fn end_job(connection: &mut PgConnection, job: &Job, end: End) -> Result<(), Fault> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_for_an_ended_job_are_those_of_the_domain() {
        assert_eq!((End::Done.state(), End::Done.code()), ("done", None));
        assert_eq!((End::Dead(Code::Ghost).state(), End::Dead(Code::Ghost).code()), ("dead", Some("GHOST")));
    }
}
