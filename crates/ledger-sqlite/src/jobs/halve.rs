//! Halving a batch that is rescued again and again (`ferry_domain::poison`).

use ferry_domain::{BatchId, Job, JobKind, poison};
use ferry_ledger::{Result, refusals::batch_of};
use sqlx::SqliteConnection;

use crate::{errors::Doing, values::count};

const HALVING: &str = "could not halve a batch";

/// Halves the batch of a job; returns the number of items that went. The new job is as old and
/// as often tried as the old one, and has its token, which means that its users may be at
/// Auth0 already.
pub(super) async fn halve(connection: &mut SqliteConnection, job: &Job, into: BatchId) -> Result<i64> {
    if job.kind != JobKind::Provision {
        return Ok(0);
    }
    let batch = batch_of(job)?;
    let pending =
        sqlx::query_scalar!(r#"SELECT pending AS "pending!: i64" FROM ferry_batches WHERE id = ?1"#, batch.0)
            .fetch_one(&mut *connection)
            .await
            .doing(HALVING)?;
    let keep = poison::kept(pending);
    if keep == 0 {
        return Ok(0);
    }
    let went = sqlx::query!(
        r#"
        UPDATE ferry_items SET batch_id = ?3
        WHERE run_id = ?1 AND seq IN (
            SELECT seq FROM ferry_items WHERE batch_id = ?2 AND state = 'pending'
            ORDER BY seq LIMIT -1 OFFSET ?4
        )
        "#,
        job.run.0,
        batch.0,
        into.0,
        keep
    )
    .execute(&mut *connection)
    .await
    .doing(HALVING)?;
    let went = count(went.rows_affected());
    sqlx::query!(
        "UPDATE ferry_batches SET source = source - ?2, pending = pending - ?2 WHERE id = ?1",
        batch.0,
        went
    )
    .execute(&mut *connection)
    .await
    .doing(HALVING)?;
    sqlx::query!(
        r#"
        INSERT INTO ferry_batches (id, run_id, ordinal, round, state, source, pending)
        SELECT ?2, run_id, (SELECT max(ordinal) + 1 FROM ferry_batches WHERE run_id = ?4), round, 'open', ?3, ?3
        FROM ferry_batches WHERE id = ?1
        "#,
        batch.0,
        into.0,
        went,
        job.run.0
    )
    .execute(&mut *connection)
    .await
    .doing(HALVING)?;
    let rescues = poison::rescues_of_half(job.rescues);
    sqlx::query!("UPDATE ferry_jobs SET rescues = ?2 WHERE id = ?1", job.id.0, rescues)
        .execute(&mut *connection)
        .await
        .doing(HALVING)?;
    sqlx::query!(
        r#"
        INSERT INTO ferry_jobs (id, run_id, batch_id, kind, state, priority, not_before, token, attempts, rescues,
                                code, created_at)
        SELECT randomblob(16), run_id, ?2, kind, 'ready', priority, at, token, attempts, rescues, code, created_at
        FROM ferry_jobs CROSS JOIN ferry_now WHERE id = ?1
        "#,
        job.id.0,
        into.0
    )
    .execute(&mut *connection)
    .await
    .doing(HALVING)?;
    Ok(went)
}
