//! Dead letters sent again by a person.
//!
//! Users of a provision job go into a batch of their own in the next round, as a retry
//! would put them; a verify job starts afresh, and its batch is to be read back again. A
//! report job needs no redrive, since the sweep makes another; its letter is only resolved.

use std::collections::BTreeMap;

use ferry_domain::{
    BatchId, JobKind, RunId, RunState,
    ports::{Command, DeadFilter, DeadState, DeadView, LedgerError, Redriven},
    run::RunMove,
};
use sqlx::SqliteConnection;

use crate::{
    SqliteLedger,
    controlling::count_anew,
    dead,
    errors::{Doing, Result},
    fence::state_of,
    planning::audit,
    retrying::{insert_round, refuse_second},
    rows::{hex, json},
    settling::insert_provision_jobs,
};

const REDRIVING: &str = "could not redrive dead letters";

impl SqliteLedger {
    /// Sends kept letters again, all in one transaction.
    pub(crate) async fn send_again(
        &self,
        filter: &DeadFilter,
        batch_ids: &[BatchId],
        command: &Command<'_>,
    ) -> Result<Redriven> {
        let mut tx = self.write(REDRIVING).await?;
        let mut done = Redriven::default();
        let mut of_runs: BTreeMap<RunId, Vec<DeadView>> = BTreeMap::new();
        for letter in dead::kept(&mut tx, filter).await? {
            match letter.run {
                Some(run) => of_runs.entry(run).or_default().push(letter),
                None => done.left += 1,
            }
        }
        let mut ids = batch_ids.iter().copied();
        for (run, letters) in of_runs {
            let count = i64::try_from(letters.len()).unwrap_or(i64::MAX);
            if state_of(&mut tx, run).await?.after(RunMove::Retry) != Some(RunState::Running) {
                done.left += count;
                continue;
            }
            refuse_second(&mut tx, run).await?;
            let users = of_run(&mut tx, run, &letters, &mut ids).await?;
            let numbers: Vec<i64> = letters.iter().map(|letter| letter.id).collect();
            dead::resolve(&mut tx, &numbers, DeadState::Redriven, command.by).await?;
            let detail = serde_json::json!({ "letters": numbers, "users": users }).to_string();
            audit(&mut tx, command.by, "redrive", run, &detail, command.reason).await?;
            done.letters += count;
            done.users += users;
        }
        tx.commit().await.doing(REDRIVING)?;
        Ok(done)
    }
}

/// Sends the letters of one run again; says how many users are pending again.
async fn of_run(
    connection: &mut SqliteConnection,
    run: RunId,
    letters: &[DeadView],
    ids: &mut impl Iterator<Item = BatchId>,
) -> Result<i64> {
    let users = provision_again(connection, run, letters, ids).await?;
    let verifications = verify_again(connection, run, letters).await?;
    if users == 0 && verifications > 0 {
        // No new round, but the run has work again.
        sqlx::query!("UPDATE ferry_runs SET state = 'running', why = NULL WHERE id = ?1", run.0)
            .execute(&mut *connection)
            .await
            .doing(REDRIVING)?;
        count_anew(connection, run).await?;
    }
    Ok(users)
}

/// Users that failed with their job, and that nobody retried meanwhile, go into new
/// batches: one for each letter.
async fn provision_again(
    connection: &mut SqliteConnection,
    run: RunId,
    letters: &[DeadView],
    ids: &mut impl Iterator<Item = BatchId>,
) -> Result<i64> {
    let (mut moves, mut new) = (Vec::new(), Vec::new());
    for letter in letters.iter().filter(|letter| letter.job_kind == Some(JobKind::Provision)) {
        let (Some(old), Some(id)) = (letter.batch, ids.next()) else {
            return Err(LedgerError::Refused(
                "there are more dead letters now than were counted; try again".to_owned(),
            ));
        };
        moves.push((hex(old.0), letter.code.as_str(), hex(id.0)));
        new.push(id);
    }
    let moves = json(&moves);
    sqlx::query!(
        r#"
        UPDATE ferry_batches SET source = source - taken, failed = failed - taken
        FROM (
            SELECT batch_id AS old, count(*) AS taken
            FROM json_each(?2) CROSS JOIN ferry_items ON batch_id = unhex(value ->> 0) AND code = value ->> 1
            WHERE run_id = ?1 AND state = 'failed' AND record IS NOT NULL
            GROUP BY batch_id
        )
        WHERE id = old
        "#,
        run.0,
        moves
    )
    .execute(&mut *connection)
    .await
    .doing(REDRIVING)?;
    let moved = sqlx::query!(
        r#"
        UPDATE ferry_items
        SET state = 'pending', code = NULL, field = NULL, auth0_user_id = NULL, batch_id = new
        FROM (
            SELECT seq AS taken, unhex(value ->> 2) AS new
            FROM json_each(?2) CROSS JOIN ferry_items ON batch_id = unhex(value ->> 0) AND code = value ->> 1
            WHERE run_id = ?1 AND state = 'failed' AND record IS NOT NULL
        )
        WHERE run_id = ?1 AND seq = taken
        "#,
        run.0,
        moves
    )
    .execute(&mut *connection)
    .await
    .doing(REDRIVING)?;
    if moved.rows_affected() > 0 {
        let round = insert_round(connection, run, &new).await?;
        insert_provision_jobs(connection, run, round).await?;
    }
    Ok(i64::try_from(moved.rows_affected()).unwrap_or(i64::MAX))
}

/// The same job again, as if it had never been tried: a batch has one of each kind.
async fn verify_again(connection: &mut SqliteConnection, run: RunId, letters: &[DeadView]) -> Result<u64> {
    let jobs: Vec<_> = letters
        .iter()
        .filter(|letter| letter.job_kind == Some(JobKind::Verify))
        .filter_map(|letter| Some((hex(letter.job?.0), hex(letter.batch?.0))))
        .collect();
    if jobs.is_empty() {
        return Ok(0);
    }
    let jobs = json(&jobs);
    sqlx::query!(
        "DELETE FROM ferry_attempts WHERE job_id IN (SELECT unhex(value ->> 0) FROM json_each(?1))",
        jobs
    )
    .execute(&mut *connection)
    .await
    .doing(REDRIVING)?;
    sqlx::query!(
        r#"
        DELETE FROM ferry_discrepancies
        WHERE run_id = ?1 AND batch_id IN (SELECT unhex(value ->> 1) FROM json_each(?2))
        "#,
        run.0,
        jobs
    )
    .execute(&mut *connection)
    .await
    .doing(REDRIVING)?;
    sqlx::query!(
        r#"
        UPDATE ferry_batches SET state = 'provisioned', verified = 0, discrepancies = 0, verified_at = NULL
        WHERE id IN (SELECT unhex(value ->> 1) FROM json_each(?1))
        "#,
        jobs
    )
    .execute(&mut *connection)
    .await
    .doing(REDRIVING)?;
    let again = sqlx::query!(
        r#"
        UPDATE ferry_jobs
        SET state = 'ready', attempts = 0, rescues = 0, code = NULL, ended_at = NULL,
            not_before = (SELECT at FROM ferry_now)
        WHERE id IN (SELECT unhex(value ->> 0) FROM json_each(?1)) AND state = 'dead'
        "#,
        jobs
    )
    .execute(connection)
    .await
    .doing(REDRIVING)?;
    Ok(again.rows_affected())
}
