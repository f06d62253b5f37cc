//! Verdicts that end a lease without results.

use std::time::Duration;

use ferry_domain::{Attempt, Code, Job, JobKind, Lease, Verdict, ports::LedgerError};
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::{
    ending,
    errors::{Doing, Result},
    fence::{Held, only},
};

const CONCLUDING: &str = "could not conclude a job";

/// Acts on a verdict; the caller has checked the lease.
pub(crate) async fn conclude(
    connection: &mut SqliteConnection,
    lease: &Lease<Job>,
    held: &Held,
    verdict: &Verdict,
    attempt: Option<&Attempt>,
) -> Result<()> {
    // A snooze never counts, whatever the handler passes along.
    if let Some(attempt) =
        attempt.filter(|_| matches!(verdict, Verdict::Retry { .. } | Verdict::Discard { .. }))
    {
        ending::count_attempt(connection, lease, attempt).await?;
    }
    match verdict {
        Verdict::Done => finish_complete(connection, lease, held).await?,
        Verdict::Retry { after, code } => {
            if attempt.is_none() {
                let unnamed = Attempt { number: 0, code: *code, took: Duration::ZERO };
                ending::count_attempt(connection, lease, &unnamed).await?;
            }
            ending::hand_back(connection, lease, *after, *code).await?;
        }
        Verdict::Snooze { after, code } => ending::hand_back(connection, lease, *after, *code).await?,
        Verdict::Stop { code } => ending::hand_back(connection, lease, Duration::ZERO, *code).await?,
        Verdict::Discard { code } => give_up(connection, lease, held, *code).await?,
    }
    Ok(())
}

/// `Done` for a batch whose holder found nothing left to do.
async fn finish_complete(connection: &mut SqliteConnection, lease: &Lease<Job>, held: &Held) -> Result<()> {
    only(lease, JobKind::Provision)?;
    let batch = held.batch()?;
    let pending =
        sqlx::query_scalar!(r#"SELECT pending AS "pending!: i64" FROM ferry_batches WHERE id = ?1"#, batch.0)
            .fetch_one(&mut *connection)
            .await
            .doing(CONCLUDING)?;
    if pending > 0 {
        return Err(LedgerError::Refused(format!("batch {batch} is not done: {pending} items are pending")));
    }
    ending::provisioned(connection, lease, batch).await?;
    ending::job_done(connection, lease).await
}

/// A job is given up, and what it was for still ends.
async fn give_up(
    connection: &mut SqliteConnection,
    lease: &Lease<Job>,
    held: &Held,
    code: Code,
) -> Result<()> {
    match lease.of.kind {
        JobKind::Provision => {
            let batch = held.batch()?;
            ending::fail_pending(connection, lease.of.run, batch, code).await?;
            ending::provisioned(connection, lease, batch).await?;
            ending::job_dead(connection, lease, code).await
        }
        JobKind::Verify => {
            let batch = held.batch()?;
            let unread = report_unread(connection, batch.0).await?;
            ending::verified(connection, batch, 0, unread, 0).await?;
            ending::job_dead(connection, lease, code).await?;
            ending::seal_if_last(connection, lease.of.run).await
        }
        // The run stays `sealing`; the sweep makes another report job after a while.
        JobKind::Report => ending::job_dead(connection, lease, code).await,
    }
}

/// Users that nobody read back are discrepancies, so that the report says so.
async fn report_unread(connection: &mut SqliteConnection, batch: Uuid) -> Result<i64> {
    let unread = sqlx::query!(
        r#"
        INSERT OR REPLACE INTO ferry_discrepancies (run_id, seq, batch_id, key, auth0_user_id, fields, found_at)
        SELECT run_id, seq, batch_id, key, coalesce(auth0_user_id, ''), '["not read back"]', at
        FROM ferry_items CROSS JOIN ferry_now
        WHERE batch_id = ?1 AND state IN ('created', 'adopted')
        "#,
        batch
    )
    .execute(connection)
    .await
    .doing(CONCLUDING)?;
    Ok(i64::try_from(unread.rows_affected()).unwrap_or(i64::MAX))
}
