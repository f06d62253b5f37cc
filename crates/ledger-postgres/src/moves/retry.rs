//! Failed and conflicting items taken up again, by a person.
//!
//! Which items may be is the domain's rule (`ferry_domain::item::retryable`): the
//! codes that are beyond retry go into the SQL as a list.

use async_trait::async_trait;
use ferry_domain::{
    BatchId, Code, ItemState, JobKind, RunId,
    ports::{Retryable, UserFilter},
};
use ferry_ledger::{
    steps::{RetrySteps, Round},
    words,
};
use sqlx::{query, query_scalar};

use crate::{
    errors::Tried,
    transaction::Tx,
    users::{Asked, filtered},
};

fn beyond_retry() -> Vec<&'static str> {
    Code::ALL.iter().filter(|code| !code.retryable()).map(|code| code.as_str()).collect()
}

fn retryable_states() -> Vec<&'static str> {
    let back = ItemState::ALL.into_iter().filter(|state| state.may_become(ItemState::Pending));
    back.map(ItemState::as_str).collect()
}

#[async_trait]
impl RetrySteps for Tx<'_> {
    async fn round(&mut self, run: RunId) -> Tried<Round> {
        let row = query!(
            r#"SELECT round, (spec ->> 'batch_size')::bigint AS "batch_size!" FROM ferry.runs WHERE id = $1"#,
            run.0,
        )
        .fetch_one(&mut *self.0)
        .await?;
        Ok(Round { number: row.round, batch_size: row.batch_size })
    }

    async fn retryable(&mut self, run: RunId, filter: &UserFilter) -> Tried<Retryable> {
        let asked = Asked::of(filter);
        let counted = filtered!(
            query!(
                r#"
                SELECT count(*) FILTER (WHERE taken) AS "taken!", count(*) FILTER (WHERE NOT taken) AS "left!"
                FROM (
                    SELECT record IS NOT NULL
                       AND (code IS NULL OR code <> ALL($11))
                       AND ("#,
                r#") IS TRUE AS taken
                    FROM ferry.items WHERE run_id = $1 AND state = ANY($12)
                ) AS judged
                "#
            ),
            run,
            asked,
            &beyond_retry() as &[&str],
            &retryable_states() as &[&str],
        )
        .fetch_one(&mut *self.0)
        .await?;
        Ok(Retryable { take: counted.taken, left: counted.left })
    }

    /// One statement moves the items and shrinks the batches that they leave. `LIMIT` holds
    /// against items that failed since they were counted.
    async fn move_items(
        &mut self,
        run: RunId,
        filter: &UserFilter,
        items: i64,
        ids: &[BatchId],
        round: Round,
    ) -> Tried<()> {
        let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
        let base = query_scalar!(
            r#"SELECT coalesce(max(ordinal), 0) AS "last!" FROM ferry.batches WHERE run_id = $1"#,
            run.0,
        )
        .fetch_one(&mut *self.0)
        .await?;
        let asked = Asked::of(filter);
        filtered!(
            query!(
                r#"
            WITH chosen AS (
                SELECT seq, batch_id AS old, state AS was, code, other, auth0_user_id, made_by_ferry,
                       (row_number() OVER (ORDER BY seq) - 1) / $15 AS slot
                FROM ferry.items
                WHERE run_id = $1 AND state = ANY($12) AND record IS NOT NULL
                  AND (code IS NULL OR code <> ALL($11))
                  AND "#,
                r#"
                ORDER BY seq
                LIMIT $14
            ), moved AS (
                UPDATE ferry.planned_items AS item
                SET state = 'pending', code = NULL, field = NULL,
                    other = CASE WHEN chosen.code = $20 THEN chosen.other END,
                    auth0_user_id = CASE WHEN chosen.code <> ALL($19) THEN chosen.auth0_user_id END,
                    made_by_ferry = chosen.made_by_ferry,
                    batch_id = ($13::uuid[])[chosen.slot + 1]
                FROM chosen
                WHERE item.run_id = $1 AND item.seq = chosen.seq
            ), undone AS (
                DELETE FROM ferry.outcomes AS outcome USING chosen
                WHERE outcome.batch_id = chosen.old AND outcome.seq = chosen.seq
            ), forgotten AS (
                DELETE FROM ferry.discrepancies USING chosen
                WHERE discrepancies.run_id = $1 AND discrepancies.seq = chosen.seq
            ), shrunk AS (
                UPDATE ferry.batches AS batch
                SET source = batch.source - gone.items, failed = batch.failed - gone.failed,
                    conflict = batch.conflict - (gone.items - gone.failed)
                FROM (
                    SELECT old, count(*) AS items, count(*) FILTER (WHERE was = 'failed') AS failed
                    FROM chosen GROUP BY old
                ) AS gone
                WHERE batch.id = gone.old
            ), grown AS (
                INSERT INTO ferry.batches (id, run_id, ordinal, round, state, source, pending)
                SELECT ($13::uuid[])[slot + 1], $1::uuid, $16::bigint + slot + 1, $17::integer, 'open',
                       count(*), count(*)
                FROM chosen GROUP BY slot
                RETURNING id, ordinal
            )
            INSERT INTO ferry.jobs (run_id, batch_id, kind, priority, token, created_at)
            SELECT $1::uuid, id, 'provision', $18::smallint, 1, now() + ordinal * interval '1 microsecond'
            FROM grown
            "#
            ),
            run,
            asked,
            &beyond_retry() as &[&str],
            &retryable_states() as &[&str],
            &ids,
            items,
            round.batch_size,
            base,
            round.number,
            JobKind::Provision.priority(),
            &words::codes(&words::refused_by_application()) as &[&str],
            Code::AccountOfAnotherUser.as_str(),
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    async fn set_round(&mut self, run: RunId, round: i32) -> Tried<()> {
        query!("UPDATE ferry.runs SET round = $2 WHERE id = $1", run.0, round).execute(&mut *self.0).await?;
        Ok(())
    }
}
