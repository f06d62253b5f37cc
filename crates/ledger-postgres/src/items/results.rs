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
    Code, ItemResult, ItemSeq, Job, Lease, WriteBackTarget,
    ports::{AppRows, RefusedRow, WriteBack},
};
use ferry_ledger::{
    refusals::batch_of,
    results::{kept, tally},
    steps::{End, EndSteps},
};
use sqlx::{PgConnection, postgres::PgDatabaseError, query, query_scalar};

use crate::{
    PostgresLedger,
    application::How,
    errors::{Fault, Tried, database},
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
        open.retain(|seq| !locked.contains(&ItemSeq(*seq)));
        let stored = those_of(results, &open);
        let held = fence(tx, lease).await?;
        append(tx, lease, &stored, &refused_rows).await?;
        let ended = tally(&stored, &refused_rows);
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

/// The results of these positions, which are sorted.
pub(super) fn those_of<'r>(results: &'r [ItemResult], open: &[i64]) -> Vec<&'r ItemResult> {
    results.iter().filter(|result| open.binary_search(&result.seq.0).is_ok()).collect()
}

pub(super) fn sorted(mut seqs: Vec<i64>) -> Vec<i64> {
    seqs.sort_unstable();
    seqs
}

/// Appends what became of items, all of which are pending and of this batch.
///
/// # Errors
/// `ToldBefore` when one of them is not: mostly an earlier call, whose answer was lost, wrote it. The
/// transaction is undone, for the application's row of that item is not ours to touch. That an item has an
/// outcome the key alone finds out: to look for each beforehand made this statement half as dear again.
pub(super) async fn append(
    connection: &mut PgConnection,
    lease: &Lease<Job>,
    results: &[&ItemResult],
    refused: &[RefusedRow],
) -> Tried<()> {
    let rows = Columns::of(results, refused);
    let appended = query!(
        r#"
        INSERT INTO ferry.outcomes (batch_id, seq, state, code, field, other, auth0_user_id, made_by_ferry)
        SELECT item.batch_id, result.*
        FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::boolean[])
            AS result (seq, state, code, field, other, auth0_user_id, made)
        CROSS JOIN LATERAL (
            SELECT batch_id FROM ferry.planned_items
            WHERE batch_id = $1 AND seq = result.seq AND state = 'pending' LIMIT 1
        ) AS item
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
    .execute(connection)
    .await
    .map_err(|error| match database(&error).and_then(PgDatabaseError::constraint) {
        Some("outcomes_pkey") => Fault::ToldBefore,
        _ => error.into(),
    })?;
    if appended.rows_affected() == results.len() as u64 { Ok(()) } else { Err(Fault::ToldBefore) }
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
        for kept in results.iter().map(|result| kept(result, refused)) {
            columns.seqs.push(kept.seq);
            columns.states.push(kept.state.as_str());
            columns.codes.push(kept.code.map(Code::as_str));
            columns.fields.push(kept.field);
            columns.others.push(kept.other);
            columns.ids.push(kept.auth0_user_id.map(|id| id.0.as_str()));
            columns.made.push(kept.made_by_ferry);
        }
        columns
    }
}
