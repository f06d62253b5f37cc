//! The end of planning: duplicates, batches and their jobs by a few statements
//! over all items, whatever their number.

use ferry_domain::{
    BatchId, JobKind, RunId,
    ports::{Planned, SettledGroup},
};
use ferry_ledger::{Result, refusals, rows::TallyRow, scripts, words};
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::{connection::Tx, errors::Doing, values::count};

pub(super) const FINISHING: &str = "could not finish a plan";

/// Settles duplicates, writes batches and jobs, and sums up.
pub(crate) async fn settle(
    connection: &mut SqliteConnection,
    run: RunId,
    earlier: &[RunId],
) -> Result<Planned> {
    let settled = settled_batch(connection, run).await?;
    settle_equal_keys(connection, run, settled).await?;
    settle_equal_addresses(connection, run, settled).await?;
    scripts::settle_changed(&mut Tx(&mut *connection), run, earlier).await?;
    let batches = insert_batches(connection, run, settled).await?;
    sum_up(connection, run, settled, batches).await
}

/// A run that is being removed is not planned any more.
async fn settled_batch(connection: &mut SqliteConnection, run: RunId) -> Result<BatchId> {
    sqlx::query_scalar!(
        r#"SELECT settled_batch AS "id!: Uuid" FROM ferry_runs WHERE id = ?1 AND touched_at > 0"#,
        run.0
    )
    .fetch_optional(connection)
    .await
    .doing(FINISHING)?
    .map(BatchId)
    .ok_or_else(|| refusals::not_planned_any_more(run))
}

/// A key names one person: where several rows carry it, nobody can say whose the account
/// would be, so none of them is sent. All items count here, also those a rule settled.
async fn settle_equal_keys(connection: &mut SqliteConnection, run: RunId, settled: BatchId) -> Result<()> {
    sqlx::query!(
        r#"
        UPDATE ferry_items
        SET state = 'failed', code = 'DUPLICATE_KEY', field = 'key', other = doubled.another, batch_id = ?2
        FROM (
            SELECT seq AS at,
                   coalesce(first_value(place || ':' || line) OVER (PARTITION BY key ORDER BY seq
                                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
                            lead(place || ':' || line) OVER (PARTITION BY key ORDER BY seq)) AS another
            FROM ferry_items WHERE run_id = ?1 AND key IN (
                -- Few: all others need not be sorted.
                SELECT key FROM ferry_items WHERE run_id = ?1 GROUP BY key HAVING count(*) > 1
            )
        ) AS doubled
        WHERE run_id = ?1 AND seq = doubled.at AND state = 'pending'
        "#,
        run.0,
        settled.0
    )
    .execute(connection)
    .await
    .doing(FINISHING)?;
    Ok(())
}

/// An address is one account at Auth0. Of several rows with it, one that was moved before
/// keeps it; else the first that may sign in, since a closed account must not lock out the
/// living one; else the first.
async fn settle_equal_addresses(
    connection: &mut SqliteConnection,
    run: RunId,
    settled: BatchId,
) -> Result<()> {
    sqlx::query!(
        r#"
        UPDATE ferry_items
        SET state = 'failed', code = 'DUPLICATE_EMAIL', field = 'email', other = doubled.winner, batch_id = ?2
        FROM (
            SELECT seq AS at, row_number() OVER best AS nth, first_value(place || ':' || line) OVER best AS winner
            FROM ferry_items
            WHERE run_id = ?1 AND state IN ('pending', 'skipped', 'conflict') AND email IN (
                SELECT email FROM ferry_items
                WHERE run_id = ?1 AND state IN ('pending', 'skipped', 'conflict') AND email IS NOT NULL
                GROUP BY email HAVING count(*) > 1
            )
            WINDOW best AS (PARTITION BY email
                            ORDER BY state = 'pending', coalesce(record ->> 'blocked', false), seq)
        ) AS doubled
        WHERE run_id = ?1 AND seq = doubled.at AND doubled.nth > 1 AND state = 'pending'
        "#,
        run.0,
        settled.0
    )
    .execute(connection)
    .await
    .doing(FINISHING)?;
    Ok(())
}

/// Returns the number of batches to provision.
async fn insert_batches(connection: &mut SqliteConnection, run: RunId, settled: BatchId) -> Result<i64> {
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
    let made = sqlx::query!(
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
    insert_provision_jobs(connection, run, 1).await?;
    Ok(count(made.rows_affected()))
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
        INSERT INTO ferry_jobs (id, run_id, batch_id, kind, state, priority, not_before, token, created_at)
        SELECT randomblob(16), run_id, id, 'provision', 'ready', ?3, at, min(round - 1, 1), at
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

async fn sum_up(
    connection: &mut SqliteConnection,
    run: RunId,
    settled: BatchId,
    batches: i64,
) -> Result<Planned> {
    let tally = sqlx::query_as!(
        TallyRow,
        r#"
        SELECT sum(source) AS "source!: i64", sum(created) AS "created!: i64", sum(adopted) AS "adopted!: i64",
               sum(skipped) AS "skipped!: i64", sum(conflict) AS "conflict!: i64", sum(failed) AS "failed!: i64",
               sum(cancelled) AS "cancelled!: i64", sum(pending) AS "pending!: i64"
        FROM ferry_batches WHERE run_id = ?1
        "#,
        run.0
    )
    .fetch_one(&mut *connection)
    .await
    .doing(FINISHING)?;
    let groups = sqlx::query!(
        r#"
        SELECT state AS "state!: String", code AS "code?: String", count(*) AS "count!: i64"
        FROM ferry_items WHERE batch_id = ?1
        GROUP BY state, code ORDER BY code, state
        "#,
        settled.0
    )
    .fetch_all(connection)
    .await
    .doing(FINISHING)?;
    let settled = groups.into_iter().map(|group| {
        let state = words::item_state(run, &group.state)?;
        let code = words::settled_code(run, state, group.code.as_deref())?;
        Ok(SettledGroup { state, code, count: group.count })
    });
    Ok(Planned { tally: tally.into(), settled: settled.collect::<Result<_>>()?, batches })
}
