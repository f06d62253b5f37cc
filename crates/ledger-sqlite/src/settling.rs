//! The end of planning: duplicates, batches and their jobs by a few statements
//! over all items, whatever their number.

use ferry_domain::{
    BatchId, JobKind, RunId, Tally,
    ports::{LedgerError, Planned},
};
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::{
    errors::{Doing, Result},
    rows::state_and_code,
};

const FINISHING: &str = "could not finish a plan";

/// Settles duplicates, then writes batches and jobs.
pub(crate) async fn settle(connection: &mut SqliteConnection, run: RunId) -> Result<Planned> {
    let settled = settled_batch(connection, run).await?;
    settle_duplicates(connection, run, settled).await?;
    insert_batches(connection, run, settled).await?;
    summary(connection, run, settled).await
}

async fn settled_batch(connection: &mut SqliteConnection, run: RunId) -> Result<BatchId> {
    sqlx::query_scalar!(
        r#"
        UPDATE ferry_runs SET touched_at = (SELECT at FROM ferry_now) WHERE id = ?1 AND touched_at > 0
        RETURNING settled_batch AS "id!: Uuid"
        "#,
        run.0
    )
    .fetch_optional(connection)
    .await
    .doing(FINISHING)?
    .map(BatchId)
    .ok_or_else(|| {
        LedgerError::Refused(format!("run {run} was abandoned and is being removed; plan it anew"))
    })
}

/// All but the first of equal keys, then all but the first of equal addresses
/// among those left. An item that a rule settled keeps its own reason.
async fn settle_duplicates(connection: &mut SqliteConnection, run: RunId, settled: BatchId) -> Result<()> {
    sqlx::query!(
        r#"
        UPDATE ferry_items SET state = 'failed', code = 'DUPLICATE_KEY', batch_id = ?2
        FROM (
            SELECT seq AS later, row_number() OVER (PARTITION BY key ORDER BY seq) AS nth
            FROM ferry_items WHERE run_id = ?1
        )
        WHERE run_id = ?1 AND seq = later AND nth > 1 AND state = 'pending'
        "#,
        run.0,
        settled.0
    )
    .execute(&mut *connection)
    .await
    .doing(FINISHING)?;
    sqlx::query!(
        r#"
        UPDATE ferry_items SET state = 'failed', code = 'DUPLICATE_EMAIL', batch_id = ?2
        FROM (
            SELECT seq AS later, row_number() OVER (PARTITION BY email ORDER BY seq) AS nth
            FROM ferry_items WHERE run_id = ?1 AND state = 'pending' AND email IS NOT NULL
        )
        WHERE run_id = ?1 AND seq = later AND nth > 1
        "#,
        run.0,
        settled.0
    )
    .execute(connection)
    .await
    .doing(FINISHING)?;
    Ok(())
}

async fn insert_batches(connection: &mut SqliteConnection, run: RunId, settled: BatchId) -> Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO ferry_batches (id, run_id, ordinal, round, state, source, created, adopted, skipped, conflict,
                                   failed, cancelled, verified_at)
        SELECT ?2, ?1, 0, 1, 'verified', count(*),
               count(*) FILTER (WHERE state = 'created'), count(*) FILTER (WHERE state = 'adopted'),
               count(*) FILTER (WHERE state = 'skipped'), count(*) FILTER (WHERE state = 'conflict'),
               count(*) FILTER (WHERE state = 'failed'), count(*) FILTER (WHERE state = 'cancelled'),
               (SELECT at FROM ferry_now)
        FROM ferry_items WHERE run_id = ?1 AND batch_id = ?2
        "#,
        run.0,
        settled.0
    )
    .execute(&mut *connection)
    .await
    .doing(FINISHING)?;
    sqlx::query!(
        r#"
        INSERT INTO ferry_batches (id, run_id, ordinal, round, state, source, pending)
        SELECT batch_id, ?1, row_number() OVER (ORDER BY min(seq)), 1, 'open', count(*), count(*)
        FROM ferry_items WHERE run_id = ?1 AND state = 'pending'
        GROUP BY batch_id
        "#,
        run.0
    )
    .execute(&mut *connection)
    .await
    .doing(FINISHING)?;
    insert_provision_jobs(connection, run, 1).await
}

/// One provision job for each batch of a round, in their order. A job's id and
/// trace are random; nothing but the row carries their meaning. Jobs of later rounds
/// begin with a token, as if they had been leased: a user that failed may be at Auth0
/// all the same, and a cancel has to ask.
pub(crate) async fn insert_provision_jobs(
    connection: &mut SqliteConnection,
    run: RunId,
    round: i32,
) -> Result<()> {
    let priority = JobKind::Provision.priority();
    sqlx::query!(
        r#"
        INSERT INTO ferry_jobs (id, run_id, batch_id, kind, state, priority, not_before, token, created_at, traceparent)
        SELECT randomblob(16), run_id, id, 'provision', 'ready', ?3, at, min(round - 1, 1), at,
               '00-' || lower(hex(randomblob(16))) || '-' || lower(hex(randomblob(8))) || '-01'
        FROM ferry_batches CROSS JOIN ferry_now
        WHERE run_id = ?1 AND round = ?2 AND state = 'open'
        ORDER BY ordinal
        "#,
        run.0,
        round,
        priority
    )
    .execute(connection)
    .await
    .doing("could not make jobs")?;
    Ok(())
}

async fn summary(connection: &mut SqliteConnection, run: RunId, settled: BatchId) -> Result<Planned> {
    let sums = sqlx::query!(
        r#"
        SELECT sum(source) AS "source!: i64", sum(created) AS "created!: i64", sum(adopted) AS "adopted!: i64",
               sum(skipped) AS "skipped!: i64", sum(conflict) AS "conflict!: i64", sum(failed) AS "failed!: i64",
               sum(cancelled) AS "cancelled!: i64", sum(pending) AS "pending!: i64",
               count(*) FILTER (WHERE state = 'open') AS "batches!: i64"
        FROM ferry_batches WHERE run_id = ?1
        "#,
        run.0
    )
    .fetch_one(&mut *connection)
    .await
    .doing(FINISHING)?;
    let groups = sqlx::query!(
        r#"
        SELECT state AS "state!: String", code AS "code!: String", count(*) AS "count!: i64"
        FROM ferry_items WHERE batch_id = ?1 AND code IS NOT NULL
        GROUP BY state, code
        "#,
        settled.0
    )
    .fetch_all(connection)
    .await
    .doing(FINISHING)?;
    let mut settled = Vec::with_capacity(groups.len());
    for group in groups {
        let (state, code) = state_and_code(&group.state, &group.code)?;
        settled.push((state, code, group.count));
    }
    settled.sort_by_key(|(state, code, _)| (*code, *state));
    Ok(Planned {
        tally: Tally {
            source: sums.source,
            created: sums.created,
            adopted: sums.adopted,
            skipped: sums.skipped,
            conflict: sums.conflict,
            failed: sums.failed,
            cancelled: sums.cancelled,
            pending: sums.pending,
        },
        settled,
        batches: sums.batches,
    })
}
