//! Failed and conflicting items taken up again, by a person.
//!
//! Which items may be is the domain's rule (`ferry_domain::run::retryable`): the
//! codes that are beyond retry go into the SQL as a list.

use ferry_domain::{
    BatchId, Code, ItemState, JobKind, RunId, RunState,
    ports::{LedgerError, Retried},
    run::RunMove,
};
use serde_json::json;
use sqlx::{PgConnection, query, query_scalar};

use crate::{PostgresLedger, errors::Fault, moving, operating::words, planning::audit, rows, tries::Tries};

impl PostgresLedger {
    pub(crate) async fn take_up_again(
        &self,
        run: RunId,
        codes: &[Code],
        batch_ids: &[BatchId],
        by: &str,
        reason: Option<&str>,
    ) -> Result<Retried, LedgerError> {
        let mut tries = Tries::default();
        loop {
            match self.try_take_up_again(run, codes, batch_ids, by, reason).await {
                Err(fault) if tries.again(&fault).await => {}
                done => return done.map_err(self.failed("could not retry items")),
            }
        }
    }

    async fn try_take_up_again(
        &self,
        run: RunId,
        codes: &[Code],
        batch_ids: &[BatchId],
        by: &str,
        reason: Option<&str>,
    ) -> Result<Retried, Fault> {
        let mut tx = self.begin_long().await?;
        let row = query!(
            r#"
            SELECT state, round, (spec ->> 'batch_size')::bigint AS "batch_size!", source_kind, source_location
            FROM ferry.runs WHERE id = $1 FOR NO KEY UPDATE
            "#,
            run.0,
        )
        .fetch_optional(&mut *tx)
        .await?
        .ok_or_else(|| LedgerError::Refused(format!("there is no run {run}")))?;
        let state = rows::run_state(run.0, &row.state)?;
        let Some(next) = state.after(RunMove::Retry) else {
            let rule = match state {
                RunState::Cancelling | RunState::Cancelled => {
                    "it was given up; plan a new run of this source"
                }
                _ => "wait until it is sealed, or resume it",
            };
            return Err(LedgerError::Refused(format!("run {run} is {state}: {rule}")).into());
        };
        let (items, left) = count(&mut tx, run, codes).await?;
        if items == 0 {
            return Ok(Retried { items, batches: 0, left, round: row.round });
        }
        if !state.is_active() {
            refuse_second_run(&mut tx, run, &row.source_kind, &row.source_location).await?;
        }
        let batches = (items + row.batch_size - 1) / row.batch_size;
        let ids = usize::try_from(batches).ok().and_then(|needed| batch_ids.get(..needed));
        let Some(ids) = ids else {
            let why = format!(
                "{items} items make {batches} batches, ids came for {}: count again",
                batch_ids.len()
            );
            return Err(LedgerError::Refused(why).into());
        };
        let round = row.round + 1;
        run_again(&mut tx, run, next, round).await?;
        move_items(&mut tx, &Move { run, codes, ids, items, batch_size: row.batch_size, round }).await?;
        moving::count_failures_from_here(&mut tx, run).await?;
        let detail = json!({
            "items": items, "batches": batches, "left": left, "round": round, "codes": words(codes),
        });
        audit(&mut tx, by, "retry", run, &detail, reason).await?;
        tx.commit().await?;
        Ok(Retried { items, batches, left, round })
    }
}

/// Items that a retry takes up, and those it leaves.
pub(crate) async fn count(
    connection: &mut PgConnection,
    run: RunId,
    codes: &[Code],
) -> Result<(i64, i64), Fault> {
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
        &words(codes) as &[&str],
        &beyond_retry() as &[&str],
        &retryable_states() as &[&str],
    )
    .fetch_one(connection)
    .await?;
    Ok((counted.taken, counted.left))
}

fn beyond_retry() -> Vec<&'static str> {
    Code::ALL.iter().filter(|code| !code.retryable()).map(|code| code.as_str()).collect()
}

fn retryable_states() -> Vec<&'static str> {
    let back = ItemState::ALL.into_iter().filter(|state| state.may_become(ItemState::Pending));
    back.map(ItemState::as_str).collect()
}

pub(crate) async fn run_again(
    connection: &mut PgConnection,
    run: RunId,
    state: RunState,
    round: i32,
) -> Result<(), Fault> {
    query!(
        r#"
        UPDATE ferry.runs SET state = $2, round = $3, why = NULL, touched_at = clock_timestamp()
        WHERE id = $1
        "#,
        run.0,
        state.as_str(),
        round,
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) async fn refuse_second_run(
    connection: &mut PgConnection,
    run: RunId,
    kind: &str,
    location: &str,
) -> Result<(), Fault> {
    let other = query!(
        r#"
        SELECT id, state FROM ferry.runs
        WHERE source_kind = $1 AND source_location = $2 AND id <> $3 AND state NOT IN ('sealed', 'cancelled')
        "#,
        kind,
        location,
        run.0,
    )
    .fetch_optional(connection)
    .await?;
    match other {
        None => Ok(()),
        Some(other) => {
            let state = rows::run_state(other.id, &other.state)?;
            Err(LedgerError::AnotherRunActive { run: RunId(other.id), state }.into())
        }
    }
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
async fn move_items(connection: &mut PgConnection, it: &Move<'_>) -> Result<(), Fault> {
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
        &words(it.codes) as &[&str],
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
