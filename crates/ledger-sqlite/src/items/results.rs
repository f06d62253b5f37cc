//! Writing results back: the application's rows, items, and what the batch's tally gains.

use ferry_domain::{Code, ItemResult, Job, Lease, ports::RefusedRow};
use ferry_ledger::{Result, refusals::batch_of, results::kept, words};
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
    // One row: each row more is handed from one thread to another, which costs more than finding it.
    let pending = sqlx::query_scalar!(
        r#"
        SELECT json_group_array(seq) AS "seqs!: String" FROM ferry_items
        WHERE run_id = ?1 AND seq IN (SELECT value FROM json_each(?3)) AND +batch_id = ?2 AND state = 'pending'
        "#,
        lease.of.run.0,
        batch.0,
        seqs
    )
    .fetch_one(connection)
    .await
    .doing(DOING)?;
    let mut pending: Vec<i64> = words::json("items", batch.0, "seq", &pending)?;
    pending.sort_unstable();
    Ok(results.iter().filter(|result| pending.binary_search(&result.seq.0).is_ok()).collect())
}

/// Writes what became of items; whether all of them were pending. Otherwise the transaction must be undone.
pub(super) async fn write_items(
    connection: &mut SqliteConnection,
    lease: &Lease<Job>,
    results: &[&ItemResult],
    refused: &[RefusedRow],
) -> Result<bool> {
    let batch = batch_of(&lease.of)?;
    let rows: Vec<_> = results
        .iter()
        .map(|result| {
            let kept = kept(result, refused);
            let (code, made) = (kept.code.map(Code::as_str), i32::from(kept.made_by_ferry));
            (kept.seq, kept.state.as_str(), code, kept.field, kept.other, kept.auth0_user_id, made)
        })
        .collect();
    let rows = json(&rows);
    // `LIMIT -1` stops SQLite from flattening the subquery; `+batch_id` keeps it from using
    // that index. So each result finds its item by the primary key. SQLite's own choice was to
    // walk the batch and to parse the list anew for each of its items.
    let written = sqlx::query!(
        r#"
        UPDATE ferry_items
        SET state = new.state, code = new.code, field = new.field, other = new.other,
            auth0_user_id = coalesce(new.auth0, auth0_user_id),
            made_by_ferry = max(made_by_ferry, new.made)
        FROM (
            SELECT value ->> 0 AS at, value ->> 1 AS state, value ->> 2 AS code, value ->> 3 AS field,
                   value ->> 4 AS other, value ->> 5 AS auth0, value ->> 6 AS made
            FROM jsonb_each(?3) LIMIT -1
        ) AS new
        WHERE run_id = ?1 AND seq = new.at AND +batch_id = ?2 AND ferry_items.state = 'pending'
        "#,
        lease.of.run.0,
        batch.0,
        rows
    )
    .execute(connection)
    .await
    .doing(DOING)?;
    Ok(written.rows_affected() == results.len() as u64)
}
