//! Writing results back: the application's rows, items, and what the batch's tally gains.

use std::collections::HashSet;

use ferry_domain::{Code, ItemResult, ItemState, Job, Lease, Tally, ports::RefusedRow};
use ferry_ledger::{Result, refusals::batch_of, words};
use sqlx::SqliteConnection;

use crate::{errors::Doing, values::json};

const DOING: &str = "could not write results back";

/// Results of items that are still pending. The others were written by an earlier call whose
/// answer was lost; the application may have changed their rows since, and need not be told.
pub(super) async fn still_pending<'a>(
    connection: &mut SqliteConnection,
    lease: &Lease<Job>,
    results: &'a [ItemResult],
) -> Result<Vec<&'a ItemResult>> {
    let batch = batch_of(&lease.of)?;
    let seqs = json(&results.iter().map(|result| result.seq).collect::<Vec<_>>());
    let pending: HashSet<i64> = sqlx::query_scalar!(
        r#"
        SELECT seq AS "seq!: i64" FROM ferry_items
        WHERE run_id = ?1 AND seq IN (SELECT value FROM json_each(?3)) AND +batch_id = ?2 AND state = 'pending'
        "#,
        lease.of.run.0,
        batch.0,
        seqs
    )
    .fetch_all(connection)
    .await
    .doing(DOING)?
    .into_iter()
    .collect();
    Ok(results.iter().filter(|result| pending.contains(&result.seq.0)).collect())
}

/// Writes what became of the items; returns their tally. An item whose row refused the id is a
/// conflict; the id stays on it: the user exists, and `made_by_ferry` says whose work it is.
pub(super) async fn write_items(
    connection: &mut SqliteConnection,
    lease: &Lease<Job>,
    results: &[&ItemResult],
    refused: &[RefusedRow],
) -> Result<Tally> {
    let batch = batch_of(&lease.of)?;
    let rows: Vec<_> = results
        .iter()
        .map(|ItemResult { seq, outcome, .. }| {
            let made = i32::from(outcome.state == ItemState::Created);
            let id = outcome.auth0_user_id.as_ref();
            let (state, code, field, other) = match refused.iter().find(|row| row.seq == *seq) {
                Some(row) => (ItemState::Conflict, Some(row.code), row.said.as_deref(), None),
                None => (outcome.state, outcome.code, outcome.field.as_deref(), outcome.other.as_deref()),
            };
            (seq.0, state.as_str(), code.map(Code::as_str), field, other, id, made)
        })
        .collect();
    let rows = json(&rows);
    // `LIMIT -1` stops SQLite from flattening the subquery; `+batch_id` keeps it from using
    // that index. So each result finds its item by the primary key. SQLite's own choice was to
    // walk the batch and to parse the list anew for each of its items.
    let stored = sqlx::query!(
        r#"
        UPDATE ferry_items
        SET state = new.state, code = new.code, field = new.field, other = new.other,
            auth0_user_id = coalesce(new.auth0, auth0_user_id),
            made_by_ferry = max(made_by_ferry, new.made)
        FROM (
            SELECT value ->> 0 AS at, value ->> 1 AS state, value ->> 2 AS code, value ->> 3 AS field,
                   value ->> 4 AS other, value ->> 5 AS auth0, value ->> 6 AS made
            FROM json_each(?3) LIMIT -1
        ) AS new
        WHERE run_id = ?1 AND seq = new.at AND +batch_id = ?2 AND ferry_items.state = 'pending'
        RETURNING seq AS "seq!: i64", ferry_items.state AS "state!: String"
        "#,
        lease.of.run.0,
        batch.0,
        rows
    )
    .fetch_all(connection)
    .await
    .doing(DOING)?;
    let mut tally = Tally::default();
    for row in stored {
        tally.add(words::item_state(row.seq, &row.state)?);
    }
    Ok(tally)
}
