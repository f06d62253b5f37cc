//! Dead letters: kept, looked at, sent again, discarded and removed.

mod filter;
mod redrive;

use std::time::Duration;

use async_trait::async_trait;
use ferry_domain::{
    BatchId, ending,
    ports::{Command, DeadCount, DeadFilter, DeadLetter, DeadLetters, DeadTry, DeadView, ItemView, Redriven},
};
use ferry_ledger::{
    Result,
    rows::{self, ItemViewRow},
    scripts,
};
use uuid::Uuid;

use crate::{
    SqliteLedger,
    connection::Tx,
    errors::Doing,
    values::{count, json, micros},
};

type DeadRow = rows::DeadRow<i64>;
type TryRow = rows::TryRow<i64>;

/// Bytes kept of an unreadable payload.
const KEPT: usize = 4096;

const KEEPING: &str = "could not keep a dead letter";
const READING: &str = "could not read dead letters";
const REDRIVING: &str = "could not redrive dead letters";
const DISCARDING: &str = "could not discard dead letters";

#[async_trait]
impl DeadLetters for SqliteLedger {
    async fn bury(&self, letter: &DeadLetter) -> Result<()> {
        let payload = &letter.payload[..letter.payload.len().min(KEPT)];
        let code = letter.code.as_str();
        sqlx::query!(
            r#"
            INSERT INTO ferry_dead_letters (queue, payload, reason, received_at, code, given_up_by)
            SELECT ?1, ?2, ?3, at, ?4, ?5 FROM ferry_now
            "#,
            letter.queue,
            payload,
            letter.reason,
            code,
            letter.by
        )
        .execute(self.writer())
        .await
        .doing(KEEPING)?;
        Ok(())
    }

    async fn dead(&self, filter: &DeadFilter, most: i64) -> Result<Vec<DeadView>> {
        let mut connection = self.reader().acquire().await.doing(READING)?;
        let ids = json(&filter::ids(&mut connection, filter, most).await?);
        let rows = sqlx::query_as!(
            DeadRow,
            r#"
            SELECT id AS "id!: i64", received_at AS "received_at!: i64", kind AS "kind!: String",
                   state AS "state!: String", queue AS "queue!: String", job_id AS "job_id?: Uuid",
                   job_kind AS "job_kind?: String", run_id AS "run_id?: Uuid", batch_id AS "batch_id?: Uuid",
                   code AS "code!: String", reason AS "reason!: String", attempts AS "attempts!: i32",
                   rescues AS "rescues!: i32", users AS "users!: i64", given_up_by AS "given_up_by!: String",
                   resolved_by AS "resolved_by?: String", resolved_at AS "resolved_at?: i64"
            FROM ferry_dead_letters WHERE id IN (SELECT value FROM json_each(?1)) ORDER BY id DESC
            "#,
            ids
        )
        .fetch_all(&mut *connection)
        .await
        .doing(READING)?;
        rows.into_iter().map(DeadRow::view).collect()
    }

    async fn dead_payload(&self, id: i64) -> Result<Option<Vec<u8>>> {
        sqlx::query_scalar!(
            r#"SELECT payload AS "payload!: Vec<u8>" FROM ferry_dead_letters WHERE id = ?1 AND kind = 'payload'"#,
            id
        )
        .fetch_optional(self.reader())
        .await
        .doing(READING)
    }

    async fn dead_users(&self, id: i64, most: i64) -> Result<Vec<ItemView>> {
        let unread = json(&[ending::NOT_READ_BACK]);
        let rows = sqlx::query_as!(
            ItemViewRow,
            r#"
            SELECT item.seq AS "seq!: i64", item.key AS "key!: String", item.place AS "place!: String",
                   item.line AS "line!: i64", item.state AS "state!: String", item.code AS "code?: String",
                   item.field AS "field?: String", item.other AS "other?: String",
                   item.auth0_user_id AS "auth0_user_id?: String"
            FROM ferry_dead_letters AS letter
            CROSS JOIN ferry_items AS item ON item.batch_id = letter.batch_id AND item.run_id = letter.run_id
            LEFT JOIN ferry_discrepancies AS found
                ON found.run_id = item.run_id AND found.seq = item.seq AND found.batch_id = letter.batch_id
            WHERE letter.id = ?1
              AND CASE letter.job_kind
                  WHEN 'provision' THEN item.state = 'failed' AND item.code = letter.code
                  WHEN 'verify' THEN found.fields = ?2
                  ELSE 0 END
            ORDER BY item.seq
            LIMIT ?3
            "#,
            id,
            unread,
            most
        )
        .fetch_all(self.reader())
        .await
        .doing(READING)?;
        rows.into_iter().map(ItemViewRow::view).collect()
    }

    async fn dead_tries(&self, id: i64) -> Result<Vec<DeadTry>> {
        let rows = sqlx::query_as!(
            TryRow,
            r#"
            SELECT tried.number AS "number!: i32", tried.code AS "code!: String", tried.took_ms AS "took_ms!: i64",
                   tried.at AS "at!: i64"
            FROM ferry_dead_letters AS letter JOIN ferry_attempts AS tried ON tried.job_id = letter.job_id
            WHERE letter.id = ?1
            ORDER BY tried.number
            "#,
            id
        )
        .fetch_all(self.reader())
        .await
        .doing(READING)?;
        rows.into_iter().map(TryRow::view).collect()
    }

    async fn count_dead(&self, filter: &DeadFilter) -> Result<DeadCount> {
        let mut connection = self.reader().acquire().await.doing(READING)?;
        filter::count(&mut connection, filter).await
    }

    async fn redrive(
        &self,
        filter: &DeadFilter,
        batch_ids: &[BatchId],
        command: &Command<'_>,
    ) -> Result<Redriven> {
        let mut tx = self.write(REDRIVING).await?;
        let letters = filter::kept(&mut tx, filter).await?;
        let done = scripts::redrive(&mut Tx(&mut tx), &letters, batch_ids, command).await?;
        tx.commit().await.doing(REDRIVING)?;
        Ok(done)
    }

    async fn discard(&self, filter: &DeadFilter, command: &Command<'_>) -> Result<i64> {
        let mut tx = self.write(DISCARDING).await?;
        let letters = filter::kept(&mut tx, filter).await?;
        let discarded = scripts::discard(&mut Tx(&mut tx), letters, command).await?;
        tx.commit().await.doing(DISCARDING)?;
        Ok(discarded)
    }

    async fn prune_dead(&self, resolved_before: Duration) -> Result<i64> {
        let before = micros(resolved_before);
        let removed = sqlx::query!(
            r#"
            DELETE FROM ferry_dead_letters
            WHERE state <> 'kept' AND resolved_at <= (SELECT at FROM ferry_now) - ?1
            "#,
            before
        )
        .execute(self.writer())
        .await
        .doing("could not remove old dead letters")?;
        Ok(count(removed.rows_affected()))
    }
}
