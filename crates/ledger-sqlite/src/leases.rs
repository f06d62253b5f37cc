//! Leases: claimed, ended by a verdict, taken back.

mod end;
pub(crate) mod fence;
mod rescue;

use std::time::Duration;

use async_trait::async_trait;
use ferry_domain::{
    Attempt, Envelope, Job, JobId, Lease, Verdict, WorkerId,
    ports::{Leases, Rescued, Unclaimed},
};
use ferry_ledger::{
    Result,
    rows::{ClaimedRow, SendRow},
    scripts,
};
use uuid::Uuid;

use crate::{
    SqliteLedger,
    connection::Tx,
    errors::Doing,
    values::{hex, json, micros},
};

const CONCLUDING: &str = "could not conclude a job";

#[async_trait]
impl Leases for SqliteLedger {
    async fn claim(
        &self,
        job: JobId,
        send: i32,
        holder: WorkerId,
        lease: Duration,
    ) -> Result<Option<Lease<Job>>> {
        let lasts = micros(lease);
        let row = sqlx::query_as!(
            ClaimedRow,
            r#"
            UPDATE ferry_jobs
            SET state = 'leased', holder = ?3, token = token + 1, queued_at = NULL,
                expires_at = (SELECT at FROM ferry_now) + ?4
            WHERE id = ?1 AND send = ?2 AND state = 'queued'
            RETURNING id AS "id!: Uuid", run_id AS "run_id!: Uuid", batch_id AS "batch_id?: Uuid",
                      kind AS "kind!: String", attempts AS "attempts!: i32", rescues AS "rescues!: i32",
                      token AS "token!: i64",
                      ((SELECT at FROM ferry_now) - not_before) / 1e6 AS "waited!: f64"
            "#,
            job.0,
            send,
            holder.0,
            lasts
        )
        .fetch_optional(self.writer())
        .await
        .doing("could not take a job")?;
        row.map(|row| row.lease(holder, lease)).transpose()
    }

    async fn why_unclaimed(&self, envelope: &Envelope) -> Result<Unclaimed> {
        let row = sqlx::query_as!(
            SendRow,
            r#"
            SELECT id AS "id!: Uuid", run_id AS "run_id!: Uuid", batch_id AS "batch_id?: Uuid",
                   kind AS "kind!: String", send AS "send!: i32", rescues AS "rescues!: i32"
            FROM ferry_jobs WHERE id = ?1
            "#,
            envelope.job.0
        )
        .fetch_optional(self.reader())
        .await
        .doing("could not look a job up")?;
        Ok(row.map_or(Unclaimed::Unknown, |row| row.why_unclaimed(envelope)))
    }

    async fn conclude(&self, lease: &Lease<Job>, verdict: &Verdict, attempt: Option<&Attempt>) -> Result<()> {
        let mut tx = self.write(CONCLUDING).await?;
        let held = fence::fence(&mut tx, lease).await?;
        scripts::conclude(&mut Tx(&mut tx), lease, verdict, attempt, held.run).await?;
        tx.commit().await.doing(CONCLUDING)
    }

    async fn rescue(&self, me: WorkerId, expired: bool) -> Result<Vec<Rescued>> {
        rescue::rescue(self, me, expired).await
    }

    async fn undo_rescue(&self, jobs: &[JobId]) -> Result<()> {
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
        .doing("could not undo rescues")?;
        Ok(())
    }
}
