//! What workers ask: leases and what they hold. Long answers live in
//! `write_back`, `conclude` and `settling`.

use std::time::Duration;

use async_trait::async_trait;
use ferry_domain::{
    Attempt, BatchId, Envelope, Item, ItemResult, Job, JobId, JobKind, Lease, RunId, RunSpec, RunState,
    Verdict, WorkerId,
    ports::{
        BatchVerification, Controls, LedgerError, Presence, SealedRun, Unclaimed, WorkerRecord, Working,
        WriteBack,
    },
};
use sqlx::{query, query_scalar};

use crate::{
    PostgresLedger, lease,
    rows::{self, ItemRow},
};

type Result<T> = std::result::Result<T, LedgerError>;

#[async_trait]
impl Working for PostgresLedger {
    async fn register(&self, worker: &WorkerRecord) -> Result<Presence> {
        self.announce(worker).await
    }

    async fn controls(&self) -> Result<Controls> {
        self.read_controls().await
    }

    async fn why_unclaimed(&self, envelope: &Envelope) -> Result<Unclaimed> {
        let row = query!("SELECT kind, run_id, batch_id, send FROM ferry.jobs WHERE id = $1", envelope.job.0)
            .fetch_optional(&self.pool)
            .await
            .map_err(self.sql_failed("could not look a job up"))?;
        let Some(row) = row else { return Ok(Unclaimed::Unknown) };
        let same = row.kind == envelope.kind.as_str()
            && row.run_id == envelope.run.0
            && row.batch_id == envelope.batch.map(|batch| batch.0);
        Ok(match same {
            false => Unclaimed::Mismatch,
            true if envelope.send > row.send => Unclaimed::Ahead,
            true => Unclaimed::Stale,
        })
    }

    async fn heartbeat(&self, worker: &WorkerRecord, lease: Duration, held: &[JobId]) -> Result<Vec<JobId>> {
        let held: Vec<_> = held.iter().map(|job| job.0).collect();
        let held = query_scalar!(
            r#"
            WITH seen AS (
                INSERT INTO ferry.workers (id, host, pid, slots, waits) VALUES ($1, $2, $3, $4, $6)
                ON CONFLICT (id) DO UPDATE
                SET slots = excluded.slots, waits = excluded.waits, seen_at = clock_timestamp()
            )
            UPDATE ferry.jobs
            SET expires_at = clock_timestamp() + make_interval(secs => $5)
            WHERE holder = $1 AND state = 'leased' AND id = ANY($7)
            RETURNING id
            "#,
            worker.id.0,
            worker.host,
            worker.pid,
            worker.slots,
            lease.as_secs_f64(),
            worker.waits,
            &held,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not renew leases"))?;
        Ok(held.into_iter().map(JobId).collect())
    }

    async fn retire(&self, worker: WorkerId) -> Result<u64> {
        let handed_back = query!(
            r#"
            WITH gone AS (DELETE FROM ferry.workers WHERE id = $1)
            UPDATE ferry.jobs
            SET state = 'ready', holder = NULL, expires_at = NULL, not_before = clock_timestamp()
            WHERE holder = $1 AND state = 'leased'
            "#,
            worker.0,
        )
        .execute(&self.pool)
        .await
        .map_err(self.sql_failed("could not let a worker go"))?;
        Ok(handed_back.rows_affected())
    }

    async fn absolve(&self, jobs: &[JobId]) -> Result<()> {
        let jobs: Vec<_> = jobs.iter().map(|job| job.0).collect();
        query!("UPDATE ferry.jobs SET rescues = rescues - 1 WHERE id = ANY($1) AND rescues > 0", &jobs)
            .execute(&self.pool)
            .await
            .map_err(self.sql_failed("could not absolve jobs"))?;
        Ok(())
    }

    async fn claim(
        &self,
        job: JobId,
        send: i32,
        holder: WorkerId,
        lease: Duration,
    ) -> Result<Option<Lease<Job>>> {
        let claimed = query!(
            r#"
            UPDATE ferry.jobs
            SET state = 'leased', queued_at = NULL, holder = $3, token = token + 1,
                expires_at = clock_timestamp() + make_interval(secs => $4)
            WHERE id = $1 AND send = $2 AND state = 'queued'
            RETURNING run_id, batch_id, kind, token, attempts, rescues, traceparent
            "#,
            job.0,
            send,
            holder.0,
            lease.as_secs_f64(),
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(self.sql_failed("could not lease a job"))?;
        let Some(row) = claimed else { return Ok(None) };
        let of = Job {
            id: job,
            kind: rows::job_kind(job, &row.kind)?,
            run: RunId(row.run_id),
            batch: row.batch_id.map(BatchId),
            attempts: row.attempts,
            rescues: row.rescues,
            traceparent: row.traceparent,
        };
        Ok(Some(Lease { of, holder, token: row.token, lasts: lease }))
    }

    async fn pending_items(&self, lease: &Lease<Job>) -> Result<Vec<Item>> {
        self.items_of_batch(lease, JobKind::Provision, &["pending"]).await
    }

    async fn items_at_target(&self, lease: &Lease<Job>) -> Result<Vec<Item>> {
        self.items_of_batch(lease, JobKind::Verify, &["created", "adopted"]).await
    }

    async fn run_spec(&self, run: RunId) -> Result<(String, RunSpec, RunState)> {
        let row =
            query!(r#"SELECT migration, spec::text AS "spec!", state FROM ferry.runs WHERE id = $1"#, run.0)
                .fetch_optional(&self.pool)
                .await
                .map_err(self.sql_failed("could not read a run"))?
                .ok_or_else(|| LedgerError::Refused(format!("there is no run {run}")))?;
        let state = rows::run_state(run.0, &row.state)?;
        Ok((row.migration, rows::run_spec(run.0, &row.spec)?, state))
    }

    async fn write_back(
        &self,
        lease: &Lease<Job>,
        results: &[ItemResult],
        requests: i64,
    ) -> Result<WriteBack> {
        self.write_results(lease, results, requests).await
    }

    async fn conclude(&self, lease: &Lease<Job>, verdict: &Verdict, attempt: Option<&Attempt>) -> Result<()> {
        self.end_lease(lease, verdict, attempt).await
    }

    async fn record_verification(&self, lease: &Lease<Job>, found: &BatchVerification) -> Result<()> {
        self.close_verified(lease, found).await
    }

    async fn seal(&self, lease: &Lease<Job>, sealed: &SealedRun) -> Result<i32> {
        self.keep_report(lease, sealed).await
    }
}

impl PostgresLedger {
    /// One statement looks at the lease and the items: a lost lease gives no row at
    /// all, a held one without such items gives one empty row.
    async fn items_of_batch(&self, lease: &Lease<Job>, kind: JobKind, states: &[&str]) -> Result<Vec<Item>> {
        lease::only(lease, kind)?;
        let found = query!(
            r#"
            SELECT item.run_id AS "run_id?", item.seq AS "seq?", item.record::text AS record,
                   item.auth0_user_id AS "auth0_user_id?", item.state AS "state?"
            FROM ferry.jobs AS job
            LEFT JOIN ferry.items AS item ON item.batch_id = job.batch_id AND item.state = ANY($3)
            WHERE job.id = $1 AND job.token = $2 AND job.state = 'leased'
            ORDER BY item.seq
            "#,
            lease.of.id.0,
            lease.token,
            states as &[&str],
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not read the items of a batch"))?;
        if found.is_empty() {
            return Err(LedgerError::LeaseLost);
        }
        let items = found.into_iter().filter_map(|row| {
            Some(ItemRow {
                run_id: row.run_id?,
                seq: row.seq?,
                record: row.record,
                auth0_user_id: row.auth0_user_id,
                state: row.state?,
            })
        });
        rows::all(items.collect())
    }
}
