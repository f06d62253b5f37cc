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
use sqlx::{query, query_as};

use crate::{PostgresLedger, transaction::Tx};

#[async_trait]
impl Leases for PostgresLedger {
    async fn claim(
        &self,
        job: JobId,
        send: i32,
        holder: WorkerId,
        lease: Duration,
    ) -> Result<Option<Lease<Job>>> {
        let claimed = query_as!(
            ClaimedRow,
            r#"
            UPDATE ferry.jobs
            SET state = 'leased', queued_at = NULL, holder = $3, token = token + 1,
                expires_at = clock_timestamp() + make_interval(secs => $4)
            WHERE id = $1 AND send = $2 AND state = 'queued'
            RETURNING id, run_id, batch_id, kind, attempts, rescues, token,
                      extract(epoch FROM clock_timestamp() - not_before)::float8 AS "waited!"
            "#,
            job.0,
            send,
            holder.0,
            lease.as_secs_f64(),
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(self.sql_failed("could not lease a job"))?;
        claimed.map(|row| row.lease(holder, lease)).transpose()
    }

    async fn why_unclaimed(&self, envelope: &Envelope) -> Result<Unclaimed> {
        let row = query_as!(
            SendRow,
            "SELECT id, run_id, batch_id, kind, send, rescues FROM ferry.jobs WHERE id = $1",
            envelope.job.0,
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(self.sql_failed("could not look a job up"))?;
        Ok(row.map_or(Unclaimed::Unknown, |row| row.why_unclaimed(envelope)))
    }

    async fn conclude(&self, lease: &Lease<Job>, verdict: &Verdict, attempt: Option<&Attempt>) -> Result<()> {
        self.trying("could not end a lease", || async {
            let mut tx = self.begin().await?;
            let held = fence::fence(&mut tx, lease).await?;
            scripts::conclude(&mut Tx(&mut tx), lease, verdict, attempt, held.run).await?;
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    async fn rescue(&self, me: WorkerId, expired: bool) -> Result<Vec<Rescued>> {
        rescue::rescue(&self.pool, me, expired)
            .await
            .map_err(self.sql_failed("could not rescue jobs"))?
            .into_iter()
            .map(rescue::RescuedRow::rescued)
            .collect()
    }

    async fn undo_rescue(&self, jobs: &[JobId]) -> Result<()> {
        let jobs: Vec<_> = jobs.iter().map(|job| job.0).collect();
        query!("UPDATE ferry.jobs SET rescues = rescues - 1 WHERE id = ANY($1) AND rescues > 0", &jobs)
            .execute(&self.pool)
            .await
            .map_err(self.sql_failed("could not undo rescues"))?;
        Ok(())
    }
}
