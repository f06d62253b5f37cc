//! Failed and conflicting items taken up again, in new batches of the next round.

use ferry_domain::{
    BatchId, Code, ItemState, RunId, RunState,
    ports::{LedgerError, Retried},
    run::{RunMove, retryable},
};
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::{
    SqliteLedger,
    controlling::count_anew,
    errors::{Doing, Result, no_such_run},
    planning::audit,
    rows::{hex, json, run_spec, run_state, state_and_code},
    settling::insert_provision_jobs,
};

const DOING: &str = "could not retry items";

/// What a retry would take.
pub(crate) struct Candidates {
    /// Items to take up again.
    pub take: i64,
    /// Failed and conflicting items to leave.
    pub left: i64,
    // State and code of what is taken, as SQL compares them: `failed SERVER_ERROR`.
    groups: Vec<String>,
}

/// Counts by state and code; the domain's rule decides on each group.
pub(crate) async fn candidates(
    connection: &mut SqliteConnection,
    run: RunId,
    codes: &[Code],
) -> Result<Candidates> {
    let rows = sqlx::query!(
        r#"
        SELECT state AS "state!: String", code AS "code!: String", record IS NOT NULL AS "has_record!: bool",
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
    let mut found = Candidates { take: 0, left: 0, groups: Vec::new() };
    for row in rows {
        let (state, code) = state_and_code(&row.state, &row.code)?;
        let asked = codes.is_empty() || codes.contains(&code);
        if asked && retryable(state, Some(code), row.has_record) {
            found.take += row.count;
            found.groups.push(format!("{state} {code}", state = row.state));
        } else if matches!(state, ItemState::Failed | ItemState::Conflict) {
            found.left += row.count;
        }
    }
    Ok(found)
}

impl SqliteLedger {
    /// Moves the items and makes their jobs, in one transaction.
    pub(crate) async fn retry_items(
        &self,
        run: RunId,
        codes: &[Code],
        batch_ids: &[BatchId],
        by: &str,
        reason: Option<&str>,
    ) -> Result<Retried> {
        let mut tx = self.write(DOING).await?;
        let before = load(&mut tx, run).await?;
        let found = candidates(&mut tx, run, codes).await?;
        if found.take == 0 {
            return Ok(Retried { items: 0, batches: 0, left: found.left, round: before.round });
        }
        refuse_second(&mut tx, run).await?;
        let batches =
            found.take.div_euclid(before.batch_size) + i64::from(found.take % before.batch_size > 0);
        let ids =
            usize::try_from(batches).ok().and_then(|count| batch_ids.get(..count)).ok_or_else(|| {
                LedgerError::Refused(format!(
                    "{batches} batches are needed now, more than were counted; try again"
                ))
            })?;

        move_items(&mut tx, run, before.batch_size, &found.groups, ids).await?;
        let round = insert_round(&mut tx, run, ids).await?;
        insert_provision_jobs(&mut tx, run, round).await?;
        let detail = serde_json::json!({
            "codes": codes, "items": found.take, "left": found.left, "batches": batches, "round": round,
        });
        audit(&mut tx, by, "retry", run, &detail.to_string(), reason).await?;
        tx.commit().await.doing(DOING)?;
        Ok(Retried { items: found.take, batches, left: found.left, round })
    }
}

struct Before {
    round: i32,
    batch_size: i64,
}

async fn load(connection: &mut SqliteConnection, run: RunId) -> Result<Before> {
    let row = sqlx::query!(
        r#"
        SELECT state AS "state!: String", round AS "round!: i32", spec AS "spec!: String"
        FROM ferry_runs WHERE id = ?1
        "#,
        run.0
    )
    .fetch_optional(connection)
    .await
    .doing(DOING)?
    .ok_or_else(|| no_such_run(run))?;
    let state = run_state(&row.state, run.0)?;
    if state.after(RunMove::Retry) != Some(RunState::Running) {
        let instead = match state {
            RunState::Cancelling | RunState::Cancelled => "a cancelled run is over; start a new one",
            _ => "it can be retried once it is sealed",
        };
        return Err(LedgerError::Refused(format!("run {run} is {state}; {instead}")));
    }
    Ok(Before { round: row.round, batch_size: i64::from(run_spec(&row.spec, run.0)?.batch_size.max(1)) })
}

/// One active run of a source holds for runs that come back as well.
pub(crate) async fn refuse_second(connection: &mut SqliteConnection, run: RunId) -> Result<()> {
    let other = sqlx::query!(
        r#"
        SELECT o.id AS "id!: Uuid", o.state AS "state!: String"
        FROM ferry_runs AS r
        JOIN ferry_runs AS o ON o.source_kind = r.source_kind AND o.source_location = r.source_location
        WHERE r.id = ?1 AND o.id <> ?1 AND o.state NOT IN ('sealed', 'cancelled')
        "#,
        run.0
    )
    .fetch_optional(connection)
    .await
    .doing(DOING)?;
    match other {
        Some(row) => {
            Err(LedgerError::AnotherRunActive { run: RunId(row.id), state: run_state(&row.state, row.id)? })
        }
        None => Ok(()),
    }
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

/// The run goes on with one round more; the new batches count what was put into them.
pub(crate) async fn insert_round(
    connection: &mut SqliteConnection,
    run: RunId,
    ids: &[BatchId],
) -> Result<i32> {
    let round = sqlx::query_scalar!(
        r#"
        UPDATE ferry_runs SET round = round + 1, state = 'running', why = NULL WHERE id = ?1
        RETURNING round AS "round!: i32"
        "#,
        run.0
    )
    .fetch_one(&mut *connection)
    .await
    .doing(DOING)?;
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
    count_anew(connection, run).await?;
    Ok(round)
}
