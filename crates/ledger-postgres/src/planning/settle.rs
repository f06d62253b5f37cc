//! The end of planning: duplicates, batches and jobs by six statements, whatever the number
//! of items.

use ferry_domain::{
    Code, JobKind, RunId,
    ports::{Planned, SettledGroup},
};
use ferry_ledger::{rows::TallyRow, scripts, words};
use sqlx::{Executor, PgConnection, query, query_as, query_scalar};
use uuid::Uuid;

use crate::{errors::Tried, transaction::Tx};

/// Settles duplicates, writes batches and jobs, and sums up. The run row is locked.
pub(crate) async fn settle(connection: &mut PgConnection, run: RunId, earlier: &[RunId]) -> Tried<Planned> {
    let run = run.0;
    joins(connection, Joins::OfSets).await?;
    let settled_batch = query_scalar!("SELECT settled_batch FROM ferry.runs WHERE id = $1", run)
        .fetch_one(&mut *connection)
        .await?;
    settle_equal_keys(connection, run, settled_batch).await?;
    settle_equal_addresses(connection, run, settled_batch).await?;
    scripts::settle_changed(&mut Tx(&mut *connection), RunId(run), earlier).await?;
    joins(connection, Joins::OfSets).await?;
    make_settled_batch(connection, run, settled_batch).await?;
    let batches = make_batches(connection, run, settled_batch).await?;
    make_jobs(connection, run).await?;
    sum_up(connection, run, settled_batch, batches).await
}

/// How a statement joins items.
#[derive(Clone, Copy)]
pub(super) enum Joins {
    /// Whole sets. The statistics may be older than this run, whose items then count as one row:
    /// joined in a loop, 30,000 items took eight minutes.
    OfSets,
    /// A few rows, each looked up by its place in the source.
    OfRows,
}

/// Says so for the statements that follow in this transaction.
pub(super) async fn joins(connection: &mut PgConnection, joins: Joins) -> Tried<()> {
    connection
        .execute(match joins {
            Joins::OfSets => "SET LOCAL enable_nestloop = off",
            Joins::OfRows => "SET LOCAL enable_nestloop = on",
        })
        .await?;
    Ok(())
}

/// A key names one person: where several rows carry it, nobody can say whose the account
/// would be, so none of them is sent. All items count here, also those a rule settled.
async fn settle_equal_keys(connection: &mut PgConnection, run: Uuid, settled_batch: Uuid) -> Tried<()> {
    query!(
        r#"
        UPDATE ferry.planned_items AS item
        SET state = 'failed', code = $3, field = 'key', other = doubled.other, batch_id = $2
        FROM (
            SELECT seq, coalesce(first_value(place || ':' || line) OVER (PARTITION BY key ORDER BY seq
                                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
                            lead(place || ':' || line) OVER (PARTITION BY key ORDER BY seq)) AS other
            FROM ferry.planned_items
            WHERE run_id = $1 AND key IN (
                -- Few: all others need not be sorted.
                SELECT key FROM ferry.planned_items WHERE run_id = $1 GROUP BY key HAVING count(*) > 1
            )
        ) AS doubled
        WHERE item.run_id = $1 AND item.seq = doubled.seq AND item.state = 'pending'
        "#,
        run,
        settled_batch,
        Code::DuplicateKey.as_str(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// An address is one account at Auth0. Of several rows with it, one that was moved before
/// keeps it; else the first that may sign in, since a closed account must not lock out the
/// living one; else the first.
async fn settle_equal_addresses(connection: &mut PgConnection, run: Uuid, settled_batch: Uuid) -> Tried<()> {
    query!(
        r#"
        UPDATE ferry.planned_items AS item
        SET state = 'failed', code = $3, field = 'email', other = doubled.winner, batch_id = $2
        FROM (
            SELECT seq, row_number() OVER best AS nth, first_value(place || ':' || line) OVER best AS winner
            FROM ferry.planned_items
            WHERE run_id = $1 AND state IN ('pending', 'skipped', 'conflict') AND email IN (
                SELECT email FROM ferry.planned_items
                WHERE run_id = $1 AND state IN ('pending', 'skipped', 'conflict') AND email IS NOT NULL
                GROUP BY email HAVING count(*) > 1
            )
            WINDOW best AS (PARTITION BY email
                            ORDER BY state = 'pending', coalesce((record ->> 'blocked')::boolean, false), seq)
        ) AS doubled
        WHERE item.run_id = $1 AND item.seq = doubled.seq AND doubled.nth > 1 AND item.state = 'pending'
        "#,
        run,
        settled_batch,
        Code::DuplicateEmail.as_str(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The batch of all items that need no work; there also when it is empty.
async fn make_settled_batch(connection: &mut PgConnection, run: Uuid, settled_batch: Uuid) -> Tried<()> {
    query!(
        r#"
        INSERT INTO ferry.batches (id, run_id, ordinal, round, state, source, created, adopted, skipped,
                                   conflict, failed, cancelled, verified_at)
        SELECT $2::uuid, $1::uuid, 0, 1, 'verified', count(*),
               count(*) FILTER (WHERE state = 'created'), count(*) FILTER (WHERE state = 'adopted'),
               count(*) FILTER (WHERE state = 'skipped'), count(*) FILTER (WHERE state = 'conflict'),
               count(*) FILTER (WHERE state = 'failed'), count(*) FILTER (WHERE state = 'cancelled'),
               clock_timestamp()
        FROM ferry.planned_items WHERE batch_id = $2
        "#,
        run,
        settled_batch,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Batches in source order. One whose items were all doubles has none left and gets no row.
async fn make_batches(connection: &mut PgConnection, run: Uuid, settled_batch: Uuid) -> Tried<i64> {
    let made = query!(
        r#"
        INSERT INTO ferry.batches (id, run_id, ordinal, round, state, source, pending)
        SELECT batch_id, $1::uuid, row_number() OVER (ORDER BY min(seq)), 1, 'open', count(*), count(*)
        FROM ferry.planned_items WHERE run_id = $1 AND batch_id <> $2
        GROUP BY batch_id
        "#,
        run,
        settled_batch,
    )
    .execute(connection)
    .await?;
    Ok(made.rows_affected() as i64)
}

/// One provision job for each open batch, of an age in order of the batches.
async fn make_jobs(connection: &mut PgConnection, run: Uuid) -> Tried<()> {
    query!(
        r#"
        INSERT INTO ferry.jobs (run_id, batch_id, kind, priority, created_at)
        SELECT run_id, id, 'provision', $2, now() + ordinal * interval '1 microsecond'
        FROM ferry.batches WHERE run_id = $1 AND state = 'open'
        "#,
        run,
        JobKind::Provision.priority(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The tally comes from the batch rows just written, the groups from the items.
async fn sum_up(
    connection: &mut PgConnection,
    run: Uuid,
    settled_batch: Uuid,
    batches: i64,
) -> Tried<Planned> {
    let tally = query_as!(
        TallyRow,
        r#"
        SELECT sum(source)::bigint AS "source!", sum(created)::bigint AS "created!",
               sum(adopted)::bigint AS "adopted!", sum(skipped)::bigint AS "skipped!",
               sum(conflict)::bigint AS "conflict!", sum(failed)::bigint AS "failed!",
               sum(cancelled)::bigint AS "cancelled!", sum(pending)::bigint AS "pending!"
        FROM ferry.batches WHERE run_id = $1
        "#,
        run,
    )
    .fetch_one(&mut *connection)
    .await?;
    let groups = query!(
        r#"
        SELECT state, code, count(*) AS "count!" FROM ferry.planned_items
        WHERE batch_id = $1 GROUP BY state, code ORDER BY code COLLATE "C", state
        "#,
        settled_batch,
    )
    .fetch_all(connection)
    .await?;
    let mut settled = Vec::new();
    for group in groups {
        let state = words::item_state(run, &group.state)?;
        let code = words::settled_code(run, state, group.code.as_deref())?;
        settled.push(SettledGroup { state, code, count: group.count });
    }
    Ok(Planned { tally: tally.into(), settled, batches })
}
