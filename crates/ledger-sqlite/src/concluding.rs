//! Verdicts that end a lease without results.

use std::time::Duration;

use ferry_domain::{
    Attempt, Code, Job, JobKind, Lease, Verdict, WorkerId,
    ports::{Command, LedgerError},
    run::RunMove,
};
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::{
    dead, ending,
    errors::{Doing, Result},
    fence::{Held, only},
    moving,
};

const CONCLUDING: &str = "could not conclude a job";
/// How long a job waits that wanted to stop a run which has no such move.
const UNSTOPPABLE: Duration = Duration::from_secs(10);

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
        Verdict::Stop { code } => stop(connection, lease, held, *code).await?,
        Verdict::Discard { code } => {
            let by = holder_name(connection, lease.holder).await?;
            give_up(connection, &lease.of, *code, &by).await?;
        }
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
    ending::provisioned(connection, &lease.of, batch).await?;
    ending::job_done(connection, lease).await
}

/// Hands the job back and stops its run. A run that goes on sending all the same (it is
/// being cancelled) would send the job again at once, so it waits.
async fn stop(connection: &mut SqliteConnection, lease: &Lease<Job>, held: &Held, code: Code) -> Result<()> {
    let stops = held.run.after(RunMove::Stop).is_some();
    let later = if held.run.is_sending() && !stops { UNSTOPPABLE } else { Duration::ZERO };
    ending::hand_back(connection, lease, later, code).await?;
    if stops {
        let command = Command { by: "ferry", reason: Some(code.as_str()) };
        moving::ask(connection, lease.of.run, RunMove::Stop, &command).await?;
    }
    Ok(())
}

/// A job is given up, and what it was for still ends. A dead letter says so.
pub(crate) async fn give_up(
    connection: &mut SqliteConnection,
    job: &Job,
    code: Code,
    by: &str,
) -> Result<()> {
    let users = match (job.kind, job.batch) {
        (JobKind::Provision, Some(batch)) => {
            let failed = ending::fail_pending(connection, job.run, batch, code).await?;
            ending::provisioned(connection, job, batch).await?;
            failed
        }
        (JobKind::Verify, Some(batch)) => {
            let unread = report_unread(connection, batch.0).await?;
            ending::verified(connection, batch, 0, unread, 0).await?;
            unread
        }
        // The run stays as it is; the sweep makes another report job after a while.
        _ => 0,
    };
    ending::job_dead(connection, job.id, code).await?;
    dead::keep_job(connection, job.id, code, users, by).await?;
    if job.kind == JobKind::Verify {
        ending::seal_if_last(connection, job.run).await?;
    }
    Ok(())
}

/// Who gave up, for people: `host/pid`, or the bare id of a process that left no row.
async fn holder_name(connection: &mut SqliteConnection, holder: WorkerId) -> Result<String> {
    let name = sqlx::query_scalar!(
        r#"SELECT host || '/' || pid AS "name!: String" FROM ferry_workers WHERE id = ?1"#,
        holder.0
    )
    .fetch_optional(connection)
    .await
    .doing(CONCLUDING)?;
    Ok(name.unwrap_or_else(|| holder.to_string()))
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
