//! Dead letters that a person sends again.

use async_trait::async_trait;
use ferry_domain::{BatchId, JobKind, RunId, ports::DeadState};
use ferry_ledger::{rows::Letter, steps::RedriveSteps};
use sqlx::{query, query_scalar};
use uuid::Uuid;

use crate::{errors::Tried, transaction::Tx};

#[async_trait]
impl RedriveSteps for Tx<'_> {
    async fn is_there(&mut self, run: RunId) -> Tried<bool> {
        let there =
            query_scalar!(r#"SELECT EXISTS (SELECT FROM ferry.runs WHERE id = $1) AS "there!""#, run.0)
                .fetch_one(&mut *self.0)
                .await?;
        Ok(there)
    }

    async fn provision_again(
        &mut self,
        run: RunId,
        letters: &[&Letter],
        ids: &[BatchId],
        round: i32,
    ) -> Tried<i64> {
        // Only a job of a batch is of this kind.
        let old: Vec<Uuid> = letters.iter().filter_map(|letter| Some(letter.batch?.0)).collect();
        let codes: Vec<&str> = letters.iter().map(|letter| letter.code.as_str()).collect();
        let new: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let users = query_scalar!(
            r#"
            WITH letter AS (
                SELECT old, code, new, n
                FROM unnest($2::uuid[], $3::text[], $4::uuid[]) WITH ORDINALITY AS letter (old, code, new, n)
            ), chosen AS (
                SELECT item.seq, item.auth0_user_id, item.made_by_ferry, letter.old, letter.new, letter.n
                FROM letter JOIN ferry.items AS item ON item.batch_id = letter.old AND item.code = letter.code
                WHERE item.run_id = $1 AND item.state = 'failed' AND item.record IS NOT NULL
            ), moved AS (
                UPDATE ferry.planned_items AS item
                SET state = 'pending', code = NULL, field = NULL, other = NULL, batch_id = chosen.new,
                    auth0_user_id = chosen.auth0_user_id, made_by_ferry = chosen.made_by_ferry
                FROM chosen
                WHERE item.run_id = $1 AND item.seq = chosen.seq
            ), forgotten AS (
                DELETE FROM ferry.outcomes AS outcome USING chosen
                WHERE outcome.batch_id = chosen.old AND outcome.seq = chosen.seq
            ), shrunk AS (
                UPDATE ferry.batches AS batch
                SET source = batch.source - gone.items, failed = batch.failed - gone.items
                FROM (SELECT old, count(*) AS items FROM chosen GROUP BY old) AS gone
                WHERE batch.id = gone.old
            ), grown AS (
                INSERT INTO ferry.batches (id, run_id, ordinal, round, state, source, pending)
                SELECT new, $1::uuid, (SELECT max(ordinal) FROM ferry.batches WHERE run_id = $1) + n, $5::integer,
                       'open', count(*), count(*)
                FROM chosen GROUP BY new, n
                RETURNING id, ordinal
            ), made AS (
                INSERT INTO ferry.jobs (run_id, batch_id, kind, priority, token, created_at)
                SELECT $1::uuid, id, 'provision', $6::smallint, 1, now() + ordinal * interval '1 microsecond'
                FROM grown
            )
            SELECT count(*) AS "users!" FROM chosen
            "#,
            run.0,
            &old,
            &codes as &[&str],
            &new,
            round,
            JobKind::Provision.priority(),
        )
        .fetch_one(&mut *self.0)
        .await?;
        Ok(users)
    }

    async fn verify_again(&mut self, run: RunId, letters: &[&Letter]) -> Tried<i64> {
        let jobs: Vec<Uuid> = letters.iter().map(|letter| letter.job.0).collect();
        let batches = query_scalar!(
            "DELETE FROM ferry.jobs WHERE id = ANY($1) AND kind = 'verify' AND state = 'dead' RETURNING batch_id",
            &jobs,
        )
        .fetch_all(&mut *self.0)
        .await?;
        let batches: Vec<Uuid> = batches.into_iter().flatten().collect();
        let made = query!(
            r#"
            WITH opened AS (
                UPDATE ferry.batches
                SET state = 'provisioned', verified_at = NULL, verified = 0, discrepancies = 0
                WHERE id = ANY($1)
                RETURNING id
            ), forgotten AS (
                DELETE FROM ferry.discrepancies WHERE run_id = $2 AND batch_id = ANY($1)
            )
            INSERT INTO ferry.jobs (run_id, batch_id, kind, priority)
            SELECT $2::uuid, id, 'verify', $3::smallint FROM opened
            "#,
            &batches,
            run.0,
            JobKind::Verify.priority(),
        )
        .execute(&mut *self.0)
        .await?;
        Ok(made.rows_affected() as i64)
    }

    async fn resolve(&mut self, letters: &[i64], state: DeadState, by: &str) -> Tried<()> {
        query!(
            r#"
            UPDATE ferry.dead_letters SET state = $2, resolved_by = $3, resolved_at = clock_timestamp()
            WHERE id = ANY($1)
            "#,
            letters,
            state.as_str(),
            by,
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }
}
