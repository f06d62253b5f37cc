//! Leases: claimed, ended by a verdict, taken back.

pub(crate) mod end;
pub(crate) mod fence;
pub(crate) mod give_up;
mod rescue;

use std::time::Duration;

use async_trait::async_trait;
use ferry_domain::{
    Attempt, Envelope, Job, JobId, JobKind, Lease, Tally, Verdict, WorkerId,
    ending::{self, Ending},
    ports::{Command, Leases, Rescued, Unclaimed},
    run::RunMove,
};
use ferry_ledger::{
    Result, refusals,
    rows::{JobRow, SendRow},
};
use sqlx::{PgConnection, query, query_as};

use crate::{PostgresLedger, errors::Tried, moves};

use end::End;

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
            JobRow,
            r#"
            UPDATE ferry.jobs
            SET state = 'leased', queued_at = NULL, holder = $3, token = token + 1,
                expires_at = clock_timestamp() + make_interval(secs => $4)
            WHERE id = $1 AND send = $2 AND state = 'queued'
            RETURNING id, run_id, batch_id, kind, attempts, rescues, traceparent, token
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
        Ok(Some(Lease { token: row.token, of: row.job()?, holder, lasts: lease }))
    }

    async fn why_unclaimed(&self, envelope: &Envelope) -> Result<Unclaimed> {
        let row = query_as!(
            SendRow,
            "SELECT id, run_id, batch_id, kind, send, rescues, traceparent FROM ferry.jobs WHERE id = $1",
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
            let ending = ending::of(lease.of.kind, verdict, attempt, held.run);
            conclude(&mut tx, lease, &ending).await?;
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

/// Writes an ending down; the lease is checked.
async fn conclude(connection: &mut PgConnection, lease: &Lease<Job>, ending: &Ending) -> Tried<()> {
    if let Ending::Back { attempt: Some(attempt), .. } | Ending::Dead { attempt: Some(attempt), .. } = ending
    {
        end::count_attempt(connection, lease, attempt).await?;
    }
    match *ending {
        Ending::Done => finish_complete(connection, lease).await,
        Ending::Back { after, code, stops, .. } => {
            end::hand_back(connection, lease, after, code).await?;
            if stops {
                let command = Command { by: "ferry", reason: Some(code.as_str()) };
                moves::ask(connection, lease.of.run, RunMove::Stop, &command).await?;
            }
            Ok(())
        }
        Ending::Dead { code, leftover, .. } => {
            give_up::give_up(connection, &lease.of, code, leftover, lease.holder).await
        }
    }
}

/// `Done` without results: right only for a batch with nothing pending.
async fn finish_complete(connection: &mut PgConnection, lease: &Lease<Job>) -> Tried<()> {
    refusals::only(lease, JobKind::Provision)?;
    let pending = end::count_in(connection, &lease.of, &Tally::default(), 0, End::Done).await?;
    Ok(refusals::complete(&lease.of, pending)?)
}
