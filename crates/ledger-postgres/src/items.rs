//! Items, and the results of several of them in one transaction of six round trips: begin,
//! application rows, fence, items, tally (with the end of the batch), commit.
//!
//! Savepoints would cost two more, so they come only after the application's table
//! refused something: the transaction is done anew and the group split down to the row. Where the
//! application's triggers are slow, a group becomes several transactions (`application::Pace`).

mod apart;
mod results;

use async_trait::async_trait;
use ferry_domain::{
    Item, ItemResult, ItemSeq, ItemState, Job, JobKind, Lease, RunId, SourceKey, WriteBackTarget,
    ports::{AppRows, ItemFilter, ItemView, Items, LedgerError, UserInRun, WriteBack},
};
use ferry_ledger::{
    Result, refusals,
    rows::{self, ItemRow, ItemViewRow, UserJobRow, UserRow},
    words,
};
use sqlx::{query, query_as};
use tokio::time::Instant;
use uuid::Uuid;

use self::results::Told;
use crate::{
    PostgresLedger,
    errors::{Fault, Tried},
    transaction::Tries,
};

const WRITING: &str = "could not write results back";
const LOOKING: &str = "could not look for a user";

#[async_trait]
impl Items for PostgresLedger {
    async fn pending_items(&self, lease: &Lease<Job>) -> Result<Vec<Item>> {
        self.items_of_batch(lease, JobKind::Provision, &["pending"]).await
    }

    async fn items_at_target(&self, lease: &Lease<Job>) -> Result<Vec<Item>> {
        self.items_of_batch(lease, JobKind::Verify, rows::AT_TARGET).await
    }

    async fn write_back(
        &self,
        lease: &Lease<Job>,
        results: &[ItemResult],
        requests: i64,
    ) -> Result<WriteBack> {
        refusals::only(lease, JobKind::Provision)?;
        refusals::ended(results)?;
        let target = self.target_of(lease).await.map_err(self.failed(WRITING))?;
        let target = target.as_deref();
        if let Some(target) = target
            && let Some(application) = self.apart.of(target)?
        {
            return self.write_apart(lease, results, requests, application, target).await;
        }
        let mut parts = self.pace.parts(results);
        let mut rows = AppRows::default();
        while let Some(part) = parts.pop() {
            // Counted with the last part: a call that fails half-way is made again as a whole.
            let sent = if parts.is_empty() { requests } else { 0 };
            let began = Instant::now();
            match self.write_part(lease, target, part, sent).await {
                Err(Fault::AppSlow) => {
                    self.pace.too_slow(part.len());
                    parts.extend(self.pace.parts(part));
                }
                Ok(written) => {
                    self.pace.took(part.len(), began.elapsed());
                    if !written.locked.is_empty() {
                        self.pace.met_a_lock();
                    }
                    rows.add(AppRows { refused: written.refused_rows, locked: written.locked });
                    if parts.is_empty() {
                        let AppRows { refused: refused_rows, locked } = rows;
                        return Ok(WriteBack { refused_rows, locked, ..written });
                    }
                }
                Err(fault) => return Err(self.failed(WRITING)(fault)),
            }
        }
        Err(LedgerError::Busy) // can't be reached: there is always a last part
    }

    async fn items(
        &self,
        run: RunId,
        filter: &ItemFilter,
        after: ItemSeq,
        most: i64,
    ) -> Result<Vec<ItemView>> {
        let states: Vec<&str> = filter.states.iter().copied().map(ItemState::as_str).collect();
        let codes = words::codes(&filter.codes);
        let rows = query_as!(
            ItemViewRow,
            r#"
            SELECT seq AS "seq!", key AS "key!", place AS "place!", line AS "line!", state AS "state!", code, field,
                   other, auth0_user_id
            FROM ferry.items
            WHERE run_id = $1 AND seq > $2
              AND (cardinality($3::text[]) = 0 OR state = ANY($3))
              -- What became of a user is looked up where its batch has such users. Without batches a run
              -- is being planned.
              AND (cardinality($3::text[]) = 0 OR batch_id IN (
                      SELECT id FROM ferry.batches
                      WHERE run_id = $1
                        AND $3::text[] && ARRAY[CASE WHEN pending > 0 THEN 'pending' END,
                            CASE WHEN created > 0 THEN 'created' END, CASE WHEN adopted > 0 THEN 'adopted' END,
                            CASE WHEN skipped > 0 THEN 'skipped' END, CASE WHEN conflict > 0 THEN 'conflict' END,
                            CASE WHEN failed > 0 THEN 'failed' END, CASE WHEN cancelled > 0 THEN 'cancelled' END]
                  ) OR NOT EXISTS (SELECT FROM ferry.batches WHERE run_id = $1))
              AND (cardinality($4::text[]) = 0 OR code = ANY($4))
            ORDER BY seq
            LIMIT $5
            "#,
            run.0,
            after.0,
            &states as &[&str],
            &codes as &[&str],
            most,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not list items"))?;
        rows.into_iter().map(ItemViewRow::view).collect()
    }

    async fn to_send(&self, run: RunId, after: ItemSeq, most: i64) -> Result<Vec<Item>> {
        let rows = query_as!(
            ItemRow,
            r#"
            SELECT seq, record::text AS record, auth0_user_id, other, state
            FROM ferry.planned_items
            WHERE run_id = $1 AND seq > $2 AND state = 'pending'
            ORDER BY seq
            LIMIT $3
            "#,
            run.0,
            after.0,
            most,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not read who would be sent"))?;
        rows.into_iter().map(|row| row.item(run)).collect()
    }

    async fn users(&self, run: RunId, key: &SourceKey) -> Result<Vec<UserInRun>> {
        let rows = query_as!(
            UserRow,
            r#"
            SELECT item.seq AS "seq!", item.batch_id AS "batch_id!", item.key AS "key!", item.place AS "place!",
                   item.line AS "line!", item.record::text AS record, item.state AS "state!", item.code, item.field,
                   item.other, item.auth0_user_id, found.fields::text AS "differing?"
            FROM ferry.items AS item
            LEFT JOIN ferry.discrepancies AS found ON found.run_id = item.run_id AND found.seq = item.seq
            WHERE item.run_id = $1 AND item.key = $2
            ORDER BY item.seq
            "#,
            run.0,
            key.0,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed(LOOKING))?;
        let mut users = Vec::new();
        for row in rows {
            let jobs = self.jobs_of_batch(row.batch_id).await.map_err(self.sql_failed(LOOKING))?;
            users.push(row.user(jobs)?);
        }
        Ok(users)
    }
}

impl PostgresLedger {
    async fn jobs_of_batch(&self, batch: Uuid) -> std::result::Result<Vec<UserJobRow>, sqlx::Error> {
        query_as!(
            UserJobRow,
            r#"
            SELECT id, kind, state, attempts, rescues, code FROM ferry.jobs
            WHERE batch_id = $1 ORDER BY created_at, id
            "#,
            batch,
        )
        .fetch_all(&self.pool)
        .await
    }

    /// Writes a part of a group in one transaction, again where others' locks or rows that the
    /// application's table refuses stopped it.
    async fn write_part(
        &self,
        lease: &Lease<Job>,
        target: Option<&WriteBackTarget>,
        part: &[ItemResult],
        requests: i64,
    ) -> Tried<WriteBack> {
        let mut tries = Tries::default();
        let (mut how, mut told) = (self.pace.how(), Told::Never);
        loop {
            let fault = match self.write_results(lease, target, part, requests, how, told).await {
                Err(fault) => fault,
                written => return written,
            };
            match (how.after(&fault, part.len()), &fault, told) {
                (Some(next), ..) => (how, told) = (next, Told::Perhaps),
                (None, Fault::ToldBefore, Told::Never) => told = Told::Perhaps,
                _ if tries.again(&fault).await => {}
                _ => return Err(fault),
            }
        }
    }

    /// One statement looks at the lease and the items: a lost lease gives no row at
    /// all, a held one without such items gives one empty row.
    async fn items_of_batch(&self, lease: &Lease<Job>, kind: JobKind, states: &[&str]) -> Result<Vec<Item>> {
        refusals::only(lease, kind)?;
        let found = query!(
            r#"
            SELECT item.seq AS "seq?", item.record::text AS record, item.auth0_user_id AS "auth0_user_id?",
                   item.other AS "other?", item.state AS "state?"
            FROM ferry.jobs AS job
            LEFT JOIN (
                SELECT item.seq, item.record, coalesce(outcome.state, item.state) AS state,
                       coalesce(outcome.auth0_user_id, item.auth0_user_id) AS auth0_user_id,
                       CASE WHEN outcome.state IS NULL THEN item.other ELSE outcome.other END AS other
                FROM ferry.planned_items AS item
                LEFT JOIN LATERAL (
                    SELECT state, auth0_user_id, other FROM ferry.outcomes
                    WHERE batch_id = $4 AND seq = item.seq LIMIT 1
                ) AS outcome ON true
                WHERE item.batch_id = $4
            ) AS item ON item.state = ANY($3) AND (item.state = 'pending' OR item.auth0_user_id IS NOT NULL)
            WHERE job.id = $1 AND job.token = $2 AND job.state = 'leased'
            ORDER BY item.seq
            "#,
            lease.of.id.0,
            lease.token,
            states as &[&str],
            refusals::batch_of(&lease.of)?.0,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not read the items of a batch"))?;
        if found.is_empty() {
            return Err(LedgerError::LeaseLost);
        }
        found
            .into_iter()
            .filter_map(|row| {
                let (seq, state) = (row.seq?, row.state?);
                Some(ItemRow {
                    seq,
                    record: row.record,
                    auth0_user_id: row.auth0_user_id,
                    other: row.other,
                    state,
                })
            })
            .map(|row| row.item(lease.of.run))
            .collect()
    }
}
