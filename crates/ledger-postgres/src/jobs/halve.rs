//! Halving a batch that is rescued again and again (`ferry_domain::poison`).

use ferry_domain::{BatchId, Job, JobKind, poison};
use ferry_ledger::{refusals::batch_of, steps::RunSteps};
use sqlx::{PgConnection, query, query_scalar};

use crate::{errors::Tried, transaction::Tx};

/// Halves the batch of a locked job; returns the number of items that went.
pub(super) async fn halve(tx: &mut PgConnection, job: &Job, into: BatchId) -> Tried<i64> {
    if job.kind != JobKind::Provision {
        return Ok(0);
    }
    let pending = query_scalar!(
        r#"
        SELECT item.seq
        FROM ferry.planned_items AS item
        LEFT JOIN LATERAL (
            SELECT true AS told FROM ferry.outcomes WHERE batch_id = $1 AND seq = item.seq LIMIT 1
        ) AS outcome ON true
        WHERE item.batch_id = $1 AND item.state = 'pending' AND outcome.told IS NULL
        ORDER BY item.seq
        "#,
        batch_of(job)?.0,
    )
    .fetch_all(&mut *tx)
    .await?;
    let kept = usize::try_from(poison::kept(pending.len() as i64)).unwrap_or(0);
    let gone = &pending[kept..];
    if kept == 0 || gone.is_empty() {
        return Ok(0);
    }
    // Numbers of batches are given out under the lock of the run.
    Tx(&mut *tx).lock(job.run).await?;
    split(tx, job, gone, into).await?;
    Ok(gone.len() as i64)
}

/// The new job is as old and as often tried as the old one, and has its token, which means that
/// its users may be at Auth0 already.
async fn split(connection: &mut PgConnection, job: &Job, gone: &[i64], into: BatchId) -> Tried<()> {
    query!(
        r#"
        WITH moved AS (
            UPDATE ferry.planned_items SET batch_id = $4
            WHERE seq = ANY($5) AND batch_id = $3 AND state = 'pending'
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
            RETURNING priority, token, attempts, code, created_at
        )
        INSERT INTO ferry.jobs (run_id, batch_id, kind, priority, token, attempts, rescues, code, created_at)
        SELECT $2::uuid, $4::uuid, 'provision', priority, token, attempts, $6, code,
               created_at + interval '1 microsecond'
        FROM relieved
        "#,
        job.id.0,
        job.run.0,
        batch_of(job)?.0,
        into.0,
        gone,
        poison::rescues_of_half(job.rescues),
    )
    .execute(connection)
    .await?;
    Ok(())
}
