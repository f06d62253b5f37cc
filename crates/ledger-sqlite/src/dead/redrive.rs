//! Dead letters that a person sends again.

use async_trait::async_trait;
use ferry_domain::{BatchId, JobKind, RunId, ports::DeadState};
use ferry_ledger::{Result, rows::Letter, steps::RedriveSteps};
use uuid::Uuid;

use crate::{
    connection::Tx,
    errors::Doing,
    moves,
    values::{count, hex, json},
};

const REDRIVING: &str = "could not redrive dead letters";

#[async_trait]
impl RedriveSteps for Tx<'_> {
    async fn is_there(&mut self, run: RunId) -> Result<bool> {
        sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM ferry_runs WHERE id = ?1 AND touched_at > 0) AS "there!: bool""#,
            run.0
        )
        .fetch_one(&mut *self.0)
        .await
        .doing(REDRIVING)
    }

    async fn provision_again(
        &mut self,
        run: RunId,
        letters: &[&Letter],
        ids: &[BatchId],
        round: i32,
    ) -> Result<i64> {
        // Only a job of a batch is of this kind.
        let pairs = letters.iter().zip(ids);
        let moves: Vec<_> = pairs
            .filter_map(|(letter, id)| Some((hex(letter.batch?.0), letter.code.as_str(), hex(id.0))))
            .collect();
        let moved_to = json(&moves);
        sqlx::query!(
            r#"
            UPDATE ferry_batches SET source = source - taken, failed = failed - taken
            FROM (
                SELECT batch_id AS old, count(*) AS taken
                FROM jsonb_each(?2) CROSS JOIN ferry_items ON batch_id = unhex(value ->> 0) AND code = value ->> 1
                WHERE run_id = ?1 AND state = 'failed' AND record IS NOT NULL
                GROUP BY batch_id
            )
            WHERE id = old
            "#,
            run.0,
            moved_to
        )
        .execute(&mut *self.0)
        .await
        .doing(REDRIVING)?;
        let moved = sqlx::query!(
            r#"
            UPDATE ferry_items
            SET state = 'pending', code = NULL, field = NULL, other = NULL, batch_id = new
            FROM (
                SELECT seq AS taken, unhex(value ->> 2) AS new
                FROM jsonb_each(?2) CROSS JOIN ferry_items ON batch_id = unhex(value ->> 0) AND code = value ->> 1
                WHERE run_id = ?1 AND state = 'failed' AND record IS NOT NULL
            )
            WHERE run_id = ?1 AND seq = taken
            "#,
            run.0,
            moved_to
        )
        .execute(&mut *self.0)
        .await
        .doing(REDRIVING)?;
        let users = count(moved.rows_affected());
        if users > 0 {
            moves::insert_round(&mut *self.0, run, ids, round).await?;
        }
        Ok(users)
    }

    async fn verify_again(&mut self, run: RunId, letters: &[&Letter]) -> Result<i64> {
        let jobs: Vec<_> = letters.iter().map(|letter| hex(letter.job.0)).collect();
        let jobs = json(&jobs);
        let batches = sqlx::query_scalar!(
            r#"
            DELETE FROM ferry_jobs
            WHERE id IN (SELECT unhex(value) FROM json_each(?1)) AND kind = 'verify' AND state = 'dead'
            RETURNING batch_id AS "batch!: Uuid"
            "#,
            jobs
        )
        .fetch_all(&mut *self.0)
        .await
        .doing(REDRIVING)?;
        let batches = json(&batches.into_iter().map(hex).collect::<Vec<_>>());
        sqlx::query!(
            r#"
            DELETE FROM ferry_discrepancies
            WHERE run_id = ?1 AND batch_id IN (SELECT unhex(value) FROM json_each(?2))
            "#,
            run.0,
            batches
        )
        .execute(&mut *self.0)
        .await
        .doing(REDRIVING)?;
        sqlx::query!(
            r#"
            UPDATE ferry_batches SET state = 'provisioned', verified = 0, discrepancies = 0, verified_at = NULL
            WHERE id IN (SELECT unhex(value) FROM json_each(?1))
            "#,
            batches
        )
        .execute(&mut *self.0)
        .await
        .doing(REDRIVING)?;
        let priority = JobKind::Verify.priority();
        let made = sqlx::query!(
            r#"
            INSERT INTO ferry_jobs (id, run_id, batch_id, kind, state, priority, not_before, created_at)
            SELECT randomblob(16), ?1, unhex(value), 'verify', 'ready', ?3, at, at
            FROM json_each(?2) CROSS JOIN ferry_now
            "#,
            run.0,
            batches,
            priority
        )
        .execute(&mut *self.0)
        .await
        .doing(REDRIVING)?;
        Ok(count(made.rows_affected()))
    }

    async fn resolve(&mut self, letters: &[i64], state: DeadState, by: &str) -> Result<()> {
        let (letters, state) = (json(letters), state.as_str());
        sqlx::query!(
            r#"
            UPDATE ferry_dead_letters SET state = ?2, resolved_by = ?3, resolved_at = (SELECT at FROM ferry_now)
            WHERE id IN (SELECT value FROM json_each(?1)) AND state = 'kept'
            "#,
            letters,
            state,
            by
        )
        .execute(&mut *self.0)
        .await
        .doing("could not resolve dead letters")?;
        Ok(())
    }
}
