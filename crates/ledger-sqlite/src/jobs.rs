//! Jobs that nobody holds. Most questions are one statement, which takes the write lock at
//! its start.

mod halve;

use std::time::Duration;

use async_trait::async_trait;
use ferry_domain::{
    BatchId, Code, Envelope, Job, JobId, RunId, WorkerId, ending,
    ports::{JobCount, Jobs, QueueCount},
};
use ferry_ledger::{
    Result,
    lists::CountRow,
    rows::{JobRow, SendRow},
    scripts,
};
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::{
    SqliteLedger,
    connection::Tx,
    errors::Doing,
    values::{hex, json, micros, span},
};

const HALVING: &str = "could not halve a batch";
const GIVING_UP: &str = "could not give a job up";
const COUNTING: &str = "could not count jobs";

/// A job that was taken for a send. The last three fields are the order of sends; RETURNING
/// promises none.
struct TakenRow {
    id: Uuid,
    run_id: Uuid,
    batch_id: Option<Uuid>,
    kind: String,
    send: i32,
    rescues: i32,
    priority: i64,
    created_at: i64,
    number: i64,
}

fn in_order(mut rows: Vec<TakenRow>) -> Result<Vec<Envelope>> {
    rows.sort_unstable_by_key(|row| (row.priority, row.created_at, row.number));
    rows.into_iter()
        .map(|TakenRow { id, run_id, batch_id, kind, send, rescues, .. }| {
            SendRow { id, run_id, batch_id, kind, send, rescues }.envelope()
        })
        .collect()
}

#[async_trait]
impl Jobs for SqliteLedger {
    async fn take_ready(&self, most: i64) -> Result<Vec<Envelope>> {
        // CROSS JOIN keeps the jobs outside, in the order of their index, so that
        // the limit ends the search.
        let rows = sqlx::query_as!(
            TakenRow,
            r#"
            UPDATE ferry_jobs
            SET state = 'queued', send = send + 1, queued_at = (SELECT at FROM ferry_now)
            WHERE number IN (
                SELECT j.number
                FROM ferry_jobs AS j CROSS JOIN ferry_runs AS r ON r.id = j.run_id
                WHERE j.state = 'ready' AND j.not_before <= (SELECT at FROM ferry_now)
                  AND r.state IN ('running', 'sealing', 'cancelling')
                  AND NOT EXISTS (SELECT 1 FROM ferry_controls WHERE name = 'stop_all' AND value = 'true')
                ORDER BY j.priority, j.created_at, j.number
                LIMIT ?1
            )
            RETURNING id AS "id!: Uuid", run_id AS "run_id!: Uuid", batch_id AS "batch_id?: Uuid",
                      kind AS "kind!: String", send AS "send!: i32", rescues AS "rescues!: i32",
                      priority AS "priority!: i64", created_at AS "created_at!: i64", number AS "number!: i64"
            "#,
            most
        )
        .fetch_all(self.writer())
        .await
        .doing("could not take jobs to send")?;
        in_order(rows)
    }

    /// A statement of its own, since a partial index holds just these jobs: looking for them
    /// must not read those that wait (migration 0003).
    async fn take_rescued(&self, most: i64) -> Result<Vec<Envelope>> {
        // CROSS JOIN keeps the jobs outside, in the order of their index, so that
        // the limit ends the search.
        let rows = sqlx::query_as!(
            TakenRow,
            r#"
            UPDATE ferry_jobs
            SET state = 'queued', send = send + 1, queued_at = (SELECT at FROM ferry_now)
            WHERE number IN (
                SELECT j.number
                FROM ferry_jobs AS j CROSS JOIN ferry_runs AS r ON r.id = j.run_id
                WHERE j.state = 'ready' AND j.rescues > 0 AND j.kind = 'provision'
                  AND j.not_before <= (SELECT at FROM ferry_now)
                  AND r.state IN ('running', 'sealing', 'cancelling')
                  AND NOT EXISTS (SELECT 1 FROM ferry_controls WHERE name = 'stop_all' AND value = 'true')
                ORDER BY j.priority, j.created_at, j.number
                LIMIT ?1
            )
            RETURNING id AS "id!: Uuid", run_id AS "run_id!: Uuid", batch_id AS "batch_id?: Uuid",
                      kind AS "kind!: String", send AS "send!: i32", rescues AS "rescues!: i32",
                      priority AS "priority!: i64", created_at AS "created_at!: i64", number AS "number!: i64"
            "#,
            most
        )
        .fetch_all(self.writer())
        .await
        .doing("could not take rescued jobs")?;
        in_order(rows)
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
                   kind AS "kind!: String", send AS "send!: i32", rescues AS "rescues!: i32"
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
        .doing("could not look for lost sends")?;
        rows.into_iter().map(SendRow::envelope).collect()
    }

    async fn unsend(&self, sends: &[Envelope]) -> Result<u64> {
        let sends: Vec<_> = sends.iter().map(|envelope| (hex(envelope.job.0), envelope.send)).collect();
        let sends = json(&sends);
        let back = sqlx::query!(
            r#"
            UPDATE ferry_jobs SET state = 'ready', queued_at = NULL
            FROM jsonb_each(?1)
            WHERE ferry_jobs.id = unhex(value ->> 0) AND send = value ->> 1 AND state = 'queued'
            "#,
            sends
        )
        .execute(self.writer())
        .await
        .doing("could not take sends back")?;
        Ok(back.rows_affected())
    }

    async fn halve(&self, job: JobId, into: BatchId) -> Result<i64> {
        let mut tx = self.write(HALVING).await?;
        let went = match unheld(&mut tx, job).await? {
            Some(job) => halve::halve(&mut tx, &job, into).await?,
            None => 0,
        };
        tx.commit().await.doing(HALVING)?;
        Ok(went)
    }

    async fn give_up(&self, job: JobId, code: Code, by: WorkerId) -> Result<bool> {
        let mut tx = self.write(GIVING_UP).await?;
        let Some(job) = unheld(&mut tx, job).await? else { return Ok(false) };
        scripts::give_up(&mut Tx(&mut tx), &job, code, ending::leftover(job.kind), by).await?;
        tx.commit().await.doing(GIVING_UP)?;
        Ok(true)
    }

    async fn queue_counts(&self) -> Result<Vec<QueueCount>> {
        let rows = sqlx::query!(
            r#"
            SELECT kind AS "kind!: String", state AS "state!: String", count(*) AS "count!: i64",
                   CASE WHEN NOT EXISTS (
                       SELECT 1 FROM ferry_controls WHERE name = 'stop_all' AND value = 'true'
                   ) THEN (SELECT at FROM ferry_now) - min(since) END AS "oldest?: i64"
            FROM (
                SELECT j.kind,
                       CASE WHEN j.not_before <= n.at THEN 'ready'
                            WHEN j.attempts > 0 THEN 'retrying' ELSE 'scheduled' END AS state,
                       CASE WHEN j.not_before <= n.at AND r.state IN ('running', 'sealing', 'cancelling')
                            THEN j.not_before END AS since
                FROM ferry_jobs AS j JOIN ferry_runs AS r ON r.id = j.run_id CROSS JOIN ferry_now AS n
                WHERE j.state = 'ready'
                UNION ALL
                SELECT kind, state, not_before FROM ferry_jobs WHERE state = 'queued'
                UNION ALL
                SELECT kind, state, NULL FROM ferry_jobs WHERE state = 'leased'
                UNION ALL
                SELECT j.kind, j.state, NULL
                FROM ferry_dead_letters AS d CROSS JOIN ferry_jobs AS j ON j.id = d.job_id
                WHERE d.state = 'kept' AND j.state = 'dead'
            )
            GROUP BY 1, 2
            ORDER BY 1, 2
            "#
        )
        .fetch_all(self.reader())
        .await
        .doing(COUNTING)?;
        rows.into_iter()
            .map(|row| {
                let counted = CountRow { kind: row.kind, state: row.state, count: row.count };
                counted.of_all(row.oldest.map(span))
            })
            .collect()
    }

    async fn job_counts(&self, run: RunId) -> Result<Vec<JobCount>> {
        let rows = sqlx::query_as!(
            CountRow,
            r#"
            SELECT kind AS "kind!: String", state AS "state!: String", count(*) AS "count!: i64"
            FROM ferry_jobs WHERE run_id = ?1
            GROUP BY kind, state ORDER BY kind, state
            "#,
            run.0
        )
        .fetch_all(self.reader())
        .await
        .doing(COUNTING)?;
        rows.into_iter().map(CountRow::of_run).collect()
    }
}

/// A job that nobody holds; `None` when it was taken or ended.
async fn unheld(connection: &mut SqliteConnection, job: JobId) -> Result<Option<Job>> {
    let row = sqlx::query_as!(
        JobRow,
        r#"
        SELECT id AS "id!: Uuid", run_id AS "run_id!: Uuid", batch_id AS "batch_id?: Uuid",
               kind AS "kind!: String", attempts AS "attempts!: i32", rescues AS "rescues!: i32"
        FROM ferry_jobs WHERE id = ?1 AND state IN ('ready', 'queued')
        "#,
        job.0
    )
    .fetch_optional(connection)
    .await
    .doing("could not look a job up")?;
    row.map(JobRow::job).transpose()
}
