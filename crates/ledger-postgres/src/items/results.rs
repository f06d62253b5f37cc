//! Writing results back: the application's rows, items, and the tally of the batch.
//!
//! **The application's rows come before the fence.** Its triggers may take seconds, and the fence
//! locks the job, which a heartbeat renews: behind a slow trigger the whole process would count
//! as dead. It is one transaction, so a late owner, whom the fence refuses, has written nothing.
//!
//! **Items are found by their batch alone.** `run_id` beside it lets a planner without statistics
//! choose the primary key, of which it then reads the whole run for each batch. `LATERAL` with a limit
//! keeps it from comparing each item of a batch with each outcome.

use ferry_domain::{
    Code, ItemResult, ItemSeq, ItemState, Job, Lease, Tally, WriteBackTarget,
    ports::{AppRows, RefusedRow, WriteBack},
};
use ferry_ledger::{
    refusals::batch_of,
    steps::{End, EndSteps},
};
use sqlx::{PgConnection, query_scalar};

use crate::{
    PostgresLedger,
    application::How,
    errors::{Fault, Tried},
    leases::fence::fence,
    transaction::Tx,
};

/// Whether some of a group may have been written by an earlier call.
#[derive(Clone, Copy)]
pub(super) enum Told {
    /// As nearly always: written so, and undone where it was not.
    Never,
    /// Found out before anything is written.
    Perhaps,
}

impl PostgresLedger {
    /// Writes a part of the results, in one transaction. One that fails is undone before this
    /// returns: the next try would take its rows for locked by others.
    pub(super) async fn write_results(
        &self,
        lease: &Lease<Job>,
        target: Option<&WriteBackTarget>,
        results: &[ItemResult],
        requests: i64,
        how: How,
        told: Told,
    ) -> Tried<WriteBack> {
        let mut tx = self.begin_write_back(how).await?;
        match self.write_within(&mut tx, lease, target, results, requests, (how, told)).await {
            Ok(written) => {
                tx.commit().await?;
                Ok(written)
            }
            Err(fault) => {
                let _ = tx.rollback().await; // fails with a lost connection only, whose server undoes it
                Err(fault)
            }
        }
    }

    async fn write_within(
        &self,
        tx: &mut PgConnection,
        lease: &Lease<Job>,
        target: Option<&WriteBackTarget>,
        results: &[ItemResult],
        requests: i64,
        (how, told): (How, Told),
    ) -> Tried<WriteBack> {
        let mut open = match told {
            Told::Never => sorted(results.iter().map(|result| result.seq.0).collect()),
            Told::Perhaps => still_pending(tx, lease, results).await?,
        };
        let AppRows { refused: refused_rows, locked } = match target {
            Some(target) => {
                let rows = results.iter().filter(|result| open.binary_search(&result.seq.0).is_ok());
                self.write_rows(tx, target, rows, how).await?
            }
            None => AppRows::default(),
        };
        let stored = without(results, &locked);
        open.retain(|seq| !locked.contains(&ItemSeq(*seq)));
        let held = fence(tx, lease).await?;
        let taken = append(tx, lease, &stored, &refused_rows).await?;
        if taken != open {
            return Err(Fault::ToldBefore); // the application's rows of the others are not ours to touch
        }
        let ended = tally(&stored, &taken, &refused_rows);
        let pending = Tx(tx).count_in(&lease.of, &ended, requests, End::Done).await?;
        let run = held.run.seen_by_holder(held.all_stopped);
        Ok(WriteBack { refused_rows, locked, pending, run })
    }
}

/// Positions of the results whose items are still pending, sorted. The others were written by an
/// earlier call whose answer was lost; the application may have changed their rows since.
async fn still_pending(
    connection: &mut PgConnection,
    lease: &Lease<Job>,
    results: &[ItemResult],
) -> Tried<Vec<i64>> {
    let open = query_scalar!(
        r#"
        SELECT item.seq
        FROM ferry.planned_items AS item
        LEFT JOIN LATERAL (
            SELECT true AS told FROM ferry.outcomes WHERE batch_id = $1 AND seq = item.seq LIMIT 1
        ) AS outcome ON true
        WHERE item.batch_id = $1 AND item.seq = ANY($2) AND item.state = 'pending' AND outcome.told IS NULL
        "#,
        batch_of(&lease.of)?.0,
        &results.iter().map(|result| result.seq.0).collect::<Vec<_>>(),
    )
    .fetch_all(connection)
    .await?;
    Ok(sorted(open))
}

/// Results but those of rows that others hold locked.
pub(super) fn without<'r>(results: &'r [ItemResult], locked: &[ItemSeq]) -> Vec<&'r ItemResult> {
    results.iter().filter(|result| !locked.contains(&result.seq)).collect()
}

pub(super) fn sorted(mut seqs: Vec<i64>) -> Vec<i64> {
    seqs.sort_unstable();
    seqs
}

/// Appends what became of the items that are still pending; returns their positions,
/// sorted. The others were written by an earlier call whose answer was lost. An item whose
/// application row refused the id is a conflict; the id stays with it: the user exists, and
/// `made_by_ferry` says whose work it is.
pub(super) async fn append(
    connection: &mut PgConnection,
    lease: &Lease<Job>,
    results: &[&ItemResult],
    refused: &[RefusedRow],
) -> Tried<Vec<i64>> {
    let rows = Columns::of(results, refused);
    let taken = query_scalar!(
        r#"
        INSERT INTO ferry.outcomes (batch_id, seq, state, code, field, other, auth0_user_id, made_by_ferry)
        SELECT item.batch_id, item.seq, result.state, result.code, result.field, result.other,
               result.auth0_user_id, result.made
        FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::boolean[])
            AS result (seq, state, code, field, other, auth0_user_id, made)
        CROSS JOIN LATERAL (
            SELECT batch_id, seq FROM ferry.planned_items
            WHERE batch_id = $1 AND seq = result.seq AND state = 'pending' LIMIT 1
        ) AS item
        ON CONFLICT (batch_id, seq) DO NOTHING
        RETURNING seq
        "#,
        batch_of(&lease.of)?.0,
        &rows.seqs,
        &rows.states as &[&str],
        &rows.codes as &[Option<&str>],
        &rows.fields as &[Option<&str>],
        &rows.others as &[Option<&str>],
        &rows.ids as &[Option<&str>],
        &rows.made,
    )
    .fetch_all(connection)
    .await?;
    Ok(sorted(taken))
}

/// Outcomes as columns, which is how they are sent.
#[derive(Default)]
struct Columns<'r> {
    seqs: Vec<i64>,
    states: Vec<&'static str>,
    codes: Vec<Option<&'static str>>,
    fields: Vec<Option<&'r str>>,
    others: Vec<Option<&'r str>>,
    ids: Vec<Option<&'r str>>,
    made: Vec<bool>,
}

impl<'r> Columns<'r> {
    fn of(results: &[&'r ItemResult], refused: &'r [RefusedRow]) -> Self {
        let mut columns = Columns::default();
        for ItemResult { seq, outcome, .. } in results {
            let (state, code, field, other) = match refused.iter().find(|row| row.seq == *seq) {
                Some(row) => (ItemState::Conflict, Some(row.code), row.said.as_deref(), None),
                None => (outcome.state, outcome.code, outcome.field.as_deref(), outcome.other.as_deref()),
            };
            columns.seqs.push(seq.0);
            columns.states.push(state.as_str());
            columns.codes.push(code.map(Code::as_str));
            columns.fields.push(field);
            columns.others.push(other);
            columns.ids.push(outcome.auth0_user_id.as_ref().map(|id| id.0.as_str()));
            columns.made.push(outcome.state == ItemState::Created);
        }
        columns
    }
}

pub(super) fn tally(results: &[&ItemResult], taken: &[i64], refused: &[RefusedRow]) -> Tally {
    let mut tally = Tally::default();
    for result in results.iter().filter(|r| taken.binary_search(&r.seq.0).is_ok()) {
        let turned_down = refused.iter().any(|row| row.seq == result.seq);
        tally.add(if turned_down { ItemState::Conflict } else { result.outcome.state });
    }
    tally
}
