//! How a lease ends other than by results: handed back, given up, verified, sealed.

use std::time::Duration;

use ferry_domain::{
    Attempt, Code, Job, JobKind, Lease, Tally, Verdict,
    ports::{BatchVerification, LedgerError, SealedRun},
};
use sqlx::{PgConnection, query, query_scalar};

use crate::{
    PostgresLedger,
    errors::Fault,
    giving_up,
    lease::{self, batch_of},
    moving,
    settling::{self, End, ReadBack},
    tries::Tries,
};

impl PostgresLedger {
    pub(crate) async fn end_lease(
        &self,
        lease: &Lease<Job>,
        verdict: &Verdict,
        attempt: Option<&Attempt>,
    ) -> Result<(), LedgerError> {
        let mut tries = Tries::default();
        loop {
            match self.try_end_lease(lease, verdict, attempt).await {
                Err(fault) if tries.again(&fault).await => {}
                done => return done.map_err(self.failed("could not end a lease")),
            }
        }
    }

    async fn try_end_lease(
        &self,
        lease: &Lease<Job>,
        verdict: &Verdict,
        attempt: Option<&Attempt>,
    ) -> Result<(), Fault> {
        let mut tx = self.begin().await?;
        lease::fence(&mut tx, lease).await?;
        match *verdict {
            Verdict::Retry { after, code } => {
                let untimed = Attempt { number: 0, code, took: Duration::ZERO };
                count_attempt(&mut tx, lease, attempt.unwrap_or(&untimed)).await?;
                hand_back(&mut tx, lease, after, code).await?;
            }
            Verdict::Snooze { after, code } => hand_back(&mut tx, lease, after, code).await?,
            Verdict::Stop { code } => {
                hand_back(&mut tx, lease, Duration::ZERO, code).await?;
                moving::stop_for(&mut tx, lease.of.run, code).await?;
            }
            Verdict::Discard { code } => {
                if let Some(attempt) = attempt {
                    count_attempt(&mut tx, lease, attempt).await?;
                }
                giving_up::give_up(&mut tx, &lease.of, code, &lease.holder.to_string()).await?;
            }
            Verdict::Done => finish_complete(&mut tx, lease).await?,
        }
        tx.commit().await?;
        Ok(())
    }

    pub(crate) async fn close_verified(
        &self,
        lease: &Lease<Job>,
        found: &BatchVerification,
    ) -> Result<(), LedgerError> {
        lease::only(lease, JobKind::Verify)?;
        let mut tries = Tries::default();
        loop {
            match self.try_close_verified(lease, found).await {
                Err(fault) if tries.again(&fault).await => {}
                done => return done.map_err(self.failed("could not record a verification")),
            }
        }
    }

    async fn try_close_verified(&self, lease: &Lease<Job>, found: &BatchVerification) -> Result<(), Fault> {
        let mut tx = self.begin().await?;
        lease::fence(&mut tx, lease).await?;
        insert_discrepancies(&mut tx, lease, found).await?;
        let counts = ReadBack {
            matched: found.matched,
            discrepancies: found.discrepancies.len() as i64,
            requests: found.requests,
        };
        settling::close_batch(&mut tx, &lease.of, &counts, End::Done).await?;
        tx.commit().await?;
        Ok(())
    }

    pub(crate) async fn keep_report(
        &self,
        lease: &Lease<Job>,
        sealed: &SealedRun,
    ) -> Result<i32, LedgerError> {
        lease::only(lease, JobKind::Report)?;
        let mut tries = Tries::default();
        loop {
            match self.try_keep_report(lease, sealed).await {
                Err(fault) if tries.again(&fault).await => {}
                done => return done.map_err(self.failed("could not keep a report")),
            }
        }
    }

    async fn try_keep_report(&self, lease: &Lease<Job>, sealed: &SealedRun) -> Result<i32, Fault> {
        let mut tx = self.begin().await?;
        let held = lease::fence(&mut tx, lease).await?;
        let revision = query_scalar!(
            r#"
            WITH sealed AS (
                UPDATE ferry.runs
                SET state = CASE WHEN state = 'cancelling' THEN 'cancelled' ELSE 'sealed' END,
                    revision = revision + 1, sealed_at = clock_timestamp()
                WHERE id = $2 AND state IN ('sealing', 'cancelling')
                RETURNING id, revision, sealed_at
            ), kept AS (
                INSERT INTO ferry.reports (run_id, revision, sealed_at, report)
                SELECT id, revision, sealed_at, $3 FROM sealed
            ), ended AS (
                UPDATE ferry.jobs
                SET state = 'done', ended_at = clock_timestamp(), holder = NULL, expires_at = NULL
                WHERE id = $1
            )
            SELECT revision FROM sealed
            "#,
            lease.of.id.0,
            lease.of.run.0,
            sealed.report,
        )
        .fetch_optional(&mut *tx)
        .await?
        .ok_or_else(|| LedgerError::Refused(format!("run {} is {}, not sealing", lease.of.run, held.run)))?;
        tx.commit().await?;
        Ok(revision)
    }
}

/// Counts a try that did not succeed. The store numbers it: the holder may have read
/// its count before another one's try.
async fn count_attempt(
    connection: &mut PgConnection,
    lease: &Lease<Job>,
    attempt: &Attempt,
) -> Result<(), Fault> {
    query!(
        r#"
        WITH counted AS (
            UPDATE ferry.jobs SET attempts = attempts + 1 WHERE id = $1 RETURNING attempts
        )
        INSERT INTO ferry.attempts (job_id, number, code, took_ms, holder)
        SELECT $1::uuid, attempts, $2::text, $3::bigint, $4::uuid FROM counted
        "#,
        lease.of.id.0,
        attempt.code.as_str(),
        i64::try_from(attempt.took.as_millis()).unwrap_or(i64::MAX),
        lease.holder.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn hand_back(
    connection: &mut PgConnection,
    lease: &Lease<Job>,
    after: Duration,
    code: Code,
) -> Result<(), Fault> {
    query!(
        r#"
        UPDATE ferry.jobs
        SET state = 'ready', holder = NULL, expires_at = NULL, code = $3,
            not_before = clock_timestamp() + make_interval(secs => $2)
        WHERE id = $1
        "#,
        lease.of.id.0,
        after.as_secs_f64(),
        code.as_str(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// `Done` without results: right only for a batch with nothing pending.
async fn finish_complete(connection: &mut PgConnection, lease: &Lease<Job>) -> Result<(), Fault> {
    lease::only(lease, JobKind::Provision)?;
    let pending = settling::count_in(connection, &lease.of, &Tally::default(), 0, End::Done).await?;
    if pending > 0 {
        let why = format!("job {} has {pending} items left: write them back, or hand it back", lease.of.id);
        return Err(LedgerError::Refused(why).into());
    }
    Ok(())
}

async fn insert_discrepancies(
    connection: &mut PgConnection,
    lease: &Lease<Job>,
    found: &BatchVerification,
) -> Result<(), Fault> {
    if found.discrepancies.is_empty() {
        return Ok(());
    }
    let seqs: Vec<i64> = found.discrepancies.iter().map(|d| d.seq.0).collect();
    let keys: Vec<&str> = found.discrepancies.iter().map(|d| d.key.0.as_str()).collect();
    let ids: Vec<&str> = found.discrepancies.iter().map(|d| d.auth0_user_id.0.as_str()).collect();
    let fields: Vec<serde_json::Value> =
        found.discrepancies.iter().map(|d| d.fields.clone().into()).collect();
    query!(
        r#"
        INSERT INTO ferry.discrepancies (run_id, seq, batch_id, key, auth0_user_id, fields)
        SELECT $1::uuid, found.seq, $2::uuid, found.key, found.auth0_user_id, found.fields
        FROM unnest($3::bigint[], $4::text[], $5::text[], $6::jsonb[])
            AS found (seq, key, auth0_user_id, fields)
        ON CONFLICT (run_id, seq) DO UPDATE SET fields = excluded.fields, found_at = clock_timestamp()
        "#,
        lease.of.run.0,
        batch_of(&lease.of)?.0,
        &seqs,
        &keys as &[&str],
        &ids as &[&str],
        &fields,
    )
    .execute(connection)
    .await?;
    Ok(())
}
