//! The results of several items in one transaction.

use ferry_domain::{Code, ItemResult, ItemSeq, ItemState, Job, JobKind, Lease, Tally, ports::WriteBack};
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::{
    SqliteLedger,
    application::{NewId, write_ids},
    ending,
    errors::{Doing, Result},
    fence::{Held, fence, only},
    rows::{corrupt, json},
};

const DOING: &str = "could not write results back";

impl SqliteLedger {
    /// Fence, application's rows, items, tally, and the batch's end with its last item.
    pub(crate) async fn store_results(
        &self,
        lease: &Lease<Job>,
        results: &[ItemResult],
        requests: i64,
    ) -> Result<WriteBack> {
        only(lease, JobKind::Provision)?;
        let mut tx = self.write(DOING).await?;
        let held = fence(&mut tx, lease).await?;
        let batch = held.batch()?;
        let refused = application_rows(&mut tx, &held, results).await?;
        let stored = items(&mut tx, lease, batch.0, results, &refused).await?;
        let pending = tally(&mut tx, batch.0, &stored, requests).await?;
        if pending == 0 {
            ending::provisioned(&mut tx, &lease.of, batch).await?;
            ending::job_done(&mut tx, lease).await?;
        } else if stored.source > 0 && lease.of.rescues > 0 {
            got_on(&mut tx, lease).await?;
        }
        tx.commit().await.doing(DOING)?;
        let refused_rows = refused.into_iter().map(|(at, code)| (results[at].seq, code)).collect();
        Ok(WriteBack { refused_rows, pending, run: held.seen() })
    }
}

/// A batch that got on has no deaths against it any more (`ferry_domain::poison`).
async fn got_on(connection: &mut SqliteConnection, lease: &Lease<Job>) -> Result<()> {
    sqlx::query!("UPDATE ferry_jobs SET rescues = 0 WHERE id = ?1 AND rescues > 0", lease.of.id.0)
        .execute(connection)
        .await
        .doing(DOING)?;
    Ok(())
}

async fn application_rows(
    connection: &mut SqliteConnection,
    held: &Held,
    results: &[ItemResult],
) -> Result<Vec<(usize, Code)>> {
    let Some(target) = &held.write_back else { return Ok(Vec::new()) };
    let mut ids: Vec<NewId<'_>> = results
        .iter()
        .enumerate()
        .filter_map(|(at, result)| {
            Some(NewId { at, key: &result.key, id: result.outcome.auth0_user_id.as_ref()? })
        })
        .collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    ids.sort_by_key(|new| new.key);
    write_ids(connection, target, &ids).await
}

/// Stores what is still pending; a result told twice counts once. A refused row
/// keeps its id, and whether Ferry made the user.
async fn items(
    connection: &mut SqliteConnection,
    lease: &Lease<Job>,
    batch: Uuid,
    results: &[ItemResult],
    refused: &[(usize, Code)],
) -> Result<Tally> {
    let mut rows: Vec<_> = results
        .iter()
        .map(|ItemResult { seq, outcome, .. }| {
            let made = outcome.state == ItemState::Created;
            let code = outcome.code.map(Code::as_str);
            (
                seq.0,
                outcome.state.as_str(),
                code,
                outcome.field.as_deref(),
                outcome.auth0_user_id.as_ref(),
                i32::from(made),
            )
        })
        .collect();
    for (at, code) in refused {
        (rows[*at].1, rows[*at].2, rows[*at].3) = (ItemState::Conflict.as_str(), Some(code.as_str()), None);
    }
    let rows = json(&rows);
    // LIMIT keeps the list a table of its own and + keeps the batch's index out, so
    // that each result finds its item by the primary key. SQLite's own choice was to
    // walk the batch and to parse the list anew for each of its items.
    let stored = sqlx::query!(
        r#"
        UPDATE ferry_items
        SET state = new.state, code = new.code, field = new.field, auth0_user_id = new.auth0,
            made_by_ferry = max(made_by_ferry, new.made)
        FROM (
            SELECT value ->> 0 AS at, value ->> 1 AS state, value ->> 2 AS code, value ->> 3 AS field,
                   value ->> 4 AS auth0, value ->> 5 AS made
            FROM json_each(?3) LIMIT -1
        ) AS new
        WHERE run_id = ?1 AND seq = new.at AND +batch_id = ?2 AND ferry_items.state = 'pending'
        RETURNING seq AS "seq!: i64", ferry_items.state AS "state!: String"
        "#,
        lease.of.run.0,
        batch,
        rows
    )
    .fetch_all(connection)
    .await
    .doing(DOING)?;
    let mut tally = Tally::default();
    for row in stored {
        let state = ItemState::parse(&row.state);
        tally.add(state.ok_or_else(|| corrupt("ferry_items", ItemSeq(row.seq).0, "its state"))?);
    }
    Ok(tally)
}

async fn tally(connection: &mut SqliteConnection, batch: Uuid, stored: &Tally, requests: i64) -> Result<i64> {
    sqlx::query_scalar!(
        r#"
        UPDATE ferry_batches
        SET created = created + ?2, adopted = adopted + ?3, skipped = skipped + ?4, conflict = conflict + ?5,
            failed = failed + ?6, cancelled = cancelled + ?7, pending = pending - ?8, requests = requests + ?9
        WHERE id = ?1
        RETURNING pending AS "pending!: i64"
        "#,
        batch,
        stored.created,
        stored.adopted,
        stored.skipped,
        stored.conflict,
        stored.failed,
        stored.cancelled,
        stored.source,
        requests
    )
    .fetch_one(connection)
    .await
    .doing(DOING)
}
