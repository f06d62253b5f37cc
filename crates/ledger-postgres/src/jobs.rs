//! Jobs that nobody holds. Each question is one statement that an index answers.

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
    scripts, words,
};
use sqlx::{PgConnection, query, query_as, query_scalar};

use crate::{PostgresLedger, errors::Tried, transaction::Tx};

#[async_trait]
impl Jobs for PostgresLedger {
    async fn take_ready(&self, most: i64) -> Result<Vec<Envelope>> {
        let rows = query_as!(
            SendRow,
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
                RETURNING job.id, job.run_id, job.batch_id, job.kind, job.send, job.rescues
            )
            SELECT sent.id, sent.run_id, sent.batch_id, sent.kind, sent.send, sent.rescues
            FROM sent JOIN due ON due.id = sent.id
            ORDER BY due.priority, due.created_at, due.id
            "#,
            most,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not take ready jobs"))?;
        rows.into_iter().map(SendRow::envelope).collect()
    }

    /// A statement of its own, since a partial index holds just these jobs: looking for them
    /// must not read those that wait (migration 0003).
    async fn take_rescued(&self, most: i64) -> Result<Vec<Envelope>> {
        let rows = query_as!(
            SendRow,
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
                RETURNING job.id, job.run_id, job.batch_id, job.kind, job.send, job.rescues
            )
            SELECT sent.id, sent.run_id, sent.batch_id, sent.kind, sent.send, sent.rescues
            FROM sent JOIN due ON due.id = sent.id
            ORDER BY due.priority, due.created_at, due.id
            "#,
            most,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not take rescued jobs"))?;
        rows.into_iter().map(SendRow::envelope).collect()
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
            SendRow,
            r#"
            SELECT id, run_id, batch_id, kind, send, rescues
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
        rows.into_iter().map(SendRow::envelope).collect()
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

    async fn halve(&self, job: JobId, into: BatchId) -> Result<i64> {
        self.trying("could not halve a batch", || async {
            let mut tx = self.begin().await?;
            // Locked first: a claim at the same time waits and reads the half, or was first
            // and leaves nothing to halve.
            let went = match lock_unheld(&mut tx, job).await? {
                Some(job) => halve::halve(&mut tx, &job, into).await?,
                None => 0,
            };
            // Also where nothing went: a transaction that is only dropped ends a little later, and
            // meanwhile the relay passes the locked job over.
            tx.commit().await?;
            Ok(went)
        })
        .await
    }

    async fn give_up(&self, job: JobId, code: Code, by: WorkerId) -> Result<bool> {
        self.trying("could not give a job up", || async {
            let mut tx = self.begin().await?;
            let Some(job) = lock_unheld(&mut tx, job).await? else { return Ok(false) };
            scripts::give_up(&mut Tx(&mut tx), &job, code, ending::leftover(job.kind), by).await?;
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    async fn queue_counts(&self) -> Result<Vec<QueueCount>> {
        let rows = query!(
            r#"
            SELECT kind AS "kind!", state AS "state!", count(*) AS "count!",
                   CASE WHEN NOT EXISTS (
                       SELECT FROM ferry.controls WHERE name = 'stop_all' AND value = 'true'
                   ) THEN extract(epoch FROM clock_timestamp() - min(since))::float8 END AS age
            FROM (
                SELECT job.kind,
                       CASE WHEN job.not_before <= clock_timestamp() THEN 'ready'
                            WHEN job.attempts > 0 THEN 'retrying' ELSE 'scheduled' END AS state,
                       CASE WHEN run.state IN ('running', 'sealing', 'cancelling')
                                 AND job.not_before <= clock_timestamp()
                            THEN job.not_before END AS since
                FROM ferry.jobs AS job JOIN ferry.runs AS run ON run.id = job.run_id
                WHERE job.state = 'ready'
                UNION ALL
                SELECT kind, state, not_before FROM ferry.jobs WHERE state = 'queued'
                UNION ALL
                SELECT kind, state, NULL FROM ferry.jobs WHERE state = 'leased'
                UNION ALL
                SELECT job.kind, job.state, NULL
                FROM ferry.dead_letters AS letter JOIN ferry.jobs AS job ON job.id = letter.job_id
                WHERE letter.state = 'kept' AND job.state = 'dead'
            ) AS open
            GROUP BY kind, state
            ORDER BY kind, state
            "#,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not count the queue"))?;
        rows.into_iter()
            .map(|row| {
                let counted = CountRow { kind: row.kind, state: row.state, count: row.count };
                counted.of_all(row.age.map(words::span))
            })
            .collect()
    }

    async fn job_counts(&self, run: RunId) -> Result<Vec<JobCount>> {
        let rows = query_as!(
            CountRow,
            r#"
            SELECT kind, state, count(*) AS "count!" FROM ferry.jobs
            WHERE run_id = $1 GROUP BY kind, state ORDER BY kind, state
            "#,
            run.0,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not count jobs"))?;
        rows.into_iter().map(CountRow::of_run).collect()
    }
}

/// Locks a job that nobody holds; `None` when it was taken or ended.
async fn lock_unheld(connection: &mut PgConnection, job: JobId) -> Tried<Option<Job>> {
    let row = query_as!(
        JobRow,
        r#"
        SELECT id, run_id, batch_id, kind, attempts, rescues
        FROM ferry.jobs WHERE id = $1 AND state IN ('ready', 'queued')
        FOR UPDATE
        "#,
        job.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(JobRow::job).transpose()?)
}
