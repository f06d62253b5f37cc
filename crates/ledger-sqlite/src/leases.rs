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
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::{
    SqliteLedger,
    errors::Doing,
    moves,
    values::{hex, json, micros},
};

use end::End;

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

    async fn why_unclaimed(&self, envelope: &Envelope) -> Result<Unclaimed> {
        let row = sqlx::query_as!(
            SendRow,
            r#"
            SELECT id AS "id!: Uuid", run_id AS "run_id!: Uuid", batch_id AS "batch_id?: Uuid",
                   kind AS "kind!: String", send AS "send!: i32", rescues AS "rescues!: i32",
                   traceparent AS "traceparent?: String"
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
        let ending = ending::of(lease.of.kind, verdict, attempt, held.run);
        conclude(&mut tx, lease, &ending).await?;
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

/// Writes an ending down; the lease is checked.
async fn conclude(connection: &mut SqliteConnection, lease: &Lease<Job>, ending: &Ending) -> Result<()> {
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
async fn finish_complete(connection: &mut SqliteConnection, lease: &Lease<Job>) -> Result<()> {
    refusals::only(lease, JobKind::Provision)?;
    let pending = end::count_in(connection, &lease.of, &Tally::default(), 0, End::Done).await?;
    refusals::complete(&lease.of, pending)
}
