//! Failed and conflicting items taken up again, in new batches of the next round.
//!
//! Which items may be is the domain's rule (`ferry_domain::item::retryable`), asked for each
//! group of items with the same state and code.

use ferry_domain::{
    BatchId, Code, ItemState, RunId, RunState,
    item::retryable,
    ports::{LedgerError, Retried, Retryable},
    run::RunMove,
};
use ferry_ledger::{Result, refusals, words};
use sqlx::SqliteConnection;

use crate::{
    errors::Doing,
    planning::insert_provision_jobs,
    runs,
    values::{hex, json},
};

const DOING: &str = "could not retry items";

/// What a retry would take.
pub(super) struct Candidates {
    pub count: Retryable,
    // State and code of what is taken, as SQL compares them: `failed SERVER_ERROR`.
    groups: Vec<String>,
}

/// Takes items up again; the caller writes the audit and commits.
pub(super) async fn retry(
    connection: &mut SqliteConnection,
    run: RunId,
    codes: &[Code],
    batch_ids: &[BatchId],
) -> Result<Retried> {
    let state = runs::lock(connection, run).await?;
    let next =
        state.after(RunMove::Retry).ok_or_else(|| LedgerError::no_such_move(run, state, RunMove::Retry))?;
    let found = candidates(connection, run, codes).await?;
    let row = sqlx::query!(
        r#"
        SELECT round AS "round!: i32", spec ->> 'batch_size' AS "batch_size!: i64" FROM ferry_runs WHERE id = ?1
        "#,
        run.0
    )
    .fetch_one(&mut *connection)
    .await
    .doing(DOING)?;
    let (items, left) = (found.count.take, found.count.left);
    if items == 0 {
        return Ok(Retried { items, batches: 0, left, round: row.round });
    }
    if !state.is_active() {
        runs::refuse_second(connection, run).await?;
    }
    let ids = refusals::batch_ids(items, row.batch_size, batch_ids)?;
    let round = row.round + 1;
    move_items(connection, run, row.batch_size.max(1), &found.groups, ids).await?;
    insert_round(connection, run, ids, round).await?;
    go_on(connection, run, next, round).await?;
    Ok(Retried { items, batches: crate::values::count(ids.len() as u64), left, round })
}

/// Counts by state and code; the domain's rule decides on each group.
pub(super) async fn candidates(
    connection: &mut SqliteConnection,
    run: RunId,
    codes: &[Code],
) -> Result<Candidates> {
    let rows = sqlx::query!(
        r#"
        SELECT state AS "state!: String", code AS "code?: String", record IS NOT NULL AS "has_record!: bool",
               count(*) AS "count!: i64"
        FROM ferry_items
        WHERE run_id = ?1 AND state IN ('skipped', 'conflict', 'failed')
        GROUP BY 1, 2, 3
        "#,
        run.0
    )
    .fetch_all(connection)
    .await
    .doing(DOING)?;
    let mut found = Candidates { count: Retryable::default(), groups: Vec::new() };
    for row in rows {
        let state = words::item_state(run, &row.state)?;
        let code = words::settled_code(run, state, row.code.as_deref())?;
        let asked = codes.is_empty() || codes.contains(&code);
        if asked && retryable(state, Some(code), row.has_record) {
            found.count.take += row.count;
            found.groups.push(format!("{} {code}", row.state));
        } else if state.may_become(ItemState::Pending) {
            found.count.left += row.count;
        }
    }
    Ok(found)
}

/// The run goes on in this round; failures count from now on.
pub(crate) async fn go_on(
    connection: &mut SqliteConnection,
    run: RunId,
    state: RunState,
    round: i32,
) -> Result<()> {
    runs::set_state(connection, run, state, None).await?;
    sqlx::query!("UPDATE ferry_runs SET round = ?2 WHERE id = ?1", run.0, round)
        .execute(&mut *connection)
        .await
        .doing(DOING)?;
    runs::count_failures_from_here(connection, run).await
}

/// Takes the items out of their batches' tallies and puts them, pending again,
/// into the new batches in source order.
async fn move_items(
    connection: &mut SqliteConnection,
    run: RunId,
    batch_size: i64,
    groups: &[String],
    ids: &[BatchId],
) -> Result<()> {
    let groups = json(groups);
    let ids = json(&ids.iter().map(|id| hex(id.0)).collect::<Vec<_>>());
    sqlx::query!(
        r#"
        UPDATE ferry_batches
        SET source = source - taken, failed = failed - taken_failed, conflict = conflict - (taken - taken_failed)
        FROM (
            SELECT batch_id AS old, count(*) AS taken, count(*) FILTER (WHERE state = 'failed') AS taken_failed
            FROM ferry_items INDEXED BY ferry_items_not_moved
            WHERE run_id = ?1 AND state IN ('skipped', 'conflict', 'failed') AND record IS NOT NULL
              AND state || ' ' || code IN (SELECT value FROM json_each(?2))
            GROUP BY batch_id
        )
        WHERE id = old
        "#,
        run.0,
        groups
    )
    .execute(&mut *connection)
    .await
    .doing(DOING)?;
    sqlx::query!(
        r#"
        UPDATE ferry_items
        SET state = 'pending', code = NULL, field = NULL, auth0_user_id = NULL,
            batch_id = unhex(?4 ->> CAST((nth - 1) / ?3 AS INTEGER))
        FROM (
            SELECT seq AS taken, row_number() OVER (ORDER BY seq) AS nth
            FROM ferry_items INDEXED BY ferry_items_not_moved
            WHERE run_id = ?1 AND state IN ('skipped', 'conflict', 'failed') AND record IS NOT NULL
              AND state || ' ' || code IN (SELECT value FROM json_each(?2))
        )
        WHERE run_id = ?1 AND seq = taken
        "#,
        run.0,
        groups,
        batch_size,
        ids
    )
    .execute(&mut *connection)
    .await
    .doing(DOING)?;
    sqlx::query!(
        r#"
        DELETE FROM ferry_discrepancies
        WHERE run_id = ?1 AND seq IN (
            SELECT seq FROM ferry_items
            WHERE batch_id IN (SELECT unhex(value) FROM json_each(?2))
        )
        "#,
        run.0,
        ids
    )
    .execute(connection)
    .await
    .doing(DOING)?;
    Ok(())
}

/// New batches count what was put into them, and get their jobs.
pub(crate) async fn insert_round(
    connection: &mut SqliteConnection,
    run: RunId,
    ids: &[BatchId],
    round: i32,
) -> Result<()> {
    let ids = json(&ids.iter().map(|id| hex(id.0)).collect::<Vec<_>>());
    sqlx::query!(
        r#"
        INSERT INTO ferry_batches (id, run_id, ordinal, round, state, source, pending)
        SELECT batch_id, ?1,
               (SELECT max(ordinal) FROM ferry_batches WHERE run_id = ?1) + row_number() OVER (ORDER BY min(seq)),
               ?2, 'open', count(*), count(*)
        FROM ferry_items
        WHERE batch_id IN (SELECT unhex(value) FROM json_each(?3))
        GROUP BY batch_id
        "#,
        run.0,
        round,
        ids
    )
    .execute(&mut *connection)
    .await
    .doing(DOING)?;
    insert_provision_jobs(connection, run, round).await
}
