//! What people ask.

use std::time::Duration;

use async_trait::async_trait;
use ferry_domain::{
    BatchId, Code, ItemSeq, JobKind, RunId, RunView, SourceKey,
    ports::{
        Command, DeadFilter, DeadView, Discrepancy, FailureGroup, ItemFilter, ItemView, Moved, Operating,
        Redriven, Retried, StoredReport, WorkerView,
    },
    run::RunMove,
};
use uuid::Uuid;

use crate::{
    SqliteLedger, dead,
    errors::{Doing, Result},
    rows::{DiscrepancyRow, ItemViewRow, RunRow, corrupt, json, moment, origin, state_and_code},
};

/// Examples of each group of failures.
const EXAMPLES: i64 = 3;

const READING_RUNS: &str = "could not read runs";
const READING_ITEMS: &str = "could not read items";
const READING_LETTERS: &str = "could not read dead letters";

#[async_trait]
impl Operating for SqliteLedger {
    async fn run(&self, run: RunId) -> Result<Option<RunView>> {
        Ok(self.views(Some(run), 1).await?.pop())
    }

    async fn runs(&self, most: i64) -> Result<Vec<RunView>> {
        self.views(None, most).await
    }

    async fn failures(&self, run: RunId) -> Result<Vec<FailureGroup>> {
        let rows = sqlx::query!(
            r#"
            SELECT state AS "state!: String", code AS "code!: String", count(*) AS "count!: i64"
            FROM ferry_items
            WHERE run_id = ?1 AND state IN ('skipped', 'conflict', 'failed')
            GROUP BY state, code
            ORDER BY count(*) DESC, code, state
            "#,
            run.0
        )
        .fetch_all(self.reader())
        .await
        .doing(READING_ITEMS)?;
        let mut groups = Vec::with_capacity(rows.len());
        for row in rows {
            let (state, code) = state_and_code(&row.state, &row.code)?;
            let examples = self.examples(run, &row.state, &row.code).await?;
            groups.push(FailureGroup { state, code, count: row.count, examples });
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
        let states = json(&filter.states);
        let codes = json(&filter.codes);
        let rows = sqlx::query_as!(
            ItemViewRow,
            r#"
            SELECT seq AS "seq!: i64", key AS "key!: String", place AS "place!: String", line AS "line!: i64",
                   state AS "state!: String", code AS "code?: String", field AS "field?: String",
                   auth0_user_id AS "auth0_user_id?: String"
            FROM ferry_items
            WHERE run_id = ?1 AND seq > ?2
              AND (?3 = '[]' OR state IN (SELECT value FROM json_each(?3)))
              AND (?4 = '[]' OR code IN (SELECT value FROM json_each(?4)))
            ORDER BY seq
            LIMIT ?5
            "#,
            run.0,
            after.0,
            states,
            codes,
            most
        )
        .fetch_all(self.reader())
        .await
        .doing(READING_ITEMS)?;
        rows.into_iter().map(ItemViewRow::view).collect()
    }

    async fn discrepancies(&self, run: RunId, after: ItemSeq, most: i64) -> Result<Vec<Discrepancy>> {
        let rows = sqlx::query_as!(
            DiscrepancyRow,
            r#"
            SELECT seq AS "seq!: i64", key AS "key!: String", auth0_user_id AS "auth0_user_id!: String",
                   fields AS "fields!: String"
            FROM ferry_discrepancies
            WHERE run_id = ?1 AND seq > ?2
            ORDER BY seq
            LIMIT ?3
            "#,
            run.0,
            after.0,
            most
        )
        .fetch_all(self.reader())
        .await
        .doing("could not read discrepancies")?;
        rows.into_iter().map(DiscrepancyRow::discrepancy).collect()
    }

    async fn count_retryable(&self, run: RunId, codes: &[Code]) -> Result<(i64, i64)> {
        let mut connection = self.reader().acquire().await.doing(READING_ITEMS)?;
        let found = crate::retrying::candidates(&mut connection, run, codes).await?;
        Ok((found.take, found.left))
    }

    async fn retry(
        &self,
        run: RunId,
        codes: &[Code],
        batch_ids: &[BatchId],
        by: &str,
        reason: Option<&str>,
    ) -> Result<Retried> {
        self.retry_items(run, codes, batch_ids, by, reason).await
    }

    async fn move_run(&self, run: RunId, step: RunMove, command: &Command<'_>) -> Result<Moved> {
        self.ask_to_move(run, step, command).await
    }

    async fn count_cancellable(&self, run: RunId) -> Result<(i64, i64)> {
        self.cancellable(run).await
    }

    async fn set_rate(&self, run: RunId, plan: Option<&str>, command: &Command<'_>) -> Result<()> {
        self.rate_of_run(run, plan, command).await
    }

    async fn stop_all(&self, stop: bool, command: &Command<'_>) -> Result<bool> {
        self.set_stop_all(stop, command).await
    }

    async fn workers(&self) -> Result<Vec<WorkerView>> {
        self.all_workers().await
    }

    async fn dead(&self, filter: &DeadFilter, most: i64) -> Result<Vec<DeadView>> {
        let mut connection = self.reader().acquire().await.doing(READING_LETTERS)?;
        dead::letters(&mut connection, filter, most).await
    }

    async fn dead_payload(&self, id: i64) -> Result<Option<Vec<u8>>> {
        sqlx::query_scalar!(
            r#"SELECT payload AS "payload!: Vec<u8>" FROM ferry_dead_letters WHERE id = ?1 AND kind = 'payload'"#,
            id
        )
        .fetch_optional(self.reader())
        .await
        .doing(READING_LETTERS)
    }

    async fn count_dead(&self, filter: &DeadFilter) -> Result<(i64, i64)> {
        let letters = self.dead(filter, i64::MAX).await?;
        let count = i64::try_from(letters.len()).unwrap_or(i64::MAX);
        Ok((count, letters.iter().map(|letter| letter.users).sum()))
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
        self.remove_resolved(resolved_before).await
    }

    async fn queue_counts(&self) -> Result<Vec<(JobKind, String, i64, Option<Duration>)>> {
        self.count_queues().await
    }

    async fn report(&self, run: RunId, revision: Option<i32>) -> Result<Option<StoredReport>> {
        let row = sqlx::query!(
            r#"
            SELECT revision AS "revision!: i32", sealed_at AS "sealed_at!: i64", report AS "report!: String"
            FROM ferry_reports
            WHERE run_id = ?1 AND (?2 IS NULL OR revision = ?2)
            ORDER BY revision DESC
            LIMIT 1
            "#,
            run.0,
            revision
        )
        .fetch_optional(self.reader())
        .await
        .doing("could not read a report")?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(StoredReport {
            revision: row.revision,
            sealed_at: moment("ferry_reports", run.0, row.sealed_at)?,
            report: serde_json::from_str(&row.report).map_err(|why| corrupt("ferry_reports", run, why))?,
        }))
    }

    async fn job_counts(&self, run: RunId) -> Result<Vec<(JobKind, String, i64)>> {
        let rows = sqlx::query!(
            r#"
            SELECT kind AS "kind!: String", state AS "state!: String", count(*) AS "count!: i64"
            FROM ferry_jobs WHERE run_id = ?1
            GROUP BY kind, state ORDER BY kind, state
            "#,
            run.0
        )
        .fetch_all(self.reader())
        .await
        .doing("could not count jobs")?;
        rows.into_iter()
            .map(|row| {
                let kind = JobKind::parse(&row.kind)
                    .ok_or_else(|| corrupt("ferry_jobs", run, format_args!("kind {:?}", row.kind)))?;
                Ok((kind, row.state, row.count))
            })
            .collect()
    }
}

impl SqliteLedger {
    async fn views(&self, run: Option<RunId>, most: i64) -> Result<Vec<RunView>> {
        let run = run.map(|run| run.0);
        let rows = sqlx::query_as!(
            RunRow,
            r#"
            SELECT r.id AS "id!: Uuid", r.migration AS "migration!: String", r.source_kind AS "source_kind!: String",
                   r.source_location AS "source_location!: String", r.spec AS "spec!: String",
                   r.state AS "state!: String", r.round AS "round!: i32", r.revision AS "revision!: i32",
                   r.rate AS "rate?: String", r.why AS "why?: String",
                   r.created_at AS "created_at!: i64", r.started_at AS "started_at?: i64",
                   r.sealed_at AS "sealed_at?: i64", max(b.provisioned_at) AS "provisioned_at?: i64",
                   coalesce(sum(b.source), 0) AS "source!: i64", coalesce(sum(b.created), 0) AS "created!: i64",
                   coalesce(sum(b.adopted), 0) AS "adopted!: i64", coalesce(sum(b.skipped), 0) AS "skipped!: i64",
                   coalesce(sum(b.conflict), 0) AS "conflict!: i64", coalesce(sum(b.failed), 0) AS "failed!: i64",
                   coalesce(sum(b.cancelled), 0) AS "cancelled!: i64", coalesce(sum(b.pending), 0) AS "pending!: i64",
                   coalesce(sum(b.verified), 0) AS "verified!: i64",
                   coalesce(sum(b.discrepancies), 0) AS "discrepancies!: i64",
                   coalesce(sum(b.requests), 0) AS "requests!: i64",
                   count(b.id) FILTER (WHERE b.state <> 'verified') AS "open_batches!: i64"
            FROM ferry_runs AS r LEFT JOIN ferry_batches AS b ON b.run_id = r.id
            WHERE r.id IN (
                SELECT id FROM ferry_runs WHERE ?1 IS NULL OR id = ?1 ORDER BY created_at DESC, id DESC LIMIT ?2
            )
            GROUP BY r.id
            ORDER BY r.created_at DESC, r.id DESC
            "#,
            run,
            most
        )
        .fetch_all(self.reader())
        .await
        .doing(READING_RUNS)?;
        rows.into_iter().map(RunRow::view).collect()
    }

    async fn examples(
        &self,
        run: RunId,
        state: &str,
        code: &str,
    ) -> Result<Vec<(SourceKey, ferry_domain::Origin)>> {
        let rows = sqlx::query!(
            r#"
            SELECT seq AS "seq!: i64", key AS "key!: String", place AS "place!: String", line AS "line!: i64"
            FROM ferry_items
            WHERE run_id = ?1 AND state = ?2 AND code = ?3 AND state IN ('skipped', 'conflict', 'failed')
            ORDER BY seq LIMIT ?4
            "#,
            run.0,
            state,
            code,
            EXAMPLES
        )
        .fetch_all(self.reader())
        .await
        .doing(READING_ITEMS)?;
        rows.into_iter().map(|row| Ok((SourceKey(row.key), origin(row.place, row.line, row.seq)?))).collect()
    }
}
