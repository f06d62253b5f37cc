//! Batches as people look at them, in pages by their ordinal; the jobs of a page come by a second statement.

use async_trait::async_trait;
use ferry_domain::{
    RunId,
    ports::{BatchCount, BatchFilter, BatchIds, BatchView, Batches},
};
use ferry_ledger::{
    Result,
    lists::BatchCountRow,
    rows::{self, BatchJobRow, BatchRow},
};
use uuid::Uuid;

use crate::{
    SqliteLedger,
    errors::Doing,
    values::{hex, json},
};

const LISTING: &str = "could not list batches";
const COUNTING: &str = "could not count batches";
const LOOKING: &str = "could not look for a batch";

#[async_trait]
impl Batches for SqliteLedger {
    async fn list_batches(
        &self,
        run: RunId,
        filter: &BatchFilter,
        after: i64,
        most: i64,
    ) -> Result<Vec<BatchView>> {
        let (states, jobs, codes) = (json(&filter.states), json(&filter.jobs), json(&filter.codes));
        let found = sqlx::query_as!(
            BatchRow,
            r#"
            SELECT id AS "id!: Uuid", run_id AS "run_id!: Uuid", ordinal AS "ordinal!: i64", round AS "round!: i32",
                   state AS "state!: String", source AS "source!: i64", created AS "created!: i64",
                   adopted AS "adopted!: i64", skipped AS "skipped!: i64", conflict AS "conflict!: i64",
                   failed AS "failed!: i64", cancelled AS "cancelled!: i64", pending AS "pending!: i64",
                   verified AS "verified!: i64", discrepancies AS "discrepancies!: i64", requests AS "requests!: i64"
            FROM ferry_batches AS batch
            WHERE run_id = ?1 AND ordinal > ?5
              AND (?2 = '[]' OR state IN (SELECT value FROM json_each(?2)))
              AND (?3 = '[]' AND ?4 = '[]' OR EXISTS (
                      SELECT 1 FROM ferry_jobs AS job
                      WHERE job.batch_id = batch.id
                        AND (?3 = '[]' OR job.state IN (SELECT value FROM json_each(?3)))
                        AND (?4 = '[]' OR job.code IN (SELECT value FROM json_each(?4)))))
            ORDER BY ordinal
            LIMIT ?6
            "#,
            run.0,
            states,
            jobs,
            codes,
            after,
            most
        )
        .fetch_all(self.reader())
        .await
        .doing(LISTING)?;
        self.with_jobs(found).await
    }

    async fn count_batches(&self, run: RunId, filter: &BatchFilter) -> Result<i64> {
        let (states, jobs, codes) = (json(&filter.states), json(&filter.jobs), json(&filter.codes));
        sqlx::query_scalar!(
            r#"
            SELECT count(*) AS "count!: i64" FROM ferry_batches AS batch
            WHERE run_id = ?1
              AND (?2 = '[]' OR state IN (SELECT value FROM json_each(?2)))
              AND (?3 = '[]' AND ?4 = '[]' OR EXISTS (
                      SELECT 1 FROM ferry_jobs AS job
                      WHERE job.batch_id = batch.id
                        AND (?3 = '[]' OR job.state IN (SELECT value FROM json_each(?3)))
                        AND (?4 = '[]' OR job.code IN (SELECT value FROM json_each(?4)))))
            "#,
            run.0,
            states,
            jobs,
            codes
        )
        .fetch_one(self.reader())
        .await
        .doing(COUNTING)
    }

    async fn batch_counts(&self, runs: &[RunId]) -> Result<Vec<BatchCount>> {
        let runs = json(&runs.iter().map(|run| hex(run.0)).collect::<Vec<_>>());
        let rows = sqlx::query_as!(
            BatchCountRow,
            r#"
            SELECT run_id AS "run_id!: Uuid", state AS "state!: String", count(*) AS "count!: i64"
            FROM ferry_batches WHERE run_id IN (SELECT unhex(value) FROM json_each(?1))
            GROUP BY run_id, state ORDER BY run_id, state
            "#,
            runs
        )
        .fetch_all(self.reader())
        .await
        .doing(COUNTING)?;
        rows.into_iter().map(BatchCountRow::counted).collect()
    }

    async fn batches(&self, ids: BatchIds, most: i64) -> Result<Vec<BatchView>> {
        let found = sqlx::query_as!(
            BatchRow,
            r#"
            SELECT id AS "id!: Uuid", run_id AS "run_id!: Uuid", ordinal AS "ordinal!: i64", round AS "round!: i32",
                   state AS "state!: String", source AS "source!: i64", created AS "created!: i64",
                   adopted AS "adopted!: i64", skipped AS "skipped!: i64", conflict AS "conflict!: i64",
                   failed AS "failed!: i64", cancelled AS "cancelled!: i64", pending AS "pending!: i64",
                   verified AS "verified!: i64", discrepancies AS "discrepancies!: i64", requests AS "requests!: i64"
            FROM ferry_batches
            WHERE id BETWEEN ?1 AND ?2
            ORDER BY id
            LIMIT ?3
            "#,
            ids.first.0,
            ids.last.0,
            most
        )
        .fetch_all(self.reader())
        .await
        .doing(LOOKING)?;
        self.with_jobs(found).await
    }
}

impl SqliteLedger {
    async fn with_jobs(&self, found: Vec<BatchRow>) -> Result<Vec<BatchView>> {
        let ids = json(&found.iter().map(|row| hex(row.id)).collect::<Vec<_>>());
        let jobs = sqlx::query_as!(
            BatchJobRow,
            r#"
            SELECT job.batch_id AS "batch_id!: Uuid", job.id AS "id!: Uuid", job.kind AS "kind!: String",
                   job.state AS "state!: String", job.attempts AS "attempts!: i32", job.rescues AS "rescues!: i32",
                   job.code AS "code?: String", worker.host AS "host?: String", worker.pid AS "pid?: i32"
            FROM ferry_jobs AS job
            LEFT JOIN ferry_workers AS worker ON worker.id = job.holder
            WHERE job.batch_id IN (SELECT unhex(value) FROM json_each(?1))
            ORDER BY job.created_at, job.number
            "#,
            ids
        )
        .fetch_all(self.reader())
        .await
        .doing(LISTING)?;
        rows::batches(found, jobs)
    }
}
