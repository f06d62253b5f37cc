//! What relay, rescue and janitor ask. Most are one statement, which takes the
//! write lock at its start.

use std::time::Duration;

use async_trait::async_trait;
use ferry_domain::{
    BatchId, Code, Envelope, JobId, JobKind, RunId, Tally, WorkerId,
    ports::{DeadLetter, Relaying, Rescued},
    threshold::StopAfter,
};
use uuid::Uuid;

use crate::{
    SqliteLedger,
    errors::{Doing, Result},
    rows::{SendRow, hex, json, micros},
};

/// After a report job died, the next one waits: 30 s, in microseconds.
const REPORT_PAUSE: i64 = 30_000_000;

const LEADING: &str = "could not decide on a role";
const SWEEPING: &str = "could not look for finished runs";

#[async_trait]
impl Relaying for SqliteLedger {
    async fn lead(&self, role: &'static str, holder: WorkerId, ttl: Duration) -> Result<bool> {
        let ttl = micros(ttl);
        let taken = sqlx::query!(
            r#"
            INSERT INTO ferry_roles (role, holder, expires_at)
            SELECT ?1, ?2, at + ?3 FROM ferry_now WHERE true
            ON CONFLICT (role) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
            WHERE holder = excluded.holder OR expires_at <= (SELECT at FROM ferry_now)
               OR EXISTS (SELECT 1 FROM ferry_workers WHERE id = excluded.holder AND watched = 1)
            "#,
            role,
            holder.0,
            ttl
        )
        .execute(self.writer())
        .await
        .doing(LEADING)?;
        Ok(taken.rows_affected() > 0)
    }

    async fn step_down(&self, role: &'static str, holder: WorkerId) -> Result<()> {
        sqlx::query!("DELETE FROM ferry_roles WHERE role = ?1 AND holder = ?2", role, holder.0)
            .execute(self.writer())
            .await
            .doing(LEADING)?;
        Ok(())
    }

    async fn live_slots(&self, fresh: Duration) -> Result<i64> {
        let fresh = micros(fresh);
        sqlx::query_scalar!(
            r#"
            SELECT coalesce(sum(slots), 0) AS "slots!: i64" FROM ferry_workers
            WHERE seen_at > (SELECT at FROM ferry_now) - ?1
            "#,
            fresh
        )
        .fetch_one(self.reader())
        .await
        .doing("could not count live workers")
    }

    async fn take_ready(&self, most: i64) -> Result<Vec<Envelope>> {
        // CROSS JOIN keeps the jobs outside, in the order of their index, so that
        // the limit ends the search.
        let mut rows = sqlx::query_as!(
            SendRow,
            r#"
            UPDATE ferry_jobs
            SET state = 'queued', send = send + 1, queued_at = (SELECT at FROM ferry_now)
            WHERE number IN (
                SELECT j.number
                FROM ferry_jobs AS j CROSS JOIN ferry_runs AS r ON r.id = j.run_id
                WHERE j.state = 'ready' AND j.not_before <= (SELECT at FROM ferry_now)
                  AND r.state IN ('running', 'sealing', 'cancelling')
                  AND NOT EXISTS (SELECT 1 FROM ferry_controls WHERE name = 'stop_all' AND value = 'on')
                ORDER BY j.priority, j.created_at, j.number
                LIMIT ?1
            )
            RETURNING id AS "id!: Uuid", run_id AS "run_id!: Uuid", batch_id AS "batch_id?: Uuid",
                      kind AS "kind!: String", send AS "send!: i32", rescues AS "rescues!: i32", traceparent AS "traceparent?: String",
                      priority AS "priority!: i64", created_at AS "created_at!: i64", number AS "number!: i64"
            "#,
            most
        )
        .fetch_all(self.writer())
        .await
        .doing("could not take jobs to send")?;
        // RETURNING promises no order.
        rows.sort_unstable_by_key(SendRow::order);
        rows.into_iter().map(SendRow::envelope).collect()
    }

    async fn take_rescued(&self, most: i64) -> Result<Vec<Envelope>> {
        // CROSS JOIN keeps the jobs outside, in the order of their index, so that
        // the limit ends the search.
        let mut rows = sqlx::query_as!(
            SendRow,
            r#"
            UPDATE ferry_jobs
            SET state = 'queued', send = send + 1, queued_at = (SELECT at FROM ferry_now)
            WHERE number IN (
                SELECT j.number
                FROM ferry_jobs AS j CROSS JOIN ferry_runs AS r ON r.id = j.run_id
                WHERE j.state = 'ready' AND j.rescues > 0 AND j.kind = 'provision'
                  AND j.not_before <= (SELECT at FROM ferry_now)
                  AND r.state IN ('running', 'sealing', 'cancelling')
                  AND NOT EXISTS (SELECT 1 FROM ferry_controls WHERE name = 'stop_all' AND value = 'on')
                ORDER BY j.priority, j.created_at, j.number
                LIMIT ?1
            )
            RETURNING id AS "id!: Uuid", run_id AS "run_id!: Uuid", batch_id AS "batch_id?: Uuid",
                      kind AS "kind!: String", send AS "send!: i32", rescues AS "rescues!: i32", traceparent AS "traceparent?: String",
                      priority AS "priority!: i64", created_at AS "created_at!: i64", number AS "number!: i64"
            "#,
            most
        )
        .fetch_all(self.writer())
        .await
        .doing("could not take rescued jobs")?;
        // RETURNING promises no order.
        rows.sort_unstable_by_key(SendRow::order);
        rows.into_iter().map(SendRow::envelope).collect()
    }

    async fn queued(&self) -> Result<i64> {
        sqlx::query_scalar!(r#"SELECT count(*) AS "count!: i64" FROM ferry_jobs WHERE state = 'queued'"#)
            .fetch_one(self.reader())
            .await
            .doing("could not count queued jobs")
    }

    async fn queued_longer_than(&self, age: Duration, most: i64) -> Result<Vec<Envelope>> {
        let age = micros(age);
        let rows = sqlx::query_as!(
            SendRow,
            r#"
            SELECT id AS "id!: Uuid", run_id AS "run_id!: Uuid", batch_id AS "batch_id?: Uuid",
                   kind AS "kind!: String", send AS "send!: i32", rescues AS "rescues!: i32", traceparent AS "traceparent?: String",
                   priority AS "priority!: i64", created_at AS "created_at!: i64", number AS "number!: i64"
            FROM ferry_jobs
            WHERE state = 'queued' AND queued_at <= (SELECT at FROM ferry_now) - ?1
            ORDER BY queued_at, number
            LIMIT ?2
            "#,
            age,
            most
        )
        .fetch_all(self.reader())
        .await
        .doing("could not look for old sends")?;
        rows.into_iter().map(SendRow::envelope).collect()
    }

    async fn unsend(&self, sends: &[Envelope]) -> Result<u64> {
        let sends: Vec<_> = sends.iter().map(|envelope| (hex(envelope.job.0), envelope.send)).collect();
        let sends = json(&sends);
        let back = sqlx::query!(
            r#"
            UPDATE ferry_jobs SET state = 'ready', queued_at = NULL
            FROM json_each(?1)
            WHERE ferry_jobs.id = unhex(value ->> 0) AND send = value ->> 1 AND state = 'queued'
            "#,
            sends
        )
        .execute(self.writer())
        .await
        .doing("could not take sends back")?;
        Ok(back.rows_affected())
    }

    async fn rescue(&self, me: WorkerId, expired: bool) -> Result<Vec<Rescued>> {
        self.take_back(me, expired).await
    }

    async fn halve(&self, job: JobId, into: BatchId) -> Result<i64> {
        self.halve_batch(job, into).await
    }

    async fn give_up(&self, job: JobId, code: Code, by: &str) -> Result<bool> {
        self.give_up_unheld(job, code, by).await
    }

    async fn watched_runs(&self) -> Result<Vec<(RunId, StopAfter, Tally)>> {
        self.runs_to_watch().await
    }

    async fn seal_finished(&self) -> Result<u64> {
        let priority = JobKind::Report.priority();
        let mut tx = self.write(SWEEPING).await?;
        // A run that is `sealing` lost its report job when that one died. One that is
        // cancelled with nothing to ask about never had one.
        let made = sqlx::query!(
            r#"
            INSERT INTO ferry_jobs (id, run_id, kind, state, priority, not_before, created_at, traceparent)
            SELECT randomblob(16), r.id, 'report', 'ready', ?1, n.at, n.at,
                   '00-' || lower(hex(randomblob(16))) || '-' || lower(hex(randomblob(8))) || '-01'
            FROM ferry_runs AS r CROSS JOIN ferry_now AS n
            WHERE r.state IN ('running', 'sealing', 'cancelling')
              AND NOT EXISTS (SELECT 1 FROM ferry_batches AS b WHERE b.run_id = r.id AND b.state <> 'verified')
              AND NOT EXISTS (
                  SELECT 1 FROM ferry_jobs AS j
                  WHERE j.run_id = r.id AND j.kind = 'report'
                    AND (j.state NOT IN ('done', 'dead') OR j.state = 'dead' AND j.ended_at > n.at - ?2)
              )
            "#,
            priority,
            REPORT_PAUSE
        )
        .execute(&mut *tx)
        .await
        .doing(SWEEPING)?;
        sqlx::query!(
            r#"
            UPDATE ferry_runs SET state = 'sealing'
            WHERE state = 'running' AND EXISTS (
                SELECT 1 FROM ferry_jobs AS j
                WHERE j.run_id = ferry_runs.id AND j.kind = 'report' AND j.state = 'ready'
            )
            "#
        )
        .execute(&mut *tx)
        .await
        .doing(SWEEPING)?;
        tx.commit().await.doing(SWEEPING)?;
        Ok(made.rows_affected())
    }

    async fn bury(&self, letter: &DeadLetter) -> Result<()> {
        self.keep_payload(letter).await
    }
}
