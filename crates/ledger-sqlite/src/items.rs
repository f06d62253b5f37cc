//! Items, and the results of several of them in one transaction: fence, application rows,
//! items, tally (with the end of the batch).

mod apart;
mod results;

use async_trait::async_trait;
use ferry_domain::{
    Item, ItemResult, ItemSeq, Job, JobKind, Lease, RunId, SourceKey,
    ports::{ItemFilter, ItemView, Items, LedgerError, UserInRun, WriteBack},
};
use ferry_ledger::{
    Result, refusals,
    results::tally,
    rows::{self, ItemRow, ItemViewRow, UserJobRow, UserRow},
    steps::{End, EndSteps},
};
use uuid::Uuid;

use crate::{
    SqliteLedger,
    application::{Parts, Trouble, write_rows},
    connection::Tx,
    errors::Doing,
    leases::fence::fence,
    values::json,
};

const READING: &str = "could not read a batch";
const LISTING: &str = "could not read items";
const LOOKING: &str = "could not look for a user";
const WRITING: &str = "could not write results back";

#[async_trait]
impl Items for SqliteLedger {
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
        if let Some(target) = self.target_apart(lease).await?
            && let Some(application) = self.apart().of(&target)?
        {
            return self.write_apart(lease, results, requests, application, &target).await;
        }
        let mut parts = Parts::default();
        loop {
            match self.write_results(lease, results, requests, &mut parts).await {
                Err(Trouble::Ended) => {} // again, with that row in a smaller part
                Err(Trouble::Ledger(error)) => return Err(error),
                Ok(written) => return Ok(written),
            }
        }
    }

    async fn items(
        &self,
        run: RunId,
        filter: &ItemFilter,
        after: ItemSeq,
        most: i64,
    ) -> Result<Vec<ItemView>> {
        let states = json(&filter.states);
        let codes = json(&filter.codes);
        let rows = sqlx::query_as!(
            ItemViewRow,
            r#"
            SELECT seq AS "seq!: i64", key AS "key!: String", place AS "place!: String", line AS "line!: i64",
                   state AS "state!: String", code AS "code?: String", field AS "field?: String",
                   other AS "other?: String", auth0_user_id AS "auth0_user_id?: String"
            FROM ferry_items
            WHERE run_id = ?1 AND seq > ?2
              AND (?3 = '[]' OR state IN (SELECT value FROM json_each(?3)))
              AND (?4 = '[]' OR code IN (SELECT value FROM json_each(?4)))
            ORDER BY seq
            LIMIT ?5
            "#,
            run.0,
            after.0,
            states,
            codes,
            most
        )
        .fetch_all(self.reader())
        .await
        .doing(LISTING)?;
        rows.into_iter().map(ItemViewRow::view).collect()
    }

    async fn to_send(&self, run: RunId, after: ItemSeq, most: i64) -> Result<Vec<Item>> {
        let rows = sqlx::query_as!(
            ItemRow,
            r#"
            SELECT seq AS "seq!: i64", record AS "record?: String", auth0_user_id AS "auth0_user_id?: String",
                   other AS "other?: String", state AS "state!: String"
            FROM ferry_items
            WHERE run_id = ?1 AND seq > ?2 AND state = 'pending'
            ORDER BY seq
            LIMIT ?3
            "#,
            run.0,
            after.0,
            most
        )
        .fetch_all(self.reader())
        .await
        .doing(READING)?;
        rows.into_iter().map(|row| row.item(run)).collect()
    }

    async fn users(&self, run: RunId, key: &SourceKey) -> Result<Vec<UserInRun>> {
        let rows = sqlx::query_as!(
            UserRow,
            r#"
            SELECT item.seq AS "seq!: i64", item.batch_id AS "batch_id!: Uuid", item.key AS "key!: String",
                   item.place AS "place!: String", item.line AS "line!: i64", item.record AS "record?: String",
                   item.state AS "state!: String", item.code AS "code?: String", item.field AS "field?: String",
                   item.other AS "other?: String", item.auth0_user_id AS "auth0_user_id?: String",
                   found.fields AS "differing?: String"
            FROM ferry_items AS item
            LEFT JOIN ferry_discrepancies AS found ON found.run_id = item.run_id AND found.seq = item.seq
            WHERE item.run_id = ?1 AND item.key = ?2
            ORDER BY item.seq
            "#,
            run.0,
            key.0
        )
        .fetch_all(self.reader())
        .await
        .doing(LOOKING)?;
        let mut users = Vec::new();
        for row in rows {
            let jobs = self.jobs_of_batch(row.batch_id).await?;
            users.push(row.user(jobs)?);
        }
        Ok(users)
    }
}

impl SqliteLedger {
    async fn jobs_of_batch(&self, batch: Uuid) -> Result<Vec<UserJobRow>> {
        sqlx::query_as!(
            UserJobRow,
            r#"
            SELECT id AS "id!: Uuid", kind AS "kind!: String", state AS "state!: String",
                   attempts AS "attempts!: i32", rescues AS "rescues!: i32", code AS "code?: String"
            FROM ferry_jobs WHERE batch_id = ?1 ORDER BY created_at, id
            "#,
            batch
        )
        .fetch_all(self.reader())
        .await
        .doing(LOOKING)
    }

    async fn write_results(
        &self,
        lease: &Lease<Job>,
        results: &[ItemResult],
        requests: i64,
        parts: &mut Parts,
    ) -> std::result::Result<WriteBack, Trouble> {
        let mut tx = self.write(WRITING).await?;
        let held = fence(&mut tx, lease).await?;
        let fresh = results::still_pending(&mut tx, lease, results).await?;
        let refused_rows = match &held.target {
            Some(target) => {
                self.apart().of(target)?; // a table elsewhere, of which this process knows nothing
                write_rows(&mut tx, target, &fresh, parts).await?
            }
            None => Vec::new(),
        };
        if !results::write_items(&mut tx, lease, &fresh, &refused_rows).await? {
            return Err(LedgerError::Busy.into()); // can't be: nobody else writes in this transaction
        }
        let ended = tally(&fresh, &refused_rows);
        let pending = Tx(&mut tx).count_in(&lease.of, &ended, requests, End::Done).await?;
        tx.commit().await.doing(WRITING)?;
        let (run, locked) = (held.run.seen_by_holder(held.all_stopped), Vec::new()); // SQLite locks no rows
        Ok(WriteBack { refused_rows, locked, pending, run })
    }

    async fn items_of_batch(&self, lease: &Lease<Job>, kind: JobKind, states: &[&str]) -> Result<Vec<Item>> {
        refusals::only(lease, kind)?;
        let mut connection = self.reader().acquire().await.doing(READING)?;
        fence(&mut connection, lease).await?;
        let (batch, states) = (refusals::batch_of(&lease.of)?, json(states));
        let rows = sqlx::query_as!(
            ItemRow,
            r#"
            SELECT seq AS "seq!: i64", record AS "record?: String", auth0_user_id AS "auth0_user_id?: String",
                   other AS "other?: String", state AS "state!: String"
            FROM ferry_items
            WHERE batch_id = ?1 AND state IN (SELECT value FROM json_each(?2))
              AND (state = 'pending' OR auth0_user_id IS NOT NULL)
            ORDER BY seq
            "#,
            batch.0,
            states
        )
        .fetch_all(&mut *connection)
        .await
        .doing(READING)?;
        rows.into_iter().map(|row| row.item(lease.of.run)).collect()
    }
}
