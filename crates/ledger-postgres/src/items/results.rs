//! Writing results back: items, the application's rows, and the tally of the batch.

use ferry_domain::{
    Code, ItemResult, ItemState, Job, Lease, Tally,
    ports::{RefusedRow, WriteBack},
};
use ferry_ledger::{
    refusals::batch_of,
    steps::{End, EndSteps},
};
use sqlx::{PgConnection, query, query_scalar};

use crate::{
    PostgresLedger,
    application::{AppRow, Group},
    errors::Tried,
    leases::fence::fence,
    transaction::Tx,
};

impl PostgresLedger {
    pub(super) async fn write_results(
        &self,
        lease: &Lease<Job>,
        results: &[ItemResult],
        requests: i64,
        group: Group,
    ) -> Tried<WriteBack> {
        let mut tx = self.begin().await?;
        let held = fence(&mut tx, lease).await?;
        let taken = write_items(&mut tx, lease, results).await?;
        let mut refused_rows = Vec::new();
        if let Some(target) = &held.target {
            let rows: Vec<AppRow<'_>> = results
                .iter()
                .filter(|result| taken.binary_search(&result.seq.0).is_ok())
                .filter_map(|result| {
                    let id = &result.outcome.auth0_user_id.as_ref()?.0;
                    Some(AppRow { seq: result.seq, key: &result.key.0, id })
                })
                .collect();
            let table = self.application(&mut tx, target).await?;
            refused_rows = self.targets.write(&mut tx, target, &table, &rows, group).await?;
            note_refusals(&mut tx, lease, &refused_rows).await?;
        }
        let ended = tally(results, &taken, &refused_rows);
        let pending = Tx(&mut tx).count_in(&lease.of, &ended, requests, End::Done).await?;
        tx.commit().await?;
        Ok(WriteBack { refused_rows, pending, run: held.run.seen_by_holder(held.all_stopped) })
    }
}

/// Writes what became of the items that are still pending; returns their positions,
/// sorted. The others were written by an earlier call whose answer was lost.
async fn write_items(
    connection: &mut PgConnection,
    lease: &Lease<Job>,
    results: &[ItemResult],
) -> Tried<Vec<i64>> {
    let seqs: Vec<i64> = results.iter().map(|r| r.seq.0).collect();
    let states: Vec<&str> = results.iter().map(|r| r.outcome.state.as_str()).collect();
    let codes: Vec<Option<&str>> = results.iter().map(|r| r.outcome.code.map(Code::as_str)).collect();
    let fields: Vec<Option<&str>> = results.iter().map(|r| r.outcome.field.as_deref()).collect();
    let others: Vec<Option<&str>> = results.iter().map(|r| r.outcome.other.as_deref()).collect();
    let ids: Vec<Option<&str>> =
        results.iter().map(|r| r.outcome.auth0_user_id.as_ref().map(|id| id.0.as_str())).collect();
    let mut taken = query_scalar!(
        r#"
        UPDATE ferry.items AS item
        SET state = result.state, code = result.code, field = result.field, other = result.other,
            auth0_user_id = result.auth0_user_id,
            made_by_ferry = item.made_by_ferry OR result.state = 'created'
        FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
                    $8::text[])
            AS result (seq, state, code, field, other, auth0_user_id)
        WHERE item.run_id = $1 AND item.batch_id = $2 AND item.seq = result.seq AND item.state = 'pending'
        RETURNING item.seq
        "#,
        lease.of.run.0,
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
    taken.sort_unstable();
    Ok(taken)
}

/// Makes conflicts of items whose application row did not take the id. The id stays
/// on the item: the user exists, and `made_by_ferry` says whose work it is.
async fn note_refusals(
    connection: &mut PgConnection,
    lease: &Lease<Job>,
    refused: &[RefusedRow],
) -> Tried<()> {
    if refused.is_empty() {
        return Ok(());
    }
    let seqs: Vec<i64> = refused.iter().map(|row| row.seq.0).collect();
    let codes: Vec<&str> = refused.iter().map(|row| row.code.as_str()).collect();
    query!(
        r#"
        UPDATE ferry.items AS item
        SET state = 'conflict', code = refused.code, field = NULL, other = NULL
        FROM unnest($2::bigint[], $3::text[]) AS refused (seq, code)
        WHERE item.run_id = $1 AND item.seq = refused.seq
        "#,
        lease.of.run.0,
        &seqs,
        &codes as &[&str],
    )
    .execute(connection)
    .await?;
    Ok(())
}

fn tally(results: &[ItemResult], taken: &[i64], refused: &[RefusedRow]) -> Tally {
    let mut tally = Tally::default();
    for result in results.iter().filter(|r| taken.binary_search(&r.seq.0).is_ok()) {
        let turned_down = refused.iter().any(|row| row.seq == result.seq);
        tally.add(if turned_down { ItemState::Conflict } else { result.outcome.state });
    }
    tally
}
