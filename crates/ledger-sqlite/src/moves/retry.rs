//! Failed and conflicting items taken up again, in new batches of the next round.
//!
//! Which items may be is the domain's rule (`ferry_domain::item::retryable`), asked for each
//! group of items with the same state and code.

use async_trait::async_trait;
use ferry_domain::{
    BatchId, ItemState, RunId,
    item::retryable,
    ports::{Retryable, UserFilter},
};
use ferry_ledger::{
    Result,
    steps::{RetrySteps, Round},
    words,
};
use sqlx::SqliteConnection;

use crate::{
    connection::Tx,
    errors::Doing,
    planning::insert_provision_jobs,
    users::{Asked, filtered},
    values::{hex, json},
};

const DOING: &str = "could not retry items";

/// What a retry would take.
struct Candidates {
    count: Retryable,
    // State and code of what may be taken, as SQL compares them: `failed SERVER_ERROR`.
    groups: Vec<String>,
}

/// Counts by state and code; the domain's rule decides on each group.
async fn candidates(connection: &mut SqliteConnection, run: RunId, asked: &Asked) -> Result<Candidates> {
    let rows = filtered!(
        query!(
            r#"
        SELECT state AS "state!: String", code AS "code?: String", record IS NOT NULL AS "has_record!: bool",
               count(*) AS "count!: i64", count(*) FILTER (WHERE "#,
            r#") AS "asked!: i64"
        FROM ferry_items
        WHERE run_id = ?1 AND state IN ('skipped', 'conflict', 'failed')
        GROUP BY 1, 2, 3
        "#
        ),
        run,
        asked
    )
    .fetch_all(connection)
    .await
    .doing(DOING)?;
    let mut found = Candidates { count: Retryable::default(), groups: Vec::new() };
    for row in rows {
        let state = words::item_state(run, &row.state)?;
        let code = words::settled_code(run, state, row.code.as_deref())?;
        if retryable(state, Some(code), row.has_record) {
            found.count.take += row.asked;
            found.count.left += row.count - row.asked;
            found.groups.push(format!("{} {code}", row.state));
        } else if state.may_become(ItemState::Pending) {
            found.count.left += row.count;
        }
    }
    Ok(found)
}

/// Takes the items out of their batches' tallies and puts them, pending again,
/// into the new batches in source order.
async fn move_items(
    connection: &mut SqliteConnection,
    run: RunId,
    batch_size: i64,
    (groups, asked): (&[String], &Asked),
    ids: &[BatchId],
) -> Result<()> {
    let groups = json(groups);
    let forget = json(&words::codes(&words::refused_by_application()));
    let ids = json(&ids.iter().map(|id| hex(id.0)).collect::<Vec<_>>());
    filtered!(query!(
        r#"
        UPDATE ferry_batches
        SET source = source - taken, failed = failed - taken_failed, conflict = conflict - (taken - taken_failed)
        FROM (
            SELECT batch_id AS old, count(*) AS taken, count(*) FILTER (WHERE state = 'failed') AS taken_failed
            FROM ferry_items INDEXED BY ferry_items_not_moved
            WHERE run_id = ?1 AND state IN ('skipped', 'conflict', 'failed') AND record IS NOT NULL
              AND state || ' ' || code IN (SELECT value FROM json_each(?11)) AND "#,
        r#"
            GROUP BY batch_id
        )
        WHERE id = old
        "#),
        run,
        asked,
        groups
    )
    .execute(&mut *connection)
    .await
    .doing(DOING)?;
    filtered!(
        query!(
            r#"
        UPDATE ferry_items
        SET state = 'pending', code = NULL, field = NULL,
            other = CASE WHEN code = 'ACCOUNT_OF_ANOTHER_USER' THEN other END,
            auth0_user_id = CASE WHEN code NOT IN (SELECT value FROM json_each(?14)) THEN auth0_user_id END,
            batch_id = unhex(?13 ->> CAST((nth - 1) / ?12 AS INTEGER))
        FROM (
            SELECT seq AS taken, row_number() OVER (ORDER BY seq) AS nth
            FROM ferry_items INDEXED BY ferry_items_not_moved
            WHERE run_id = ?1 AND state IN ('skipped', 'conflict', 'failed') AND record IS NOT NULL
              AND state || ' ' || code IN (SELECT value FROM json_each(?11)) AND "#,
            r#"
        )
        WHERE run_id = ?1 AND seq = taken
        "#
        ),
        run,
        asked,
        groups,
        batch_size,
        ids,
        forget
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

#[async_trait]
impl RetrySteps for Tx<'_> {
    async fn round(&mut self, run: RunId) -> Result<Round> {
        let row = sqlx::query!(
            r#"
            SELECT round AS "round!: i32", spec ->> 'batch_size' AS "batch_size!: i64" FROM ferry_runs WHERE id = ?1
            "#,
            run.0
        )
        .fetch_one(&mut *self.0)
        .await
        .doing(DOING)?;
        Ok(Round { number: row.round, batch_size: row.batch_size })
    }

    async fn retryable(&mut self, run: RunId, filter: &UserFilter) -> Result<Retryable> {
        Ok(candidates(&mut *self.0, run, &Asked::of(filter)).await?.count)
    }

    async fn move_items(
        &mut self,
        run: RunId,
        filter: &UserFilter,
        _items: i64,
        ids: &[BatchId],
        round: Round,
    ) -> Result<()> {
        let asked = Asked::of(filter);
        let found = candidates(&mut *self.0, run, &asked).await?;
        move_items(&mut *self.0, run, round.batch_size.max(1), (&found.groups, &asked), ids).await?;
        insert_round(&mut *self.0, run, ids, round.number).await
    }

    async fn set_round(&mut self, run: RunId, round: i32) -> Result<()> {
        sqlx::query!("UPDATE ferry_runs SET round = ?2 WHERE id = ?1", run.0, round)
            .execute(&mut *self.0)
            .await
            .doing(DOING)?;
        Ok(())
    }
}
