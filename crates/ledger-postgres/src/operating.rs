//! What people ask.

use std::time::Duration;

use async_trait::async_trait;
use ferry_domain::{
    BatchId, Code, ItemSeq, ItemState, JobKind, RunId, RunView, SourceKey,
    ports::{
        Command, DeadFilter, DeadView, Discrepancy, FailureGroup, ItemFilter, ItemView, LedgerError, Moved,
        Operating, Redriven, Retried, StoredReport, WorkerView,
    },
    run::RunMove,
};
use sqlx::{query, query_as};
use uuid::Uuid;

use crate::{
    PostgresLedger, retry,
    rows::{self, DiscrepancyRow, ItemViewRow, RunRow},
};

type Result<T> = std::result::Result<T, LedgerError>;

#[async_trait]
impl Operating for PostgresLedger {
    async fn run(&self, run: RunId) -> Result<Option<RunView>> {
        Ok(self.run_views(Some(run.0), 1).await?.pop())
    }

    async fn runs(&self, most: i64) -> Result<Vec<RunView>> {
        self.run_views(None, most).await
    }

    async fn failures(&self, run: RunId) -> Result<Vec<FailureGroup>> {
        let rows = query!(
            r#"
            SELECT state, code, key, place, line, seq, count AS "count!" FROM (
                SELECT state, code, key, place, line, seq,
                       count(*) OVER alike AS count,
                       row_number() OVER (PARTITION BY state, code ORDER BY seq) AS number
                FROM ferry.items
                WHERE run_id = $1 AND state IN ('failed', 'conflict', 'skipped')
                WINDOW alike AS (PARTITION BY state, code)
            ) AS numbered
            WHERE number <= 3
            ORDER BY count DESC, state, code COLLATE "C", number
            "#,
            run.0,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not group failures"))?;
        let mut groups: Vec<FailureGroup> = Vec::new();
        for row in rows {
            let state = rows::item_state("items", row.seq, &row.state)?;
            let code = rows::code("items", row.seq, row.code.as_deref().unwrap_or_default())?;
            let example = (SourceKey(row.key), rows::origin(row.seq, row.place, row.line)?);
            match groups.last_mut() {
                Some(last) if (last.state, last.code) == (state, code) => last.examples.push(example),
                _ => groups.push(FailureGroup { state, code, count: row.count, examples: vec![example] }),
            }
        }
        Ok(groups)
    }

    async fn items(
        &self,
        run: RunId,
        filter: &ItemFilter,
        after: ItemSeq,
        most: i64,
    ) -> Result<Vec<ItemView>> {
        let states: Vec<&str> = filter.states.iter().copied().map(ItemState::as_str).collect();
        let codes = words(&filter.codes);
        let rows = query_as!(
            ItemViewRow,
            r#"
            SELECT seq, key, place, line, state, code, field, auth0_user_id
            FROM ferry.items
            WHERE run_id = $1 AND seq > $2
              AND (cardinality($3::text[]) = 0 OR state = ANY($3))
              AND (cardinality($4::text[]) = 0 OR code = ANY($4))
            ORDER BY seq
            LIMIT $5
            "#,
            run.0,
            after.0,
            &states as &[&str],
            &codes as &[&str],
            most,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not list items"))?;
        rows::all(rows)
    }

    async fn discrepancies(&self, run: RunId, after: ItemSeq, most: i64) -> Result<Vec<Discrepancy>> {
        let rows = query_as!(
            DiscrepancyRow,
            r#"
            SELECT seq, key, auth0_user_id, fields::text AS "fields!"
            FROM ferry.discrepancies
            WHERE run_id = $1 AND seq > $2
            ORDER BY seq
            LIMIT $3
            "#,
            run.0,
            after.0,
            most,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not list discrepancies"))?;
        rows::all(rows)
    }

    async fn count_retryable(&self, run: RunId, codes: &[Code]) -> Result<(i64, i64)> {
        let failed = self.failed("could not count retryable items");
        let mut connection = self.pool.acquire().await.map_err(self.sql_failed("could not be reached"))?;
        retry::count(&mut connection, run, codes).await.map_err(failed)
    }

    async fn retry(
        &self,
        run: RunId,
        codes: &[Code],
        batch_ids: &[BatchId],
        by: &str,
        reason: Option<&str>,
    ) -> Result<Retried> {
        self.take_up_again(run, codes, batch_ids, by, reason).await
    }

    async fn move_run(&self, run: RunId, step: RunMove, command: &Command<'_>) -> Result<Moved> {
        self.make_move(run, step, command).await
    }

    async fn count_cancellable(&self, run: RunId) -> Result<(i64, i64)> {
        self.cancellable(run).await
    }

    async fn set_rate(&self, run: RunId, plan: Option<&str>, command: &Command<'_>) -> Result<()> {
        self.put_rate(run, plan, command).await
    }

    async fn stop_all(&self, stop: bool, command: &Command<'_>) -> Result<bool> {
        self.put_stop_all(stop, command).await
    }

    async fn workers(&self) -> Result<Vec<WorkerView>> {
        self.worker_views().await
    }

    async fn dead(&self, filter: &DeadFilter, most: i64) -> Result<Vec<DeadView>> {
        self.letters(filter, most).await
    }

    async fn dead_payload(&self, id: i64) -> Result<Option<Vec<u8>>> {
        self.letter_payload(id).await
    }

    async fn count_dead(&self, filter: &DeadFilter) -> Result<(i64, i64)> {
        self.count_letters(filter).await
    }

    async fn redrive(
        &self,
        filter: &DeadFilter,
        batch_ids: &[BatchId],
        command: &Command<'_>,
    ) -> Result<Redriven> {
        self.send_again(filter, batch_ids, command).await
    }

    async fn discard(&self, filter: &DeadFilter, command: &Command<'_>) -> Result<i64> {
        self.discard_letters(filter, command).await
    }

    async fn prune_dead(&self, resolved_before: Duration) -> Result<i64> {
        self.remove_letters(resolved_before).await
    }

    async fn queue_counts(&self) -> Result<Vec<(JobKind, String, i64, Option<Duration>)>> {
        self.count_queue().await
    }

    async fn report(&self, run: RunId, revision: Option<i32>) -> Result<Option<StoredReport>> {
        let row = query!(
            r#"
            SELECT revision, sealed_at, report FROM ferry.reports
            WHERE run_id = $1 AND ($2::integer IS NULL OR revision = $2)
            ORDER BY revision DESC
            LIMIT 1
            "#,
            run.0,
            revision,
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(self.sql_failed("could not read a report"))?;
        Ok(row.map(|row| StoredReport {
            revision: row.revision,
            sealed_at: row.sealed_at,
            report: row.report,
        }))
    }

    async fn job_counts(&self, run: RunId) -> Result<Vec<(JobKind, String, i64)>> {
        let rows = query!(
            r#"
            SELECT kind, state, count(*) AS "count!" FROM ferry.jobs
            WHERE run_id = $1 GROUP BY kind, state ORDER BY kind, state
            "#,
            run.0,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not count jobs"))?;
        rows.into_iter().map(|row| Ok((rows::job_kind(run, &row.kind)?, row.state, row.count))).collect()
    }
}

impl PostgresLedger {
    async fn run_views(&self, only: Option<Uuid>, most: i64) -> Result<Vec<RunView>> {
        let rows = query_as!(
            RunRow,
            r#"
            SELECT run.id, run.migration, run.source_kind, run.source_location, run.spec::text AS "spec!",
                   run.state, run.round, run.revision, run.rate, run.why, run.created_at, run.started_at, run.sealed_at,
                   sums.source AS "source!", sums.created AS "created!", sums.adopted AS "adopted!",
                   sums.skipped AS "skipped!", sums.conflict AS "conflict!", sums.failed AS "failed!",
                   sums.cancelled AS "cancelled!", sums.pending AS "pending!",
                   sums.verified AS "verified!", sums.discrepancies AS "discrepancies!",
                   sums.requests AS "requests!", sums.open_batches AS "open_batches!", sums.provisioned_at
            FROM ferry.runs AS run
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(source), 0)::bigint AS source,
                       coalesce(sum(created), 0)::bigint AS created,
                       coalesce(sum(adopted), 0)::bigint AS adopted,
                       coalesce(sum(skipped), 0)::bigint AS skipped,
                       coalesce(sum(conflict), 0)::bigint AS conflict,
                       coalesce(sum(failed), 0)::bigint AS failed,
                       coalesce(sum(cancelled), 0)::bigint AS cancelled,
                       coalesce(sum(pending), 0)::bigint AS pending,
                       coalesce(sum(verified), 0)::bigint AS verified,
                       coalesce(sum(discrepancies), 0)::bigint AS discrepancies,
                       coalesce(sum(requests), 0)::bigint AS requests,
                       count(*) FILTER (WHERE state <> 'verified') AS open_batches,
                       max(provisioned_at) AS provisioned_at
                FROM ferry.batches WHERE run_id = run.id
            ) AS sums
            WHERE $1::uuid IS NULL OR run.id = $1
            ORDER BY run.created_at DESC, run.id DESC
            LIMIT $2
            "#,
            only,
            most,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not read runs"))?;
        rows::all(rows)
    }
}

pub(crate) fn words(codes: &[Code]) -> Vec<&'static str> {
    codes.iter().copied().map(Code::as_str).collect()
}
