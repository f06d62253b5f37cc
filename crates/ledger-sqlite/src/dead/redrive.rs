//! Dead letters that a person sends again (`ferry_domain::redrive`).
//!
//! Users of a provision job go the way of a retry: into a new batch of the run's next
//! round. A verify job is made anew under another id, since an ended job never moves; a
//! report job is made by whatever seals the run, so its letter has only to be answered.

use ferry_domain::{
    BatchId, JobKind, RunId,
    redrive::{self, Fate},
};
use ferry_ledger::{Result, refusals, rows::Letter};
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::{
    errors::Doing,
    leases::end,
    moves, runs,
    values::{count, hex, json},
};

const REDRIVING: &str = "could not redrive dead letters";

/// Sends the letters of one run again. Returns the number of users pending again, or `None`
/// when the run has no such move now.
pub(super) async fn redrive(
    connection: &mut SqliteConnection,
    run: RunId,
    letters: &[Letter],
    ids: &mut impl Iterator<Item = BatchId>,
) -> Result<Option<i64>> {
    let known = sqlx::query_scalar!(r#"SELECT round AS "round!: i32" FROM ferry_runs WHERE id = ?1"#, run.0)
        .fetch_optional(&mut *connection)
        .await
        .doing(REDRIVING)?;
    let Some(round) = known else { return Ok(None) }; // its run was removed
    let state = runs::lock(connection, run).await?;
    match redrive::fate(state, letters.iter().map(|letter| letter.kind)) {
        Fate::Left => Ok(None),
        Fate::Report => {
            end::begin_sealing(connection, run, state).await?;
            Ok(Some(0))
        }
        Fate::Again { run: next, comes_back } => {
            let users = provision_again(connection, run, letters, round + 1, ids).await?;
            let batches = verify_again(connection, run, letters).await?;
            if users + batches == 0 {
                return Ok(Some(0)); // taken up by a retry before
            }
            if comes_back {
                runs::refuse_second(connection, run).await?;
            }
            let round = if users > 0 { round + 1 } else { round };
            moves::go_on(connection, run, next, round).await?;
            Ok(Some(users))
        }
    }
}

/// What failed with the job goes into one new batch for each letter. Its users were
/// sent once, so the new job has a token: a cancel asks Auth0 before it calls them cancelled.
async fn provision_again(
    connection: &mut SqliteConnection,
    run: RunId,
    letters: &[Letter],
    round: i32,
    ids: &mut impl Iterator<Item = BatchId>,
) -> Result<i64> {
    let (mut moves, mut new) = (Vec::new(), Vec::new());
    for letter in letters.iter().filter(|letter| letter.kind == JobKind::Provision) {
        let Some(old) = letter.batch else { continue };
        let id = ids.next().ok_or_else(refusals::more_letters_than_counted)?;
        moves.push((hex(old.0), letter.code.as_str(), hex(id.0)));
        new.push(id);
    }
    let moved_to = json(&moves);
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
        moved_to
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
        moved_to
    )
    .execute(&mut *connection)
    .await
    .doing(REDRIVING)?;
    let users = count(moved.rows_affected());
    if users > 0 {
        moves::insert_round(connection, run, &new, round).await?;
    }
    Ok(users)
}

/// Batches whose users are read back after all. What the given-up job left as "not read
/// back" is forgotten with it.
async fn verify_again(connection: &mut SqliteConnection, run: RunId, letters: &[Letter]) -> Result<i64> {
    let verified = letters.iter().filter(|letter| letter.kind == JobKind::Verify);
    let jobs: Vec<_> = verified.map(|letter| hex(letter.job.0)).collect();
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
    Ok(count(made.rows_affected()))
}
