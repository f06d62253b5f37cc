//! What a cancel settles immediately (`ferry_domain::withdrawal`).

use async_trait::async_trait;
use ferry_domain::{
    JobKind, RunId, RunState,
    ports::{Cancellable, LedgerError},
};
use ferry_ledger::{
    steps::{CancelSteps, Withdrawn},
    words,
};
use sqlx::{query, query_as, query_scalar};

use crate::{errors::Tried, planning, transaction::Tx};

#[async_trait]
impl CancelSteps for Tx<'_> {
    /// While a run is being
    /// planned, its items have no batches yet, and none was ever sent.
    async fn cancellable(&mut self, run: RunId) -> Tried<Cancellable> {
        let state = query_scalar!("SELECT state FROM ferry.runs WHERE id = $1", run.0)
            .fetch_optional(&mut *self.0)
            .await?
            .ok_or_else(|| LedgerError::no_such_run(run))?;
        if words::run_state(run.0, &state)? == RunState::Planning {
            let at_once = query_scalar!(
                r#"SELECT count(*) AS "n!" FROM ferry.planned_items WHERE run_id = $1 AND state = 'pending'"#,
                run.0,
            )
            .fetch_one(&mut *self.0)
            .await?;
            return Ok(Cancellable { at_once, to_ask: 0 });
        }
        let counted = query!(
            r#"
            SELECT coalesce(sum(pending) FILTER (WHERE untouched), 0)::bigint AS "at_once!",
                   coalesce(sum(pending) FILTER (WHERE NOT untouched), 0)::bigint AS "to_ask!"
            FROM (
                SELECT batch.pending, EXISTS (
                    SELECT FROM ferry.jobs AS job
                    WHERE job.batch_id = batch.id AND job.kind = 'provision' AND job.token = 0
                      AND job.state IN ('ready', 'queued')
                ) AS untouched
                FROM ferry.batches AS batch WHERE batch.run_id = $1 AND batch.state = 'open'
            ) AS judged
            "#,
            run.0,
        )
        .fetch_one(&mut *self.0)
        .await?;
        Ok(Cancellable { at_once: counted.at_once, to_ask: counted.to_ask })
    }

    async fn finish_plan(&mut self, run: RunId) -> Tried<()> {
        planning::settle(&mut *self.0, run, &[]).await.map(drop)
    }

    /// A job that the relay or a worker touches in this moment is left to the worker, who asks
    /// Auth0.
    async fn withdraw_untouched(&mut self, run: RunId, most: i64) -> Tried<Withdrawn> {
        let withdrawn = query_as!(
            Withdrawn,
            r#"
            WITH untouched AS (
                SELECT id, batch_id FROM ferry.jobs
                WHERE run_id = $1 AND kind = $2 AND token = 0 AND state IN ('ready', 'queued')
                ORDER BY priority, created_at, id
                LIMIT $3
                FOR UPDATE SKIP LOCKED
            ), cancelled AS (
                INSERT INTO ferry.outcomes (batch_id, seq, state)
                SELECT item.batch_id, item.seq, 'cancelled'
                FROM untouched JOIN ferry.planned_items AS item ON item.batch_id = untouched.batch_id
                WHERE item.state = 'pending'
                ON CONFLICT (batch_id, seq) DO NOTHING
                RETURNING batch_id
            ), counted AS (
                SELECT batch_id, count(*) AS items FROM cancelled GROUP BY batch_id
            ), closed AS (
                UPDATE ferry.batches AS batch
                SET pending = batch.pending - coalesce(counted.items, 0),
                    cancelled = batch.cancelled + coalesce(counted.items, 0),
                    state = 'verified', verified_at = clock_timestamp()
                FROM untouched LEFT JOIN counted ON counted.batch_id = untouched.batch_id
                WHERE batch.id = untouched.batch_id
            ), ended AS (
                UPDATE ferry.jobs AS job
                SET state = 'done', queued_at = NULL, ended_at = clock_timestamp()
                FROM untouched
                WHERE job.id = untouched.id
            )
            SELECT (SELECT count(*) FROM untouched) AS "batches!", (SELECT count(*) FROM cancelled) AS "items!"
            "#,
            run.0,
            JobKind::Provision.as_str(),
            most,
        )
        .fetch_one(&mut *self.0)
        .await?;
        Ok(withdrawn)
    }

    async fn pending(&mut self, run: RunId) -> Tried<i64> {
        let pending = query_scalar!(
            r#"SELECT coalesce(sum(pending), 0)::bigint AS "pending!" FROM ferry.batches WHERE run_id = $1"#,
            run.0,
        )
        .fetch_one(&mut *self.0)
        .await?;
        Ok(pending)
    }
}
