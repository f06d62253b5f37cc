//! Moves of a run that people and thresholds ask for.

use ferry_domain::{
    JobKind, RunId, RunState,
    ports::{Command, LedgerError, Moved},
    run::{Asked, RunMove},
};
use serde_json::json;
use sqlx::{PgConnection, query, query_scalar};

use crate::{PostgresLedger, errors::Fault, planning::audit, rows, tries::Tries};

impl PostgresLedger {
    pub(crate) async fn make_move(
        &self,
        run: RunId,
        step: RunMove,
        command: &Command<'_>,
    ) -> Result<Moved, LedgerError> {
        let mut tries = Tries::default();
        loop {
            match self.try_make_move(run, step, command).await {
                Err(fault) if tries.again(&fault).await => {}
                done => return done.map_err(self.failed("could not move a run")),
            }
        }
    }

    async fn try_make_move(&self, run: RunId, step: RunMove, command: &Command<'_>) -> Result<Moved, Fault> {
        // A cancel may have a million items to settle; anything else is a moment.
        let mut tx = if step == RunMove::Cancel { self.begin_long().await? } else { self.begin().await? };
        let before = lock(&mut tx, run).await?;
        let verb = verb(step).ok_or_else(|| refused(run, before, step))?;
        let after = match before.asked(step) {
            Asked::Moves(after) => after,
            Asked::Already => return Ok(Moved { before, after: before, cancelled: 0, to_ask: 0 }),
            Asked::Refused => return Err(refused(run, before, step).into()),
        };
        // On resuming, what was said before holds no longer.
        let why = command.reason.filter(|_| step != RunMove::Resume);
        set_state(&mut tx, run, after, why).await?;
        let (mut cancelled, mut to_ask) = (0, 0);
        match step {
            RunMove::Resume => count_failures_from_here(&mut tx, run).await?,
            RunMove::Cancel => {
                cancelled = cancel_untouched(&mut tx, run).await?;
                to_ask = pending(&mut tx, run).await?;
            }
            _ => {}
        }
        let detail = json!({
            "before": before.as_str(), "after": after.as_str(), "cancelled": cancelled, "to_ask": to_ask,
        });
        audit(&mut tx, command.by, verb, run, &detail, command.reason).await?;
        tx.commit().await?;
        Ok(Moved { before, after, cancelled, to_ask })
    }

    pub(crate) async fn cancellable(&self, run: RunId) -> Result<(i64, i64), LedgerError> {
        let counted = query!(
            r#"
            SELECT coalesce(sum(pending) FILTER (WHERE untouched), 0)::bigint AS "at_once!",
                   coalesce(sum(pending) FILTER (WHERE NOT untouched), 0)::bigint AS "to_ask!"
            FROM (
                SELECT batch.pending, EXISTS (
                    SELECT FROM ferry.jobs AS job
                    WHERE job.batch_id = batch.id AND job.kind = 'provision' AND job.token = 0
                      AND job.state IN ('ready', 'queued')
                ) AS untouched
                FROM ferry.batches AS batch WHERE batch.run_id = $1 AND batch.state = 'open'
            ) AS judged
            "#,
            run.0,
        )
        .fetch_one(&self.pool)
        .await
        .map_err(self.sql_failed("could not count what a cancel would settle"))?;
        Ok((counted.at_once, counted.to_ask))
    }
}

/// The word in the audit; `None` for moves that nobody asks for.
fn verb(step: RunMove) -> Option<&'static str> {
    match step {
        RunMove::Pause => Some("pause"),
        RunMove::Resume => Some("resume"),
        RunMove::Stop => Some("stop"),
        RunMove::Cancel => Some("cancel"),
        RunMove::Plan | RunMove::Start | RunMove::BeginSealing | RunMove::Seal | RunMove::Retry => None,
    }
}

fn refused(run: RunId, state: RunState, step: RunMove) -> LedgerError {
    let rule = match (state, step) {
        (RunState::Sealing, _) => "all its users are through and its report is being made; wait for its end",
        (RunState::Sealed, _) => "it has ended; failed users go again by a retry",
        (RunState::Cancelled | RunState::Cancelling, _) => "it was given up; plan a new run of this source",
        (RunState::Planning | RunState::Planned, _) => "it has not started; start it or cancel it",
        (_, RunMove::Pause | RunMove::Stop) => "only a running run is held",
        (_, RunMove::Resume) => "only a paused or stopped run is resumed",
        _ => "there is no such move",
    };
    LedgerError::Refused(format!("run {run} is {state}: {rule}"))
}

async fn lock(connection: &mut PgConnection, run: RunId) -> Result<RunState, Fault> {
    let state = query_scalar!("SELECT state FROM ferry.runs WHERE id = $1 FOR NO KEY UPDATE", run.0)
        .fetch_optional(connection)
        .await?
        .ok_or_else(|| LedgerError::Refused(format!("there is no run {run}")))?;
    Ok(rows::run_state(run.0, &state)?)
}

async fn set_state(
    connection: &mut PgConnection,
    run: RunId,
    state: RunState,
    why: Option<&str>,
) -> Result<(), Fault> {
    query!(
        "UPDATE ferry.runs SET state = $2, why = $3, touched_at = clock_timestamp() WHERE id = $1",
        run.0,
        state.as_str(),
        why,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Stops a running run whose holder found out that nothing will pass; any other stays as
/// it is. The holder's job is locked already.
pub(crate) async fn stop_for(
    connection: &mut PgConnection,
    run: RunId,
    code: ferry_domain::Code,
) -> Result<(), Fault> {
    let before = lock(connection, run).await?;
    let Asked::Moves(after) = before.asked(RunMove::Stop) else { return Ok(()) };
    set_state(connection, run, after, Some(code.as_str())).await?;
    let detail = json!({ "before": before.as_str(), "after": after.as_str() });
    audit(connection, "ferry", "stop", run, &detail, Some(code.as_str())).await
}

/// Limits on failures count from now on: a person has seen what failed before.
pub(crate) async fn count_failures_from_here(connection: &mut PgConnection, run: RunId) -> Result<(), Fault> {
    query!(
        r#"
        UPDATE ferry.runs SET failed_before = sums.failed, ended_before = sums.ended
        FROM (
            SELECT coalesce(sum(failed + conflict), 0)::bigint AS failed,
                   coalesce(sum(source - pending), 0)::bigint AS ended
            FROM ferry.batches WHERE run_id = $1
        ) AS sums
        WHERE id = $1
        "#,
        run.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends the items of batches that were never in a worker's hands (no token was given
/// out for them). A job that the relay or a worker touches in this moment is left to the
/// worker, who asks Auth0.
async fn cancel_untouched(connection: &mut PgConnection, run: RunId) -> Result<i64, Fault> {
    let cancelled = query_scalar!(
        r#"
        WITH untouched AS (
            SELECT id, batch_id FROM ferry.jobs
            WHERE run_id = $1 AND kind = $2 AND token = 0 AND state IN ('ready', 'queued')
            FOR UPDATE SKIP LOCKED
        ), cancelled AS (
            UPDATE ferry.items AS item SET state = 'cancelled'
            FROM untouched
            WHERE item.batch_id = untouched.batch_id AND item.state = 'pending'
            RETURNING item.batch_id
        ), counted AS (
            SELECT batch_id, count(*) AS items FROM cancelled GROUP BY batch_id
        ), closed AS (
            UPDATE ferry.batches AS batch
            SET pending = batch.pending - coalesce(counted.items, 0),
                cancelled = batch.cancelled + coalesce(counted.items, 0),
                state = 'verified', verified_at = clock_timestamp()
            FROM untouched LEFT JOIN counted ON counted.batch_id = untouched.batch_id
            WHERE batch.id = untouched.batch_id
        ), ended AS (
            UPDATE ferry.jobs AS job
            SET state = 'done', queued_at = NULL, ended_at = clock_timestamp()
            FROM untouched
            WHERE job.id = untouched.id
        )
        SELECT count(*) AS "cancelled!" FROM cancelled
        "#,
        run.0,
        JobKind::Provision.as_str(),
    )
    .fetch_one(connection)
    .await?;
    Ok(cancelled)
}

async fn pending(connection: &mut PgConnection, run: RunId) -> Result<i64, Fault> {
    let pending = query_scalar!(
        r#"SELECT coalesce(sum(pending), 0)::bigint AS "pending!" FROM ferry.batches WHERE run_id = $1"#,
        run.0,
    )
    .fetch_one(connection)
    .await?;
    Ok(pending)
}
