//! How jobs, batches and runs end, for all who end them: results written back, a job handed
//! back or given up, users read back.

use std::time::Duration;

use async_trait::async_trait;
use ferry_domain::{
    Attempt, Code, Job, JobKind, Lease, RunId, RunState, Tally, WorkerId, ending, run::RunMove,
};
use ferry_ledger::{
    refusals::batch_of,
    steps::{End, EndSteps, Kept, ReadBack, RunSteps},
};
use sqlx::{query, query_scalar};

use crate::{errors::Tried, transaction::Tx};

#[async_trait]
impl EndSteps for Tx<'_> {
    async fn count_attempt(&mut self, lease: &Lease<Job>, attempt: &Attempt) -> Tried<()> {
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
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    async fn hand_back(&mut self, lease: &Lease<Job>, after: Duration, code: Code) -> Tried<()> {
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
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    async fn count_in(&mut self, job: &Job, ended: &Tally, requests: i64, end: End) -> Tried<i64> {
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
                RETURNING id
            ), progressed AS (
                UPDATE ferry.jobs SET rescues = 0
                WHERE id = $1 AND rescues > 0 AND $8 > 0 AND EXISTS (SELECT FROM counted WHERE pending > 0)
            ), verify AS (
                INSERT INTO ferry.jobs (run_id, batch_id, kind, priority)
                SELECT counted.run_id, counted.id, 'verify', $12
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
        .fetch_one(&mut *self.0)
        .await?;
        Ok(pending)
    }

    async fn close_batch(&mut self, job: &Job, found: &ReadBack, end: End) -> Tried<()> {
        let state = self.lock(job.run).await?;
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
            -- The first one is enough, and is found by the index: there may be thousands.
            SELECT EXISTS (
                SELECT FROM ferry.batches
                WHERE run_id = $8 AND state IN ('open', 'provisioned') AND id <> $2
            ) AS "open!"
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
        .fetch_one(&mut *self.0)
        .await?;
        if !open {
            self.begin_sealing(job.run, state).await?;
        }
        Ok(())
    }

    async fn begin_sealing(&mut self, run: RunId, state: RunState) -> Tried<bool> {
        let Some(after) = state.after(RunMove::BeginSealing) else { return Ok(false) };
        if after != state {
            self.set_state(run, after).await?;
        }
        let made = query!(
            r#"
            INSERT INTO ferry.jobs (run_id, kind, priority)
            VALUES ($1, 'report', $2)
            ON CONFLICT (run_id) WHERE kind = 'report' AND state NOT IN ('done', 'dead') DO NOTHING
            "#,
            run.0,
            JobKind::Report.priority(),
        )
        .execute(&mut *self.0)
        .await?;
        Ok(made.rows_affected() > 0)
    }

    async fn end_job(&mut self, job: &Job, end: End) -> Tried<()> {
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
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    async fn fail_pending(&mut self, job: &Job, code: Code) -> Tried<i64> {
        let failed = query!(
            r#"
            INSERT INTO ferry.outcomes (batch_id, seq, state, code)
            SELECT item.batch_id, item.seq, 'failed', $2 FROM ferry.planned_items AS item
            WHERE item.batch_id = $1 AND item.state = 'pending'
            ON CONFLICT (batch_id, seq) DO NOTHING
            "#,
            batch_of(job)?.0,
            code.as_str(),
        )
        .execute(&mut *self.0)
        .await?;
        Ok(failed.rows_affected() as i64)
    }

    async fn kept(&mut self, job: &Job) -> Tried<Kept> {
        let batch = batch_of(job)?.0;
        let kept = query!(
            r#"
            SELECT verified,
                   (SELECT count(*) FROM ferry.discrepancies WHERE run_id = $2 AND batch_id = $1) AS "differ!",
                   (SELECT count(*) FROM ferry.discrepancies
                    WHERE run_id = $2 AND batch_id = $1 AND fields = jsonb_build_array($3::text)) AS "unread!"
            FROM ferry.batches WHERE id = $1
            "#,
            batch,
            job.run.0,
            ending::NOT_READ_BACK,
        )
        .fetch_one(&mut *self.0)
        .await?;
        Ok(Kept { matched: kept.verified, discrepancies: kept.differ, unread: kept.unread })
    }

    async fn note_unread(&mut self, job: &Job) -> Tried<i64> {
        let unread = query!(
            r#"
            INSERT INTO ferry.discrepancies (run_id, seq, batch_id, key, auth0_user_id, fields)
            SELECT run_id, seq, batch_id, key, coalesce(auth0_user_id, ''), jsonb_build_array($2::text)
            FROM ferry.items WHERE batch_id = $1 AND state IN ('created', 'adopted', 'skipped')
              AND auth0_user_id IS NOT NULL
            ON CONFLICT (run_id, seq) DO UPDATE
            SET fields = excluded.fields, found_at = clock_timestamp()
            "#,
            batch_of(job)?.0,
            ending::NOT_READ_BACK,
        )
        .execute(&mut *self.0)
        .await?;
        Ok(unread.rows_affected() as i64)
    }

    async fn keep_letter(&mut self, job: &Job, code: Code, users: i64, by: WorkerId) -> Tried<()> {
        query!(
            r#"
            INSERT INTO ferry.dead_letters (queue, payload, reason, kind, code, job_id, job_kind, run_id, batch_id,
                                            attempts, rescues, users, given_up_by)
            SELECT kind, ''::bytea, $2, 'job', $3, id, kind, run_id, batch_id, attempts, rescues, $4,
                   coalesce((SELECT host || '/' || pid FROM ferry.workers WHERE workers.id = $5), $5::text)
            FROM ferry.jobs WHERE id = $1
            "#,
            job.id.0,
            code.remedy(),
            code.as_str(),
            users,
            by.0,
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }
}
