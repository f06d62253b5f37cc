//! Dead letters that a person sends again (`ferry_domain::redrive`).
//!
//! Users of a provision job go the way of a retry: into a new batch of the run's next
//! round. A verify job is made anew under another id, since an ended job never moves; a
//! report job is made by whatever seals the run, so its letter has only to be answered.

use ferry_domain::{
    BatchId, JobKind, RunId,
    redrive::{self, Fate},
};
use ferry_ledger::{refusals, rows::Letter};
use sqlx::{PgConnection, query, query_scalar};
use uuid::Uuid;

use crate::{errors::Tried, leases::end, moves, runs};

/// Sends the letters of one run again. Returns the number of users pending again, or `None`
/// when the run has no such move now.
pub(super) async fn redrive(
    connection: &mut PgConnection,
    run: RunId,
    letters: &[Letter],
    ids: &mut impl Iterator<Item = BatchId>,
) -> Tried<Option<i64>> {
    let known = query_scalar!("SELECT round FROM ferry.runs WHERE id = $1 FOR NO KEY UPDATE", run.0)
        .fetch_optional(&mut *connection)
        .await?;
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
    connection: &mut PgConnection,
    run: RunId,
    letters: &[Letter],
    round: i32,
    ids: &mut impl Iterator<Item = BatchId>,
) -> Tried<i64> {
    let (mut old, mut codes, mut new) = (Vec::new(), Vec::new(), Vec::new());
    for letter in letters.iter().filter(|letter| letter.kind == JobKind::Provision) {
        let Some(batch) = letter.batch else { continue };
        old.push(batch.0);
        codes.push(letter.code.as_str());
        new.push(ids.next().ok_or_else(refusals::more_letters_than_counted)?.0);
    }
    let users = query_scalar!(
        r#"
        WITH letter AS (
            SELECT old, code, new, n
            FROM unnest($2::uuid[], $3::text[], $4::uuid[]) WITH ORDINALITY AS letter (old, code, new, n)
        ), chosen AS (
            SELECT item.seq, letter.old, letter.new, letter.n
            FROM letter JOIN ferry.items AS item ON item.batch_id = letter.old AND item.code = letter.code
            WHERE item.run_id = $1 AND item.state = 'failed' AND item.record IS NOT NULL
        ), moved AS (
            UPDATE ferry.items AS item
            SET state = 'pending', code = NULL, field = NULL, auth0_user_id = NULL, batch_id = chosen.new
            FROM chosen
            WHERE item.run_id = $1 AND item.seq = chosen.seq
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
            INSERT INTO ferry.jobs (run_id, batch_id, kind, priority, token, traceparent, created_at)
            SELECT $1::uuid, id, 'provision', $6::smallint, 1, ferry.new_traceparent(),
                   now() + ordinal * interval '1 microsecond'
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
    .fetch_one(connection)
    .await?;
    Ok(users)
}

/// Batches whose users are read back after all. What the given-up job left as "not read
/// back" is forgotten with it.
async fn verify_again(connection: &mut PgConnection, run: RunId, letters: &[Letter]) -> Tried<i64> {
    let jobs: Vec<Uuid> =
        letters.iter().filter(|letter| letter.kind == JobKind::Verify).map(|letter| letter.job.0).collect();
    let batches = query_scalar!(
        "DELETE FROM ferry.jobs WHERE id = ANY($1) AND kind = 'verify' AND state = 'dead' RETURNING batch_id",
        &jobs,
    )
    .fetch_all(&mut *connection)
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
        INSERT INTO ferry.jobs (run_id, batch_id, kind, priority, traceparent)
        SELECT $2::uuid, id, 'verify', $3::smallint, ferry.new_traceparent() FROM opened
        "#,
        &batches,
        run.0,
        JobKind::Verify.priority(),
    )
    .execute(connection)
    .await?;
    Ok(made.rows_affected() as i64)
}
