//! How jobs, batches and runs end, for all who end them: results written back, a job handed
//! back or given up, users read back.

use std::time::Duration;

use async_trait::async_trait;
use ferry_domain::{
    Attempt, Code, Job, JobKind, Lease, RunId, RunState, Tally, WorkerId, ending, run::RunMove,
};
use ferry_ledger::{
    Result,
    refusals::batch_of,
    steps::{End, EndSteps, Kept, ReadBack, RunSteps},
};
use sqlx::SqliteConnection;

use crate::{
    connection::Tx,
    errors::Doing,
    values::{count, json, micros},
};

const ENDING: &str = "could not end a job";
const SEALING: &str = "could not begin to seal a run";

#[async_trait]
impl EndSteps for Tx<'_> {
    async fn count_attempt(&mut self, lease: &Lease<Job>, attempt: &Attempt) -> Result<()> {
        const DOING: &str = "could not count an attempt";
        let number = sqlx::query_scalar!(
            r#"UPDATE ferry_jobs SET attempts = attempts + 1 WHERE id = ?1 RETURNING attempts AS "number!: i64""#,
            lease.of.id.0
        )
        .fetch_one(&mut *self.0)
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
        .execute(&mut *self.0)
        .await
        .doing(DOING)?;
        Ok(())
    }

    async fn hand_back(&mut self, lease: &Lease<Job>, after: Duration, code: Code) -> Result<()> {
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
        .execute(&mut *self.0)
        .await
        .doing("could not hand a job back")?;
        Ok(())
    }

    async fn count_in(&mut self, job: &Job, ended: &Tally, requests: i64, end: End) -> Result<i64> {
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
        .fetch_one(&mut *self.0)
        .await
        .doing(ENDING)?;
        if pending == 0 {
            provisioned(&mut *self.0, job).await?;
            self.end_job(job, end).await?;
        } else if finished > 0 && job.rescues > 0 {
            sqlx::query!("UPDATE ferry_jobs SET rescues = 0 WHERE id = ?1", job.id.0)
                .execute(&mut *self.0)
                .await
                .doing(ENDING)?;
        }
        Ok(pending)
    }

    async fn close_batch(&mut self, job: &Job, found: &ReadBack, end: End) -> Result<()> {
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
        .execute(&mut *self.0)
        .await
        .doing(ENDING)?;
        self.end_job(job, end).await?;
        let open = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM ferry_batches WHERE run_id = ?1 AND state <> 'verified') AS "open!: bool""#,
            job.run.0
        )
        .fetch_one(&mut *self.0)
        .await
        .doing(SEALING)?;
        if !open {
            let state = self.lock(job.run).await?;
            self.begin_sealing(job.run, state).await?;
        }
        Ok(())
    }

    async fn begin_sealing(&mut self, run: RunId, state: RunState) -> Result<bool> {
        let Some(after) = state.after(RunMove::BeginSealing) else { return Ok(false) };
        if after != state {
            self.set_state(run, after).await?;
        }
        let priority = JobKind::Report.priority();
        let made = sqlx::query!(
            r#"
            INSERT INTO ferry_jobs (id, run_id, kind, state, priority, not_before, created_at)
            SELECT randomblob(16), ?1, 'report', 'ready', ?2, at, at
            FROM ferry_now
            WHERE NOT EXISTS (
                SELECT 1 FROM ferry_jobs WHERE run_id = ?1 AND kind = 'report' AND state NOT IN ('done', 'dead')
            )
            "#,
            run.0,
            priority
        )
        .execute(&mut *self.0)
        .await
        .doing(SEALING)?;
        Ok(made.rows_affected() > 0)
    }

    async fn end_job(&mut self, job: &Job, end: End) -> Result<()> {
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
        .execute(&mut *self.0)
        .await
        .doing(ENDING)?;
        Ok(())
    }

    async fn fail_pending(&mut self, job: &Job, code: Code) -> Result<i64> {
        let (batch, word) = (batch_of(job)?, code.as_str());
        let failed = sqlx::query!(
            "UPDATE ferry_items SET state = 'failed', code = ?2 WHERE batch_id = ?1 AND state = 'pending'",
            batch.0,
            word
        )
        .execute(&mut *self.0)
        .await
        .doing(ENDING)?;
        Ok(count(failed.rows_affected()))
    }

    async fn kept(&mut self, job: &Job) -> Result<Kept> {
        let (batch, unread) = (batch_of(job)?, json(&[ending::NOT_READ_BACK]));
        let kept = sqlx::query!(
            r#"
            SELECT verified,
                   (SELECT count(*) FROM ferry_discrepancies WHERE run_id = ?2 AND batch_id = ?1) AS "differ!: i64",
                   (SELECT count(*) FROM ferry_discrepancies
                    WHERE run_id = ?2 AND batch_id = ?1 AND fields = ?3) AS "unread!: i64"
            FROM ferry_batches WHERE id = ?1
            "#,
            batch.0,
            job.run.0,
            unread
        )
        .fetch_one(&mut *self.0)
        .await
        .doing(ENDING)?;
        Ok(Kept { matched: kept.verified, discrepancies: kept.differ, unread: kept.unread })
    }

    async fn note_unread(&mut self, job: &Job) -> Result<i64> {
        let (batch, fields) = (batch_of(job)?, json(&[ending::NOT_READ_BACK]));
        let unread = sqlx::query!(
            r#"
            INSERT OR REPLACE INTO ferry_discrepancies (run_id, seq, batch_id, key, auth0_user_id, fields, found_at)
            SELECT run_id, seq, batch_id, key, coalesce(auth0_user_id, ''), ?2, at
            FROM ferry_items CROSS JOIN ferry_now
            WHERE batch_id = ?1 AND state IN ('created', 'adopted', 'skipped')
              AND auth0_user_id IS NOT NULL
            "#,
            batch.0,
            fields
        )
        .execute(&mut *self.0)
        .await
        .doing(ENDING)?;
        Ok(count(unread.rows_affected()))
    }

    async fn keep_letter(&mut self, job: &Job, code: Code, users: i64, by: WorkerId) -> Result<()> {
        let (word, remedy, nameless) = (code.as_str(), code.remedy(), by.to_string());
        sqlx::query!(
            r#"
            INSERT INTO ferry_dead_letters (queue, payload, reason, received_at, kind, code, job_id, job_kind, run_id,
                                            batch_id, attempts, rescues, users, given_up_by)
            SELECT kind, x'', ?5, at, 'job', ?2, id, kind, run_id, batch_id, attempts, rescues, ?3,
                   coalesce((SELECT host || '/' || pid FROM ferry_workers AS w WHERE w.id = ?4), ?6)
            FROM ferry_jobs CROSS JOIN ferry_now WHERE id = ?1
            "#,
            job.id.0,
            word,
            users,
            by.0,
            remedy,
            nameless
        )
        .execute(&mut *self.0)
        .await
        .doing("could not keep a dead letter")?;
        Ok(())
    }
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
        INSERT INTO ferry_jobs (id, run_id, batch_id, kind, state, priority, not_before, created_at)
        SELECT randomblob(16), ?1, ?2, 'verify', 'ready', ?3, at, at FROM ferry_now WHERE true
        ON CONFLICT DO NOTHING
        "#,
        job.run.0,
        batch.0,
        priority
    )
    .execute(connection)
    .await
    .doing(ENDING)?;
    Ok(())
}
