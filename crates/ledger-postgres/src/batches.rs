//! Batches as people look at them, in pages by their ordinal; the jobs of a page come by a second statement.

use async_trait::async_trait;
use ferry_domain::{
    BatchState, JobState, RunId,
    ports::{BatchCount, BatchFilter, BatchIds, BatchView, Batches},
};
use ferry_ledger::{
    Result,
    lists::BatchCountRow,
    rows::{self, BatchJobRow, BatchRow},
    words,
};
use sqlx::{query_as, query_scalar};
use uuid::Uuid;

use crate::PostgresLedger;

const LISTING: &str = "could not list batches";

fn states(filter: &BatchFilter) -> (Vec<&'static str>, Vec<&'static str>) {
    (
        filter.states.iter().copied().map(BatchState::as_str).collect(),
        filter.jobs.iter().copied().map(JobState::as_str).collect(),
    )
}

#[async_trait]
impl Batches for PostgresLedger {
    async fn list_batches(
        &self,
        run: RunId,
        filter: &BatchFilter,
        after: i64,
        most: i64,
    ) -> Result<Vec<BatchView>> {
        let (states, jobs) = states(filter);
        let found = query_as!(
            BatchRow,
            r#"
            SELECT id, run_id, ordinal, round, state, source, created, adopted, skipped, conflict, failed, cancelled,
                   pending, verified, discrepancies, requests
            FROM ferry.batches AS batch
            WHERE run_id = $1 AND ordinal > $5
              AND (cardinality($2::text[]) = 0 OR state = ANY($2))
              AND (cardinality($3::text[]) = 0 AND cardinality($4::text[]) = 0 OR EXISTS (
                      SELECT FROM ferry.jobs AS job
                      WHERE job.batch_id = batch.id
                        AND (cardinality($3) = 0 OR job.state = ANY($3))
                        AND (cardinality($4) = 0 OR job.code = ANY($4))))
            ORDER BY ordinal
            LIMIT $6
            "#,
            run.0,
            &states as &[&str],
            &jobs as &[&str],
            &words::codes(&filter.codes) as &[&str],
            after,
            most,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed(LISTING))?;
        self.with_jobs(found).await
    }

    async fn count_batches(&self, run: RunId, filter: &BatchFilter) -> Result<i64> {
        let (states, jobs) = states(filter);
        query_scalar!(
            r#"
            SELECT count(*) AS "count!" FROM ferry.batches AS batch
            WHERE run_id = $1
              AND (cardinality($2::text[]) = 0 OR state = ANY($2))
              AND (cardinality($3::text[]) = 0 AND cardinality($4::text[]) = 0 OR EXISTS (
                      SELECT FROM ferry.jobs AS job
                      WHERE job.batch_id = batch.id
                        AND (cardinality($3) = 0 OR job.state = ANY($3))
                        AND (cardinality($4) = 0 OR job.code = ANY($4))))
            "#,
            run.0,
            &states as &[&str],
            &jobs as &[&str],
            &words::codes(&filter.codes) as &[&str],
        )
        .fetch_one(&self.pool)
        .await
        .map_err(self.sql_failed("could not count batches"))
    }

    async fn batch_counts(&self, runs: &[RunId]) -> Result<Vec<BatchCount>> {
        let runs: Vec<Uuid> = runs.iter().map(|run| run.0).collect();
        let rows = query_as!(
            BatchCountRow,
            r#"
            SELECT run_id, state, count(*) AS "count!" FROM ferry.batches
            WHERE run_id = ANY($1) GROUP BY run_id, state ORDER BY run_id, state
            "#,
            &runs,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not count batches"))?;
        rows.into_iter().map(BatchCountRow::counted).collect()
    }

    async fn batches(&self, ids: BatchIds, most: i64) -> Result<Vec<BatchView>> {
        let found = query_as!(
            BatchRow,
            r#"
            SELECT id, run_id, ordinal, round, state, source, created, adopted, skipped, conflict, failed, cancelled,
                   pending, verified, discrepancies, requests
            FROM ferry.batches
            WHERE id BETWEEN $1 AND $2
            ORDER BY id
            LIMIT $3
            "#,
            ids.first.0,
            ids.last.0,
            most,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not look for a batch"))?;
        self.with_jobs(found).await
    }
}

impl PostgresLedger {
    async fn with_jobs(&self, found: Vec<BatchRow>) -> Result<Vec<BatchView>> {
        let ids: Vec<Uuid> = found.iter().map(|row| row.id).collect();
        let jobs = query_as!(
            BatchJobRow,
            r#"
            SELECT job.batch_id AS "batch_id!", job.id, job.kind, job.state, job.attempts, job.rescues, job.code,
                   worker.host AS "host?", worker.pid AS "pid?"
            FROM ferry.jobs AS job
            LEFT JOIN ferry.workers AS worker ON worker.id = job.holder
            WHERE job.batch_id = ANY($1)
            ORDER BY job.created_at, job.id
            "#,
            &ids,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed(LISTING))?;
        rows::batches(found, jobs)
    }
}
