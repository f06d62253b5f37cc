//! What a cancel settles immediately (`ferry_domain::withdrawal`).

use async_trait::async_trait;
use ferry_domain::{
    RunId, RunState,
    ports::{Cancellable, LedgerError},
};
use ferry_ledger::{
    Result,
    steps::{CancelSteps, Withdrawn},
    words,
};
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::{connection::Tx, errors::Doing, planning, values};

const CANCELLING: &str = "could not cancel a run";
const COUNTING: &str = "could not count what a cancel would settle";

#[async_trait]
impl CancelSteps for Tx<'_> {
    /// While a run is being
    /// planned, its items have no batches yet, and none was ever sent.
    async fn cancellable(&mut self, run: RunId) -> Result<Cancellable> {
        let state =
            sqlx::query_scalar!(r#"SELECT state AS "state!: String" FROM ferry_runs WHERE id = ?1"#, run.0)
                .fetch_optional(&mut *self.0)
                .await
                .doing(COUNTING)?
                .ok_or_else(|| LedgerError::no_such_run(run))?;
        if words::run_state(run.0, &state)? == RunState::Planning {
            let at_once = sqlx::query_scalar!(
                r#"SELECT count(*) AS "n!: i64" FROM ferry_items WHERE run_id = ?1 AND state = 'pending'"#,
                run.0
            )
            .fetch_one(&mut *self.0)
            .await
            .doing(COUNTING)?;
            return Ok(Cancellable { at_once, to_ask: 0 });
        }
        let counted = sqlx::query!(
            r#"
            SELECT coalesce(sum(b.pending) FILTER (WHERE j.id IS NOT NULL), 0) AS "at_once!: i64",
                   coalesce(sum(b.pending) FILTER (WHERE j.id IS NULL), 0) AS "to_ask!: i64"
            FROM ferry_batches AS b
            LEFT JOIN ferry_jobs AS j
              ON j.batch_id = b.id AND j.kind = 'provision' AND j.token = 0
             AND j.state IN ('ready', 'queued')
            WHERE b.run_id = ?1
            "#,
            run.0
        )
        .fetch_one(&mut *self.0)
        .await
        .doing(COUNTING)?;
        Ok(Cancellable { at_once: counted.at_once, to_ask: counted.to_ask })
    }

    async fn finish_plan(&mut self, run: RunId) -> Result<()> {
        planning::settle(&mut *self.0, run, &[]).await.map(drop)
    }

    async fn withdraw_untouched(&mut self, run: RunId, most: i64) -> Result<Withdrawn> {
        let jobs = sqlx::query!(
            r#"
            SELECT number AS "number!: i64", batch_id AS "batch!: Uuid" FROM ferry_jobs
            WHERE run_id = ?1 AND kind = 'provision' AND token = 0 AND state IN ('ready', 'queued')
            ORDER BY priority, number LIMIT ?2
            "#,
            run.0,
            most
        )
        .fetch_all(&mut *self.0)
        .await
        .doing(CANCELLING)?;
        let mut withdrawn = Withdrawn { batches: values::count(jobs.len() as u64), items: 0 };
        for job in jobs {
            withdrawn.items += withdraw(self.0, job.number, job.batch).await?;
        }
        Ok(withdrawn)
    }

    async fn pending(&mut self, run: RunId) -> Result<i64> {
        sqlx::query_scalar!(
            r#"SELECT coalesce(sum(pending), 0) AS "pending!: i64" FROM ferry_batches WHERE run_id = ?1"#,
            run.0
        )
        .fetch_one(&mut *self.0)
        .await
        .doing(CANCELLING)
    }
}

/// One batch, by the index of its items; returns their number.
async fn withdraw(connection: &mut SqliteConnection, job: i64, batch: Uuid) -> Result<i64> {
    let cancelled = sqlx::query!(
        "UPDATE ferry_items SET state = 'cancelled' WHERE batch_id = ?1 AND state = 'pending'",
        batch
    )
    .execute(&mut *connection)
    .await
    .doing(CANCELLING)?;
    sqlx::query!(
        r#"
        UPDATE ferry_batches
        SET cancelled = cancelled + pending, pending = 0, state = 'verified', verified_at = (SELECT at FROM ferry_now)
        WHERE id = ?1
        "#,
        batch
    )
    .execute(&mut *connection)
    .await
    .doing(CANCELLING)?;
    sqlx::query!(
        "UPDATE ferry_jobs SET state = 'done', queued_at = NULL, ended_at = (SELECT at FROM ferry_now) WHERE number = ?1",
        job
    )
    .execute(&mut *connection)
    .await
    .doing(CANCELLING)?;
    Ok(values::count(cancelled.rows_affected()))
}
