//! What relay, rescue and janitor ask.

use std::time::Duration;

use async_trait::async_trait;
use ferry_domain::{
    BatchId, Code, Envelope, JobId, RunId, Tally, WorkerId,
    ports::{DeadLetter, LedgerError, Relaying, Rescued},
    threshold::StopAfter,
};
use sqlx::{query, query_as, query_scalar};

use crate::{
    PostgresLedger,
    errors::Fault,
    rows::{self, JobRow},
    settling,
};

type Result<T> = std::result::Result<T, LedgerError>;

/// After a report job was given up, the next one is made this much later.
const REPORT_AGAIN: Duration = Duration::from_secs(30);

#[async_trait]
impl Relaying for PostgresLedger {
    /// A holder is followed at once when its lock is free, or when its row is gone since it
    /// took the role (`rescue`).
    async fn lead(&self, role: &'static str, holder: WorkerId, ttl: Duration) -> Result<bool> {
        let led = query!(
            r#"
            INSERT INTO ferry.roles AS mine (role, holder, expires_at, registered)
            VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3),
                    EXISTS (SELECT FROM ferry.workers WHERE id = $2))
            ON CONFLICT (role) DO UPDATE
            SET holder = excluded.holder, expires_at = excluded.expires_at, registered = excluded.registered
            WHERE mine.holder = excluded.holder
               OR mine.expires_at <= clock_timestamp()
               OR mine.registered AND coalesce((
                      SELECT CASE WHEN watched THEN pg_try_advisory_xact_lock_shared(ferry.presence_key(id))
                                  ELSE false END
                      FROM ferry.workers WHERE id = mine.holder), true)
            "#,
            role,
            holder.0,
            ttl.as_secs_f64(),
        )
        .execute(&self.pool)
        .await
        .map_err(self.sql_failed("could not take a role"))?;
        Ok(led.rows_affected() > 0)
    }

    async fn step_down(&self, role: &'static str, holder: WorkerId) -> Result<()> {
        query!("DELETE FROM ferry.roles WHERE role = $1 AND holder = $2", role, holder.0)
            .execute(&self.pool)
            .await
            .map_err(self.sql_failed("could not give a role up"))?;
        Ok(())
    }

    async fn live_slots(&self, fresh: Duration) -> Result<i64> {
        query_scalar!(
            r#"
            SELECT coalesce(sum(slots), 0)::bigint AS "slots!" FROM ferry.workers
            WHERE seen_at >= clock_timestamp() - make_interval(secs => $1)
            "#,
            fresh.as_secs_f64(),
        )
        .fetch_one(&self.pool)
        .await
        .map_err(self.sql_failed("could not count worker slots"))
    }

    async fn take_ready(&self, most: i64) -> Result<Vec<Envelope>> {
        let rows = query_as!(
            JobRow,
            r#"
            WITH due AS (
                SELECT job.id, job.priority, job.created_at
                FROM ferry.jobs AS job JOIN ferry.runs AS run ON run.id = job.run_id
                WHERE job.state = 'ready'
                  AND job.not_before <= clock_timestamp()
                  AND run.state IN ('running', 'sealing', 'cancelling')
                  AND NOT EXISTS (SELECT FROM ferry.controls WHERE name = 'stop_all' AND value = 'true')
                ORDER BY job.priority, job.created_at, job.id
                LIMIT $1
                FOR UPDATE OF job SKIP LOCKED
            ), sent AS (
                UPDATE ferry.jobs AS job
                SET state = 'queued', send = job.send + 1, queued_at = clock_timestamp()
                FROM due
                WHERE job.id = due.id
                RETURNING job.id, job.run_id, job.batch_id, job.kind, job.send, job.rescues, job.traceparent
            )
            SELECT sent.id, sent.run_id, sent.batch_id, sent.kind, sent.send, sent.rescues, sent.traceparent
            FROM sent JOIN due ON due.id = sent.id
            ORDER BY due.priority, due.created_at, due.id
            "#,
            most,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not take ready jobs"))?;
        rows::all(rows)
    }

    async fn take_rescued(&self, most: i64) -> Result<Vec<Envelope>> {
        let rows = query_as!(
            JobRow,
            r#"
            WITH due AS (
                SELECT job.id, job.priority, job.created_at
                FROM ferry.jobs AS job JOIN ferry.runs AS run ON run.id = job.run_id
                WHERE job.state = 'ready' AND job.rescues > 0 AND job.kind = 'provision'
                  AND job.not_before <= clock_timestamp()
                  AND run.state IN ('running', 'sealing', 'cancelling')
                  AND NOT EXISTS (SELECT FROM ferry.controls WHERE name = 'stop_all' AND value = 'true')
                ORDER BY job.priority, job.created_at, job.id
                LIMIT $1
                FOR UPDATE OF job SKIP LOCKED
            ), sent AS (
                UPDATE ferry.jobs AS job
                SET state = 'queued', send = job.send + 1, queued_at = clock_timestamp()
                FROM due
                WHERE job.id = due.id
                RETURNING job.id, job.run_id, job.batch_id, job.kind, job.send, job.rescues, job.traceparent
            )
            SELECT sent.id, sent.run_id, sent.batch_id, sent.kind, sent.send, sent.rescues, sent.traceparent
            FROM sent JOIN due ON due.id = sent.id
            ORDER BY due.priority, due.created_at, due.id
            "#,
            most,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not take rescued jobs"))?;
        rows::all(rows)
    }

    async fn queued(&self) -> Result<i64> {
        query_scalar!(r#"SELECT count(*) AS "count!" FROM ferry.jobs WHERE state = 'queued'"#)
            .fetch_one(&self.pool)
            .await
            .map_err(self.sql_failed("could not count queued jobs"))
    }

    async fn queued_longer_than(&self, age: Duration, most: i64) -> Result<Vec<Envelope>> {
        // The subquery is worked out once, so that the index is used.
        let rows = query_as!(
            JobRow,
            r#"
            SELECT id, run_id, batch_id, kind, send, rescues, traceparent
            FROM ferry.jobs
            WHERE state = 'queued'
              AND queued_at < (SELECT clock_timestamp() - make_interval(secs => $1))
            ORDER BY queued_at, id
            LIMIT $2
            "#,
            age.as_secs_f64(),
            most,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not look for lost sends"))?;
        rows::all(rows)
    }

    async fn unsend(&self, sends: &[Envelope]) -> Result<u64> {
        let jobs: Vec<_> = sends.iter().map(|send| send.job.0).collect();
        let numbers: Vec<i32> = sends.iter().map(|send| send.send).collect();
        let unsent = query!(
            r#"
            UPDATE ferry.jobs AS job
            SET state = 'ready', queued_at = NULL
            FROM unnest($1::uuid[], $2::integer[]) AS given (id, send)
            WHERE job.id = given.id AND job.send = given.send AND job.state = 'queued'
            "#,
            &jobs,
            &numbers,
        )
        .execute(&self.pool)
        .await
        .map_err(self.sql_failed("could not take sends back"))?;
        Ok(unsent.rows_affected())
    }

    async fn rescue(&self, me: WorkerId, expired: bool) -> Result<Vec<Rescued>> {
        self.take_back(me, expired).await
    }

    async fn halve(&self, job: JobId, into: BatchId) -> Result<i64> {
        self.halve_batch(job, into).await
    }

    async fn give_up(&self, job: JobId, code: Code, by: &str) -> Result<bool> {
        self.bury_job(job, code, by).await
    }

    async fn watched_runs(&self) -> Result<Vec<(RunId, StopAfter, Tally)>> {
        self.runs_with_limits().await
    }

    async fn seal_finished(&self) -> Result<u64> {
        self.sweep().await.map_err(self.failed("could not seal finished runs"))
    }

    async fn bury(&self, letter: &DeadLetter) -> Result<()> {
        self.keep_payload(letter).await
    }
}

impl PostgresLedger {
    /// Runs are locked first and looked at again afterwards: a retry may have given
    /// one new batches in between.
    async fn sweep(&self) -> std::result::Result<u64, Fault> {
        let mut tx = self.begin().await?;
        let finished = query_scalar!(
            r#"
            SELECT run.id FROM ferry.runs AS run
            WHERE run.state IN ('running', 'sealing', 'cancelling')
              AND NOT EXISTS (SELECT FROM ferry.batches WHERE run_id = run.id AND state <> 'verified')
              AND NOT EXISTS (
                  SELECT FROM ferry.jobs
                  WHERE run_id = run.id AND kind = 'report'
                    AND (state NOT IN ('done', 'dead')
                         OR state = 'dead' AND ended_at > clock_timestamp() - make_interval(secs => $1)))
            FOR NO KEY UPDATE SKIP LOCKED
            "#,
            REPORT_AGAIN.as_secs_f64(),
        )
        .fetch_all(&mut *tx)
        .await?;
        let made = if finished.is_empty() { 0 } else { settling::begin_sealing(&mut tx, &finished).await? };
        tx.commit().await?;
        Ok(made)
    }
}
