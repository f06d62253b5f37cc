//! Halving a batch that workers die over (`ferry_domain::poison`).

use ferry_domain::{BatchId, Job, JobId, JobKind, poison, ports::LedgerError};
use sqlx::{PgConnection, query, query_scalar};

use crate::{PostgresLedger, errors::Fault, giving_up::lock_unheld, lease::batch_of, settling, tries::Tries};

impl PostgresLedger {
    pub(crate) async fn halve_batch(&self, job: JobId, into: BatchId) -> Result<i64, LedgerError> {
        let mut tries = Tries::default();
        loop {
            match self.try_halve_batch(job, into).await {
                Err(fault) if tries.again(&fault).await => {}
                done => return done.map_err(self.failed("could not halve a batch")),
            }
        }
    }

    /// The job is locked first: a claim at the same time waits and reads the half, or
    /// was first and leaves nothing to halve.
    async fn try_halve_batch(&self, job: JobId, into: BatchId) -> Result<i64, Fault> {
        let mut tx = self.begin().await?;
        let went = halve(&mut tx, job, into).await?;
        // Also where nothing went: a transaction that is only dropped ends a little later, and
        // meanwhile the relay passes the locked job over.
        tx.commit().await?;
        Ok(went)
    }
}

async fn halve(tx: &mut PgConnection, job: JobId, into: BatchId) -> Result<i64, Fault> {
    let Some(job) = lock_unheld(tx, job).await? else { return Ok(0) };
    if job.kind != JobKind::Provision {
        return Ok(0);
    }
    let pending = query_scalar!(
        "SELECT seq FROM ferry.items WHERE batch_id = $1 AND state = 'pending' ORDER BY seq",
        batch_of(&job)?.0,
    )
    .fetch_all(&mut *tx)
    .await?;
    let kept = usize::try_from(poison::kept(pending.len() as i64)).unwrap_or(0);
    let gone = &pending[kept..];
    if kept == 0 || gone.is_empty() {
        return Ok(0);
    }
    // Numbers of batches are given out under the lock of the run.
    settling::lock_run(tx, job.run.0).await?;
    split(tx, &job, gone, into).await?;
    Ok(gone.len() as i64)
}

/// The new job stands where the old one does: as old, as often tried, and with a token,
/// which says that its users may be at Auth0 already.
async fn split(connection: &mut PgConnection, job: &Job, gone: &[i64], into: BatchId) -> Result<(), Fault> {
    query!(
        r#"
        WITH moved AS (
            UPDATE ferry.items SET batch_id = $4
            WHERE run_id = $2 AND seq = ANY($5) AND batch_id = $3 AND state = 'pending'
        ), shrunk AS (
            UPDATE ferry.batches
            SET source = source - cardinality($5::bigint[]), pending = pending - cardinality($5::bigint[])
            WHERE id = $3
            RETURNING round
        ), grown AS (
            INSERT INTO ferry.batches (id, run_id, ordinal, round, state, source, pending)
            SELECT $4::uuid, $2::uuid, (SELECT max(ordinal) + 1 FROM ferry.batches WHERE run_id = $2), round,
                   'open', cardinality($5::bigint[]), cardinality($5::bigint[])
            FROM shrunk
        ), relieved AS (
            UPDATE ferry.jobs SET rescues = $6 WHERE id = $1
            RETURNING priority, token, attempts, code, traceparent, created_at
        )
        INSERT INTO ferry.jobs (run_id, batch_id, kind, priority, token, attempts, rescues, code, traceparent,
                                created_at)
        SELECT $2::uuid, $4::uuid, 'provision', priority, token, attempts, $6, code, traceparent,
               created_at + interval '1 microsecond'
        FROM relieved
        "#,
        job.id.0,
        job.run.0,
        batch_of(job)?.0,
        into.0,
        gone,
        poison::deaths_of_half(job.rescues),
    )
    .execute(connection)
    .await?;
    Ok(())
}
