//! Dead letters that a person sends again.
//!
//! Users of a provision job go the way of a retry: into a new batch of the run's next
//! round. A verify job is made anew under another id, since an ended job never moves; a
//! report job is made by whoever seals, so its letter has only to be answered.

use std::collections::BTreeMap;

use ferry_domain::{
    BatchId, JobKind, RunId, RunState,
    ports::{Command, DeadFilter, LedgerError, Redriven},
    run::RunMove,
};
use serde_json::json;
use sqlx::{PgConnection, query, query_scalar};
use uuid::Uuid;

use crate::{
    PostgresLedger, dead::Asked, errors::Fault, moving, planning::audit, retry, rows, settling, tries::Tries,
};

/// A kept letter about a job.
struct Letter {
    id: i64,
    kind: JobKind,
    job: Uuid,
    batch: Option<Uuid>,
    code: String,
}

impl PostgresLedger {
    pub(crate) async fn send_again(
        &self,
        filter: &DeadFilter,
        batch_ids: &[BatchId],
        command: &Command<'_>,
    ) -> Result<Redriven, LedgerError> {
        let mut tries = Tries::default();
        loop {
            match self.try_send_again(filter, batch_ids, command).await {
                Err(fault) if tries.again(&fault).await => {}
                done => return done.map_err(self.failed("could not redrive dead letters")),
            }
        }
    }

    async fn try_send_again(
        &self,
        filter: &DeadFilter,
        batch_ids: &[BatchId],
        command: &Command<'_>,
    ) -> Result<Redriven, Fault> {
        let mut tx = self.begin_long().await?;
        let (runs, mut left) = kept_letters(&mut tx, filter).await?;
        let mut ids = batch_ids.iter().map(|id| id.0);
        let (mut sent, mut users) = (Vec::new(), 0);
        for (run, letters) in runs {
            match redrive_run(&mut tx, RunId(run), &letters, &mut ids).await? {
                Some(moved) => {
                    users += moved;
                    sent.extend(letters.iter().map(|letter| letter.id));
                }
                None => left += letters.len() as i64,
            }
        }
        if !sent.is_empty() {
            query!(
                r#"
                UPDATE ferry.dead_letters
                SET state = 'redriven', resolved_by = $2, resolved_at = clock_timestamp()
                WHERE id = ANY($1)
                "#,
                &sent,
                command.by,
            )
            .execute(&mut *tx)
            .await?;
            let detail = json!({ "letters": sent, "users": users, "left": left });
            audit(&mut tx, command.by, "redrive", filter.run, &detail, command.reason).await?;
            tx.commit().await?;
        }
        Ok(Redriven { letters: sent.len() as i64, users, left })
    }
}

/// Locks what the filter means: letters about jobs by run, and the number of the others.
async fn kept_letters(
    connection: &mut PgConnection,
    filter: &DeadFilter,
) -> Result<(BTreeMap<Uuid, Vec<Letter>>, i64), Fault> {
    let asked = Asked::of(filter);
    let rows = query!(
        r#"
        SELECT id, job_id, job_kind, run_id, batch_id, code
        FROM ferry.dead_letters
        WHERE state = 'kept'
          AND (cardinality($1::bigint[]) = 0 OR id = ANY($1))
          AND ($2::uuid IS NULL OR run_id = $2)
          AND (cardinality($3::text[]) = 0 OR code = ANY($3))
          AND ($4::text IS NULL OR state = $4)
          AND ($5::float8 IS NULL OR received_at <= clock_timestamp() - make_interval(secs => $5))
        ORDER BY id
        FOR UPDATE
        "#,
        asked.ids,
        asked.run,
        &asked.codes as &[&str],
        asked.state,
        asked.age,
    )
    .fetch_all(connection)
    .await?;
    let mut runs: BTreeMap<Uuid, Vec<Letter>> = BTreeMap::new();
    let mut payloads = 0;
    for row in rows {
        let (Some(run), Some(job), Some(kind)) = (row.run_id, row.job_id, row.job_kind) else {
            payloads += 1;
            continue;
        };
        let kind = rows::job_kind(job, &kind)?;
        let letter = Letter { id: row.id, kind, job, batch: row.batch_id, code: row.code };
        runs.entry(run).or_default().push(letter);
    }
    Ok((runs, payloads))
}

/// Users pending again, or `None` when the run has no such move now.
async fn redrive_run(
    connection: &mut PgConnection,
    run: RunId,
    letters: &[Letter],
    ids: &mut impl Iterator<Item = Uuid>,
) -> Result<Option<i64>, Fault> {
    let row = query!(
        r#"
        SELECT state, round, source_kind, source_location FROM ferry.runs
        WHERE id = $1 FOR NO KEY UPDATE
        "#,
        run.0,
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let state = rows::run_state(run.0, &row.state)?;
    let only_reports = letters.iter().all(|letter| letter.kind == JobKind::Report);
    if only_reports && state == RunState::Sealing {
        settling::begin_sealing(connection, &[run.0]).await?;
        return Ok(Some(0));
    }
    let Some(next) = state.after(RunMove::Retry) else { return Ok(None) };
    let users = provision_again(connection, run, letters, row.round + 1, ids).await?;
    let batches = verify_again(connection, run, letters).await?;
    if users + batches == 0 {
        return Ok(Some(0)); // taken up by a retry before
    }
    if !state.is_active() {
        retry::refuse_second_run(connection, run, &row.source_kind, &row.source_location).await?;
    }
    let round = if users > 0 { row.round + 1 } else { row.round };
    retry::run_again(connection, run, next, round).await?;
    moving::count_failures_from_here(connection, run).await?;
    Ok(Some(users))
}

/// What failed with the job goes into one new batch for each letter. Its users were
/// sent once, so the new job has a token: a cancel asks Auth0 before it calls them cancelled.
async fn provision_again(
    connection: &mut PgConnection,
    run: RunId,
    letters: &[Letter],
    round: i32,
    ids: &mut impl Iterator<Item = Uuid>,
) -> Result<i64, Fault> {
    let (mut old, mut codes, mut new) = (Vec::new(), Vec::new(), Vec::new());
    for letter in letters.iter().filter(|letter| letter.kind == JobKind::Provision) {
        let Some(batch) = letter.batch else { continue };
        let id = ids.next().ok_or_else(|| {
            LedgerError::Refused("there are more dead letters than ids for batches: count again".to_owned())
        })?;
        old.push(batch);
        codes.push(letter.code.as_str());
        new.push(id);
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
async fn verify_again(connection: &mut PgConnection, run: RunId, letters: &[Letter]) -> Result<i64, Fault> {
    let jobs: Vec<Uuid> =
        letters.iter().filter(|letter| letter.kind == JobKind::Verify).map(|letter| letter.job).collect();
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
