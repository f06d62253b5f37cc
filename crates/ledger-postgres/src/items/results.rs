//! Writing results back: the application's rows, items, and the tally of the batch.
//!
//! **The application's rows come before the fence.** Its triggers may take seconds, and the fence
//! locks the job, which a heartbeat renews: behind a slow trigger the whole process would count
//! as dead. It is one transaction, so a late owner, whom the fence refuses, has written nothing.
//!
//! **Items are found by their batch alone.** `run_id` beside it lets a planner without statistics
//! choose the primary key, of which it then reads the whole run for each batch.

use ferry_domain::{
    Code, ItemResult, ItemSeq, ItemState, Job, Lease, Tally, WriteBackTarget,
    ports::{AppRows, RefusedRow, WriteBack},
};
use ferry_ledger::{
    refusals::batch_of,
    steps::{End, EndSteps},
};
use sqlx::{PgConnection, query, query_scalar};

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
        let mut tx = self.begin_write_back().await?;
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
        let taken = write_items(tx, lease, &stored).await?;
        if taken != open {
            return Err(Fault::ToldBefore); // the application's rows of the others are not ours to touch
        }
        note_refusals(tx, lease, &refused_rows).await?;
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
        "SELECT seq FROM ferry.items WHERE batch_id = $1 AND seq = ANY($2) AND state = 'pending'",
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

/// Writes what became of the items that are still pending; returns their positions,
/// sorted. The others were written by an earlier call whose answer was lost.
pub(super) async fn write_items(
    connection: &mut PgConnection,
    lease: &Lease<Job>,
    results: &[&ItemResult],
) -> Tried<Vec<i64>> {
    let seqs: Vec<i64> = results.iter().map(|r| r.seq.0).collect();
    let states: Vec<&str> = results.iter().map(|r| r.outcome.state.as_str()).collect();
    let codes: Vec<Option<&str>> = results.iter().map(|r| r.outcome.code.map(Code::as_str)).collect();
    let fields: Vec<Option<&str>> = results.iter().map(|r| r.outcome.field.as_deref()).collect();
    let others: Vec<Option<&str>> = results.iter().map(|r| r.outcome.other.as_deref()).collect();
    let ids: Vec<Option<&str>> =
        results.iter().map(|r| r.outcome.auth0_user_id.as_ref().map(|id| id.0.as_str())).collect();
    let taken = query_scalar!(
        r#"
        UPDATE ferry.items AS item
        SET state = result.state, code = result.code, field = result.field, other = result.other,
            auth0_user_id = coalesce(result.auth0_user_id, item.auth0_user_id),
            made_by_ferry = item.made_by_ferry OR result.state = 'created'
        FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
            AS result (seq, state, code, field, other, auth0_user_id)
        WHERE item.batch_id = $1 AND item.seq = result.seq AND item.state = 'pending'
        RETURNING item.seq
        "#,
        batch_of(&lease.of)?.0,
        &seqs,
        &states as &[&str],
        &codes as &[Option<&str>],
        &fields as &[Option<&str>],
        &others as &[Option<&str>],
        &ids as &[Option<&str>],
    )
    .fetch_all(connection)
    .await?;
    Ok(sorted(taken))
}

/// Makes conflicts of items whose application row did not take the id. The id stays
/// on the item: the user exists, and `made_by_ferry` says whose work it is.
pub(super) async fn note_refusals(
    connection: &mut PgConnection,
    lease: &Lease<Job>,
    refused: &[RefusedRow],
) -> Tried<()> {
    if refused.is_empty() {
        return Ok(());
    }
    let seqs: Vec<i64> = refused.iter().map(|row| row.seq.0).collect();
    let codes: Vec<&str> = refused.iter().map(|row| row.code.as_str()).collect();
    let said: Vec<Option<&str>> = refused.iter().map(|row| row.said.as_deref()).collect();
    query!(
        r#"
        UPDATE ferry.items AS item
        SET state = 'conflict', code = refused.code, field = refused.said, other = NULL
        FROM unnest($2::bigint[], $3::text[], $4::text[]) AS refused (seq, code, said)
        WHERE item.batch_id = $1 AND item.seq = refused.seq
        "#,
        batch_of(&lease.of)?.0,
        &seqs,
        &codes as &[&str],
        &said as &[Option<&str>],
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) fn tally(results: &[&ItemResult], taken: &[i64], refused: &[RefusedRow]) -> Tally {
    let mut tally = Tally::default();
    for result in results.iter().filter(|r| taken.binary_search(&r.seq.0).is_ok()) {
        let turned_down = refused.iter().any(|row| row.seq == result.seq);
        tally.add(if turned_down { ItemState::Conflict } else { result.outcome.state });
    }
    tally
}
