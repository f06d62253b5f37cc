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
use sqlx::{query, query_as, query_scalar};
use time::OffsetDateTime;

use crate::{PostgresLedger, transaction::Tx};

type DeadRow = rows::DeadRow<OffsetDateTime>;
type TryRow = rows::TryRow<OffsetDateTime>;

/// Bytes kept of an unreadable payload.
const KEPT: usize = 4096;

#[async_trait]
impl DeadLetters for PostgresLedger {
    async fn bury(&self, letter: &DeadLetter) -> Result<()> {
        let payload = &letter.payload[..letter.payload.len().min(KEPT)];
        query!(
            "INSERT INTO ferry.dead_letters (queue, payload, reason, code, given_up_by) VALUES ($1, $2, $3, $4, $5)",
            letter.queue,
            payload,
            letter.reason,
            letter.code.as_str(),
            letter.by,
        )
        .execute(&self.pool)
        .await
        .map_err(self.sql_failed("could not keep an unreadable payload"))?;
        Ok(())
    }

    async fn dead(&self, filter: &DeadFilter, most: i64) -> Result<Vec<DeadView>> {
        let failed = self.failed("could not list dead letters");
        let mut connection = self.pool.acquire().await.map_err(self.sql_failed("could not be reached"))?;
        let ids = filter::ids(&mut connection, filter, most).await.map_err(&failed)?;
        let rows = query_as!(
            DeadRow,
            r#"
            SELECT id, received_at, kind, state, queue, job_id, job_kind, run_id, batch_id, code, reason, attempts,
                   rescues, users, given_up_by, resolved_by, resolved_at
            FROM ferry.dead_letters WHERE id = ANY($1) ORDER BY id DESC
            "#,
            &ids,
        )
        .fetch_all(&mut *connection)
        .await
        .map_err(self.sql_failed("could not list dead letters"))?;
        rows.into_iter().map(DeadRow::view).collect()
    }

    async fn dead_payload(&self, id: i64) -> Result<Option<Vec<u8>>> {
        query_scalar!("SELECT payload FROM ferry.dead_letters WHERE id = $1 AND kind = 'payload'", id)
            .fetch_optional(&self.pool)
            .await
            .map_err(self.sql_failed("could not read a dead letter"))
    }

    async fn dead_users(&self, id: i64, most: i64) -> Result<Vec<ItemView>> {
        let rows = query_as!(
            ItemViewRow,
            r#"
            SELECT item.seq AS "seq!", item.key AS "key!", item.place AS "place!", item.line AS "line!",
                   item.state AS "state!", item.code, item.field, item.other, item.auth0_user_id
            FROM ferry.dead_letters AS letter
            JOIN ferry.items AS item ON item.batch_id = letter.batch_id AND item.run_id = letter.run_id
            LEFT JOIN ferry.discrepancies AS found
                ON found.run_id = item.run_id AND found.seq = item.seq AND found.batch_id = letter.batch_id
            WHERE letter.id = $1
              AND CASE letter.job_kind
                  WHEN 'provision' THEN item.state = 'failed' AND item.code = letter.code
                  WHEN 'verify' THEN found.fields = jsonb_build_array($2::text)
                  ELSE false END
            ORDER BY item.seq
            LIMIT $3
            "#,
            id,
            ending::NOT_READ_BACK,
            most,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not list the users of a dead letter"))?;
        rows.into_iter().map(ItemViewRow::view).collect()
    }

    async fn dead_tries(&self, id: i64) -> Result<Vec<DeadTry>> {
        let rows = query_as!(
            TryRow,
            r#"
            SELECT tried.number, tried.code, tried.took_ms, tried.at
            FROM ferry.dead_letters AS letter JOIN ferry.attempts AS tried ON tried.job_id = letter.job_id
            WHERE letter.id = $1
            ORDER BY tried.number
            "#,
            id,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not list the tries of a dead letter"))?;
        rows.into_iter().map(TryRow::view).collect()
    }

    async fn count_dead(&self, filter: &DeadFilter) -> Result<DeadCount> {
        let failed = self.failed("could not count dead letters");
        let mut connection = self.pool.acquire().await.map_err(self.sql_failed("could not be reached"))?;
        filter::count(&mut connection, filter).await.map_err(failed)
    }

    async fn redrive(
        &self,
        filter: &DeadFilter,
        batch_ids: &[BatchId],
        command: &Command<'_>,
    ) -> Result<Redriven> {
        self.trying("could not redrive dead letters", || async {
            let mut tx = self.begin_long().await?;
            let letters = filter::lock_kept(&mut tx, filter).await?;
            let done = scripts::redrive(&mut Tx(&mut tx), &letters, batch_ids, command).await?;
            tx.commit().await?;
            Ok(done)
        })
        .await
    }

    async fn discard(&self, filter: &DeadFilter, command: &Command<'_>) -> Result<i64> {
        self.trying("could not discard dead letters", || async {
            let mut tx = self.begin().await?;
            let letters = filter::lock_kept(&mut tx, filter).await?;
            let discarded = scripts::discard(&mut Tx(&mut tx), letters, command).await?;
            tx.commit().await?;
            Ok(discarded)
        })
        .await
    }

    async fn prune_dead(&self, resolved_before: Duration) -> Result<i64> {
        let removed = query!(
            r#"
            DELETE FROM ferry.dead_letters
            WHERE state <> 'kept' AND resolved_at <= clock_timestamp() - make_interval(secs => $1)
            "#,
            resolved_before.as_secs_f64(),
        )
        .execute(&self.pool)
        .await
        .map_err(self.sql_failed("could not remove old dead letters"))?;
        Ok(removed.rows_affected() as i64)
    }
}
