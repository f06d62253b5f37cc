//! Dead letters sent again by a person.
//!
//! Users of a provision job go into a batch of their own in the next round, as a retry
//! would put them. A verify job is made anew under another id, since an ended job never
//! moves, and its batch is read back again. A report job is made by whoever seals, so its
//! letter has only to be answered.

use std::collections::BTreeMap;

use ferry_domain::{
    BatchId, JobKind, RunId, RunState,
    ports::{Command, DeadFilter, DeadState, DeadView, LedgerError, Redriven},
    run::RunMove,
};
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::{
    SqliteLedger,
    controlling::count_anew,
    dead,
    ending::insert_report_job,
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
            let Some(users) = of_run(&mut tx, run, &letters, &mut ids).await? else {
                done.left += count;
                continue;
            };
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

/// Sends the letters of one run again: users pending again, or `None` when the run has no
/// such move now.
async fn of_run(
    connection: &mut SqliteConnection,
    run: RunId,
    letters: &[DeadView],
    ids: &mut impl Iterator<Item = BatchId>,
) -> Result<Option<i64>> {
    let state = state_of(connection, run).await?;
    let only_reports = letters.iter().all(|letter| letter.job_kind == Some(JobKind::Report));
    if only_reports && state == RunState::Sealing {
        report_again(connection, run).await?;
        return Ok(Some(0));
    }
    let Some(after) = state.after(RunMove::Retry) else { return Ok(None) };
    if !state.is_active() && !only_reports {
        refuse_second(connection, run).await?;
    }
    let users = provision_again(connection, run, letters, ids).await?;
    let verifications = verify_again(connection, run, letters).await?;
    if users == 0 && verifications == 0 {
        return Ok(Some(0)); // taken up by a retry before
    }
    let after = after.as_str();
    sqlx::query!("UPDATE ferry_runs SET state = ?2, why = NULL WHERE id = ?1", run.0, after)
        .execute(&mut *connection)
        .await
        .doing(REDRIVING)?;
    count_anew(connection, run).await?;
    Ok(Some(users))
}

/// A new report job, unless the sweep has made it already.
async fn report_again(connection: &mut SqliteConnection, run: RunId) -> Result<()> {
    let waits = sqlx::query_scalar!(
        r#"
        SELECT EXISTS (
            SELECT 1 FROM ferry_jobs WHERE run_id = ?1 AND kind = 'report' AND state NOT IN ('done', 'dead')
        ) AS "waits!: bool"
        "#,
        run.0
    )
    .fetch_one(&mut *connection)
    .await
    .doing(REDRIVING)?;
    if waits { Ok(()) } else { insert_report_job(connection, run).await }
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

/// Batches whose users are read back after all. What the given-up job left as "not read
/// back" is forgotten with it. Says how many.
async fn verify_again(connection: &mut SqliteConnection, run: RunId, letters: &[DeadView]) -> Result<u64> {
    let jobs: Vec<_> = letters
        .iter()
        .filter(|letter| letter.job_kind == Some(JobKind::Verify))
        .filter_map(|letter| Some(hex(letter.job?.0)))
        .collect();
    let jobs = json(&jobs);
    let batches = sqlx::query_scalar!(
        r#"
        DELETE FROM ferry_jobs
        WHERE id IN (SELECT unhex(value) FROM json_each(?1)) AND kind = 'verify' AND state = 'dead'
        RETURNING batch_id AS "batch!: Uuid"
        "#,
        jobs
    )
    .fetch_all(&mut *connection)
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
    .execute(&mut *connection)
    .await
    .doing(REDRIVING)?;
    sqlx::query!(
        r#"
        UPDATE ferry_batches SET state = 'provisioned', verified = 0, discrepancies = 0, verified_at = NULL
        WHERE id IN (SELECT unhex(value) FROM json_each(?1))
        "#,
        batches
    )
    .execute(&mut *connection)
    .await
    .doing(REDRIVING)?;
    let priority = JobKind::Verify.priority();
    let made = sqlx::query!(
        r#"
        INSERT INTO ferry_jobs (id, run_id, batch_id, kind, state, priority, not_before, created_at, traceparent)
        SELECT randomblob(16), ?1, unhex(value), 'verify', 'ready', ?3, at, at,
               '00-' || lower(hex(randomblob(16))) || '-' || lower(hex(randomblob(8))) || '-01'
        FROM json_each(?2) CROSS JOIN ferry_now
        "#,
        run.0,
        batches,
        priority
    )
    .execute(connection)
    .await
    .doing(REDRIVING)?;
    Ok(made.rows_affected())
}
