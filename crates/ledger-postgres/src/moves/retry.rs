//! Failed and conflicting items taken up again, by a person.
//!
//! Which items may be is the domain's rule (`ferry_domain::item::retryable`): the
//! codes that are beyond retry go into the SQL as a list.

use ferry_domain::{
    BatchId, Code, ItemState, JobKind, RunId, RunState,
    ports::{LedgerError, Retried, Retryable},
    run::RunMove,
};
use ferry_ledger::{refusals, words};
use sqlx::{PgConnection, query, query_scalar};

use crate::{errors::Tried, runs};

/// Takes items up again; the caller writes the audit and commits.
pub(super) async fn retry(
    connection: &mut PgConnection,
    run: RunId,
    codes: &[Code],
    batch_ids: &[BatchId],
) -> Tried<Retried> {
    let state = runs::lock(connection, run).await?;
    let next =
        state.after(RunMove::Retry).ok_or_else(|| LedgerError::no_such_move(run, state, RunMove::Retry))?;
    let found = count(connection, run, codes).await?;
    let row = query!(
        r#"SELECT round, (spec ->> 'batch_size')::bigint AS "batch_size!" FROM ferry.runs WHERE id = $1"#,
        run.0,
    )
    .fetch_one(&mut *connection)
    .await?;
    let (items, left) = (found.take, found.left);
    if items == 0 {
        return Ok(Retried { items, batches: 0, left, round: row.round });
    }
    if !state.is_active() {
        runs::refuse_second(connection, run).await?;
    }
    let ids = refusals::batch_ids(items, row.batch_size, batch_ids)?;
    let round = row.round + 1;
    move_items(connection, &Move { run, codes, ids, items, batch_size: row.batch_size, round }).await?;
    go_on(connection, run, next, round).await?;
    Ok(Retried { items, batches: ids.len() as i64, left, round })
}

/// Items that a retry takes up, and those it leaves.
pub(super) async fn count(connection: &mut PgConnection, run: RunId, codes: &[Code]) -> Tried<Retryable> {
    let counted = query!(
        r#"
        SELECT count(*) FILTER (WHERE taken) AS "taken!", count(*) FILTER (WHERE NOT taken) AS "left!"
        FROM (
            SELECT record IS NOT NULL
               AND (code IS NULL OR code <> ALL($3))
               AND (cardinality($2::text[]) = 0 OR (code = ANY($2)) IS TRUE) AS taken
            FROM ferry.items WHERE run_id = $1 AND state = ANY($4)
        ) AS judged
        "#,
        run.0,
        &words::codes(codes) as &[&str],
        &beyond_retry() as &[&str],
        &retryable_states() as &[&str],
    )
    .fetch_one(connection)
    .await?;
    Ok(Retryable { take: counted.taken, left: counted.left })
}

fn beyond_retry() -> Vec<&'static str> {
    Code::ALL.iter().filter(|code| !code.retryable()).map(|code| code.as_str()).collect()
}

fn retryable_states() -> Vec<&'static str> {
    let back = ItemState::ALL.into_iter().filter(|state| state.may_become(ItemState::Pending));
    back.map(ItemState::as_str).collect()
}

/// A locked run goes on in this round; failures count from now on.
pub(crate) async fn go_on(
    connection: &mut PgConnection,
    run: RunId,
    state: RunState,
    round: i32,
) -> Tried<()> {
    runs::set_state(connection, run, state, None).await?;
    query!("UPDATE ferry.runs SET round = $2 WHERE id = $1", run.0, round).execute(&mut *connection).await?;
    runs::count_failures_from_here(connection, run).await
}

struct Move<'a> {
    run: RunId,
    codes: &'a [Code],
    ids: &'a [BatchId],
    items: i64,
    batch_size: i64,
    round: i32,
}

/// Moves items into new batches with jobs, and shrinks the batches they leave, in one
/// statement. `LIMIT` holds against items that failed since they were counted. The jobs
/// begin with a token, as if they had been leased: a user that failed may be at Auth0
/// all the same, and a cancel has to ask.
async fn move_items(connection: &mut PgConnection, it: &Move<'_>) -> Tried<()> {
    let ids: Vec<_> = it.ids.iter().map(|id| id.0).collect();
    let base = query_scalar!(
        r#"SELECT coalesce(max(ordinal), 0) AS "last!" FROM ferry.batches WHERE run_id = $1"#,
        it.run.0,
    )
    .fetch_one(&mut *connection)
    .await?;
    query!(
        r#"
        WITH chosen AS (
            SELECT seq, batch_id AS old, state AS was, (row_number() OVER (ORDER BY seq) - 1) / $7 AS slot
            FROM ferry.items
            WHERE run_id = $1 AND state = ANY($4) AND record IS NOT NULL
              AND (code IS NULL OR code <> ALL($3))
              AND (cardinality($2::text[]) = 0 OR code = ANY($2))
            ORDER BY seq
            LIMIT $6
        ), moved AS (
            UPDATE ferry.items AS item
            SET state = 'pending', code = NULL, field = NULL, auth0_user_id = NULL,
                batch_id = ($5::uuid[])[chosen.slot + 1]
            FROM chosen
            WHERE item.run_id = $1 AND item.seq = chosen.seq
        ), forgotten AS (
            DELETE FROM ferry.discrepancies USING chosen
            WHERE discrepancies.run_id = $1 AND discrepancies.seq = chosen.seq
        ), shrunk AS (
            UPDATE ferry.batches AS batch
            SET source = batch.source - gone.items, failed = batch.failed - gone.failed,
                conflict = batch.conflict - (gone.items - gone.failed)
            FROM (
                SELECT old, count(*) AS items, count(*) FILTER (WHERE was = 'failed') AS failed
                FROM chosen GROUP BY old
            ) AS gone
            WHERE batch.id = gone.old
        ), grown AS (
            INSERT INTO ferry.batches (id, run_id, ordinal, round, state, source, pending)
            SELECT ($5::uuid[])[slot + 1], $1::uuid, $8::bigint + slot + 1, $9::integer, 'open',
                   count(*), count(*)
            FROM chosen GROUP BY slot
            RETURNING id, ordinal
        )
        INSERT INTO ferry.jobs (run_id, batch_id, kind, priority, token, traceparent, created_at)
        SELECT $1::uuid, id, 'provision', $10::smallint, 1, ferry.new_traceparent(),
               now() + ordinal * interval '1 microsecond'
        FROM grown
        "#,
        it.run.0,
        &words::codes(it.codes) as &[&str],
        &beyond_retry() as &[&str],
        &retryable_states() as &[&str],
        &ids,
        it.items,
        it.batch_size,
        base,
        it.round,
        JobKind::Provision.priority(),
    )
    .execute(connection)
    .await?;
    Ok(())
}
