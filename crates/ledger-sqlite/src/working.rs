//! What workers ask.

use std::time::Duration;

use async_trait::async_trait;
use ferry_domain::{
    Attempt, Envelope, Item, ItemResult, Job, JobId, JobKind, Lease, RunId, RunSpec, RunState, Verdict,
    WorkerId,
    ports::{BatchVerification, Controls, Presence, SealedRun, Unclaimed, WorkerRecord, Working, WriteBack},
    run::RunMove,
};
use uuid::Uuid;

use crate::{
    SqliteLedger, concluding, ending,
    errors::{Doing, Result, no_such_run},
    fence::{fence, move_run, only},
    rows::{ItemRow, JobRow, hex, json, micros, run_spec, run_state},
};

const BEATING: &str = "could not renew leases";
const RETIRING: &str = "could not hand a worker's leases back";
const READING: &str = "could not read a batch";
const CONCLUDING: &str = "could not conclude a job";
const VERIFYING: &str = "could not record a verification";
const SEALING: &str = "could not seal a run";

#[async_trait]
impl Working for SqliteLedger {
    async fn register(&self, worker: &WorkerRecord) -> Result<Presence> {
        self.register_alone(worker).await
    }

    async fn controls(&self) -> Result<Controls> {
        self.read_controls().await
    }

    async fn why_unclaimed(&self, envelope: &Envelope) -> Result<Unclaimed> {
        self.unclaimed(envelope).await
    }

    async fn heartbeat(&self, worker: &WorkerRecord, lease: Duration, held: &[JobId]) -> Result<Vec<JobId>> {
        let held = json(&held.iter().map(|job| hex(job.0)).collect::<Vec<_>>());
        let lease = micros(lease);
        let mut tx = self.write(BEATING).await?;
        sqlx::query!(
            r#"
            INSERT INTO ferry_workers (id, host, pid, slots, started_at, seen_at, waits)
            SELECT ?1, ?2, ?3, ?4, at, at, ?5 FROM ferry_now WHERE true
            ON CONFLICT (id) DO UPDATE
            SET slots = excluded.slots, seen_at = excluded.seen_at, waits = excluded.waits
            "#,
            worker.id.0,
            worker.host,
            worker.pid,
            worker.slots,
            worker.waits
        )
        .execute(&mut *tx)
        .await
        .doing(BEATING)?;
        let held = sqlx::query_scalar!(
            r#"
            UPDATE ferry_jobs SET expires_at = (SELECT at FROM ferry_now) + ?2
            WHERE holder = ?1 AND state = 'leased'
              AND id IN (SELECT unhex(value) FROM json_each(?3))
            RETURNING id AS "id!: Uuid"
            "#,
            worker.id.0,
            lease,
            held
        )
        .fetch_all(&mut *tx)
        .await
        .doing(BEATING)?;
        tx.commit().await.doing(BEATING)?;
        Ok(held.into_iter().map(JobId).collect())
    }

    async fn retire(&self, worker: WorkerId) -> Result<u64> {
        let mut tx = self.write(RETIRING).await?;
        let handed_back = sqlx::query!(
            r#"
            UPDATE ferry_jobs
            SET state = 'ready', holder = NULL, expires_at = NULL, not_before = (SELECT at FROM ferry_now)
            WHERE holder = ?1 AND state = 'leased'
            "#,
            worker.0
        )
        .execute(&mut *tx)
        .await
        .doing(RETIRING)?;
        sqlx::query!("DELETE FROM ferry_workers WHERE id = ?1", worker.0)
            .execute(&mut *tx)
            .await
            .doing(RETIRING)?;
        tx.commit().await.doing(RETIRING)?;
        Ok(handed_back.rows_affected())
    }

    async fn absolve(&self, jobs: &[JobId]) -> Result<()> {
        let jobs = json(&jobs.iter().map(|job| hex(job.0)).collect::<Vec<_>>());
        sqlx::query!(
            r#"
            UPDATE ferry_jobs SET rescues = rescues - 1
            WHERE rescues > 0 AND id IN (SELECT unhex(value) FROM json_each(?1))
            "#,
            jobs
        )
        .execute(self.writer())
        .await
        .doing("could not absolve jobs")?;
        Ok(())
    }

    async fn claim(
        &self,
        job: JobId,
        send: i32,
        holder: WorkerId,
        lease: Duration,
    ) -> Result<Option<Lease<Job>>> {
        let lasts = micros(lease);
        let row = sqlx::query_as!(
            JobRow,
            r#"
            UPDATE ferry_jobs
            SET state = 'leased', holder = ?3, token = token + 1, queued_at = NULL,
                expires_at = (SELECT at FROM ferry_now) + ?4
            WHERE id = ?1 AND send = ?2 AND state = 'queued'
            RETURNING id AS "id!: Uuid", run_id AS "run_id!: Uuid", batch_id AS "batch_id?: Uuid",
                      kind AS "kind!: String", attempts AS "attempts!: i32", rescues AS "rescues!: i32",
                      traceparent AS "traceparent?: String", token AS "token!: i64"
            "#,
            job.0,
            send,
            holder.0,
            lasts
        )
        .fetch_optional(self.writer())
        .await
        .doing("could not take a job")?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Lease { token: row.token, of: row.job()?, holder, lasts: lease }))
    }

    async fn pending_items(&self, lease: &Lease<Job>) -> Result<Vec<Item>> {
        only(lease, JobKind::Provision)?;
        self.items_of(lease, r#"["pending"]"#).await
    }

    async fn items_at_target(&self, lease: &Lease<Job>) -> Result<Vec<Item>> {
        only(lease, JobKind::Verify)?;
        self.items_of(lease, r#"["created","adopted"]"#).await
    }

    async fn run_spec(&self, run: RunId) -> Result<(String, RunSpec, RunState)> {
        let row = sqlx::query!(
            r#"
            SELECT migration AS "migration!: String", spec AS "spec!: String", state AS "state!: String"
            FROM ferry_runs WHERE id = ?1
            "#,
            run.0
        )
        .fetch_optional(self.reader())
        .await
        .doing("could not read a run")?
        .ok_or_else(|| no_such_run(run))?;
        Ok((row.migration, run_spec(&row.spec, run.0)?, run_state(&row.state, run.0)?))
    }

    async fn write_back(
        &self,
        lease: &Lease<Job>,
        results: &[ItemResult],
        requests: i64,
    ) -> Result<WriteBack> {
        self.store_results(lease, results, requests).await
    }

    async fn conclude(&self, lease: &Lease<Job>, verdict: &Verdict, attempt: Option<&Attempt>) -> Result<()> {
        let mut tx = self.write(CONCLUDING).await?;
        let held = fence(&mut tx, lease).await?;
        concluding::conclude(&mut tx, lease, &held, verdict, attempt).await?;
        tx.commit().await.doing(CONCLUDING)
    }

    async fn record_verification(&self, lease: &Lease<Job>, found: &BatchVerification) -> Result<()> {
        only(lease, JobKind::Verify)?;
        let mut tx = self.write(VERIFYING).await?;
        let batch = fence(&mut tx, lease).await?.batch()?;
        let rows: Vec<_> =
            found.discrepancies.iter().map(|d| (d.seq, &d.key, &d.auth0_user_id, &d.fields)).collect();
        let rows = json(&rows);
        sqlx::query!(
            r#"
            INSERT OR REPLACE INTO ferry_discrepancies (run_id, seq, batch_id, key, auth0_user_id, fields, found_at)
            SELECT ?1, value ->> 0, ?2, value ->> 1, value ->> 2, value ->> 3, at
            FROM json_each(?3) CROSS JOIN ferry_now
            "#,
            lease.of.run.0,
            batch.0,
            rows
        )
        .execute(&mut *tx)
        .await
        .doing(VERIFYING)?;
        let differing = i64::try_from(found.discrepancies.len()).unwrap_or(i64::MAX);
        ending::verified(&mut tx, batch, found.matched, differing, found.requests).await?;
        ending::job_done(&mut tx, lease).await?;
        ending::seal_if_last(&mut tx, lease.of.run).await?;
        tx.commit().await.doing(VERIFYING)
    }

    async fn seal(&self, lease: &Lease<Job>, sealed: &SealedRun) -> Result<i32> {
        only(lease, JobKind::Report)?;
        let mut tx = self.write(SEALING).await?;
        fence(&mut tx, lease).await?;
        move_run(&mut tx, lease.of.run, RunMove::Seal).await?;
        let revision = sqlx::query_scalar!(
            r#"
            UPDATE ferry_runs SET revision = revision + 1, sealed_at = (SELECT at FROM ferry_now) WHERE id = ?1
            RETURNING revision AS "revision!: i32"
            "#,
            lease.of.run.0
        )
        .fetch_one(&mut *tx)
        .await
        .doing(SEALING)?;
        let report = sealed.report.to_string();
        sqlx::query!(
            "INSERT INTO ferry_reports (run_id, revision, sealed_at, report) SELECT ?1, ?2, at, ?3 FROM ferry_now",
            lease.of.run.0,
            revision,
            report
        )
        .execute(&mut *tx)
        .await
        .doing(SEALING)?;
        ending::job_done(&mut tx, lease).await?;
        tx.commit().await.doing(SEALING)?;
        Ok(revision)
    }
}

impl SqliteLedger {
    async fn items_of(&self, lease: &Lease<Job>, states: &'static str) -> Result<Vec<Item>> {
        let mut connection = self.reader().acquire().await.doing(READING)?;
        let batch = fence(&mut connection, lease).await?.batch()?;
        let rows = sqlx::query_as!(
            ItemRow,
            r#"
            SELECT seq AS "seq!: i64", record AS "record?: String", auth0_user_id AS "auth0_user_id?: String",
                   state AS "state!: String"
            FROM ferry_items
            WHERE batch_id = ?1 AND state IN (SELECT value FROM json_each(?2))
            ORDER BY seq
            "#,
            batch.0,
            states
        )
        .fetch_all(&mut *connection)
        .await
        .doing(READING)?;
        rows.into_iter().map(ItemRow::item).collect()
    }
}
