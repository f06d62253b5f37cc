//! Moves of a run that a person or a threshold asks for.
//!
//! A cancel settles at once what no worker ever had in hands: no token was given out for
//! its job. Everything else may be at Auth0. Halves of batches, and batches of later
//! rounds, hold users that were tried before, so their jobs begin with a token.

use ferry_domain::{
    RunId, RunState,
    ports::{Command, LedgerError, Moved},
    run::{Asked, RunMove},
};
use sqlx::SqliteConnection;

use crate::{
    SqliteLedger,
    controlling::count_anew,
    errors::{Doing, Result},
    fence::state_of,
    planning::audit,
    settling,
};

const MOVING: &str = "could not move a run";
const CANCELLING: &str = "could not cancel a run";
const COUNTING: &str = "could not count what a cancel would settle";

impl SqliteLedger {
    /// Moves a run, or leaves it where it stands already.
    pub(crate) async fn ask_to_move(
        &self,
        run: RunId,
        step: RunMove,
        command: &Command<'_>,
    ) -> Result<Moved> {
        let mut tx = self.write(MOVING).await?;
        let moved = ask(&mut tx, run, step, command).await?;
        tx.commit().await.doing(MOVING)?;
        Ok(moved)
    }

    /// Items that a cancel would settle at once, and those that Auth0 must be asked about.
    pub(crate) async fn cancellable(&self, run: RunId) -> Result<(i64, i64)> {
        let mut connection = self.reader().acquire().await.doing(COUNTING)?;
        match state_of(&mut connection, run).await? {
            RunState::Planning => {
                let pending = sqlx::query_scalar!(
                    r#"SELECT count(*) AS "n!: i64" FROM ferry_items WHERE run_id = ?1 AND state = 'pending'"#,
                    run.0
                )
                .fetch_one(&mut *connection)
                .await
                .doing(COUNTING)?;
                Ok((pending, 0))
            }
            _ => {
                let sums = sqlx::query!(
                    r#"
                    SELECT coalesce(sum(b.pending) FILTER (WHERE j.id IS NOT NULL), 0) AS "at_once!: i64",
                           coalesce(sum(b.pending) FILTER (WHERE j.id IS NULL), 0) AS "to_ask!: i64"
                    FROM ferry_batches AS b
                    LEFT JOIN ferry_jobs AS j
                      ON j.batch_id = b.id AND j.kind = 'provision' AND j.token = 0
                     AND j.state IN ('ready', 'queued')
                    WHERE b.run_id = ?1
                    "#,
                    run.0
                )
                .fetch_one(&mut *connection)
                .await
                .doing(COUNTING)?;
                Ok((sums.at_once, sums.to_ask))
            }
        }
    }
}

/// The move, inside the caller's transaction.
pub(crate) async fn ask(
    connection: &mut SqliteConnection,
    run: RunId,
    step: RunMove,
    command: &Command<'_>,
) -> Result<Moved> {
    let before = state_of(connection, run).await?;
    let word = word(step).ok_or_else(|| {
        LedgerError::Refused(format!("{step:?} is no move to ask for: it belongs to the work of a run"))
    })?;
    let after = match before.asked(step) {
        Asked::Moves(after) => after,
        Asked::Already => return Ok(Moved { before, after: before, cancelled: 0, to_ask: 0 }),
        Asked::Refused => {
            return Err(LedgerError::Refused(format!(
                "run {run} is {before} and can't be asked to {word}: {}",
                instead(before)
            )));
        }
    };
    if before == RunState::Planning {
        // What was planned so far is counted like any other plan.
        settling::settle(connection, run).await?;
    }
    let why = command.reason.filter(|_| step != RunMove::Resume);
    let state = after.as_str();
    sqlx::query!("UPDATE ferry_runs SET state = ?2, why = ?3 WHERE id = ?1", run.0, state, why)
        .execute(&mut *connection)
        .await
        .doing(MOVING)?;
    if step == RunMove::Resume {
        count_anew(connection, run).await?;
    }
    let (cancelled, to_ask) = match step {
        RunMove::Cancel => cancel_untouched(connection, run).await?,
        _ => (0, 0),
    };
    let detail = serde_json::json!({
        "before": before, "after": after, "cancelled": cancelled, "to_ask": to_ask,
    });
    audit(connection, command.by, word, run, &detail.to_string(), command.reason).await?;
    Ok(Moved { before, after, cancelled, to_ask })
}

/// What a move is called in the audit; `None` for those that nobody asks for.
const fn word(step: RunMove) -> Option<&'static str> {
    match step {
        RunMove::Pause => Some("pause"),
        RunMove::Resume => Some("resume"),
        RunMove::Cancel => Some("cancel"),
        RunMove::Stop => Some("stop"),
        RunMove::Plan | RunMove::Start | RunMove::BeginSealing | RunMove::Seal | RunMove::Retry => None,
    }
}

/// What to do where there is no such move.
const fn instead(state: RunState) -> &'static str {
    match state {
        RunState::Planning | RunState::Planned => "it was not started; start it, or cancel it",
        RunState::Running => "see `ferry run show`",
        RunState::Paused | RunState::Stopped => "it stands still already; resume it, or cancel it",
        RunState::Sealing => "all its users are through and its report is being made; wait for its end",
        RunState::Sealed => "it has ended; `ferry run retry` takes failed users up again",
        RunState::Cancelling | RunState::Cancelled => "a cancelled run is over; start a new one",
    }
}

/// Settles what no worker ever had in hands: there is nothing to read back, so its
/// batches are verified and its jobs done. Says how many users that were, and how many
/// are left to ask about.
async fn cancel_untouched(connection: &mut SqliteConnection, run: RunId) -> Result<(i64, i64)> {
    let cancelled = sqlx::query!(
        r#"
        UPDATE ferry_items SET state = 'cancelled'
        WHERE run_id = ?1 AND state = 'pending' AND batch_id IN (
            SELECT batch_id FROM ferry_jobs
            WHERE run_id = ?1 AND kind = 'provision' AND token = 0 AND state IN ('ready', 'queued')
        )
        "#,
        run.0
    )
    .execute(&mut *connection)
    .await
    .doing(CANCELLING)?
    .rows_affected();
    sqlx::query!(
        r#"
        UPDATE ferry_batches
        SET cancelled = cancelled + pending, pending = 0, state = 'verified',
            verified_at = (SELECT at FROM ferry_now)
        WHERE id IN (
            SELECT batch_id FROM ferry_jobs
            WHERE run_id = ?1 AND kind = 'provision' AND token = 0 AND state IN ('ready', 'queued')
        )
        "#,
        run.0
    )
    .execute(&mut *connection)
    .await
    .doing(CANCELLING)?;
    sqlx::query!(
        r#"
        UPDATE ferry_jobs SET state = 'done', queued_at = NULL, ended_at = (SELECT at FROM ferry_now)
        WHERE run_id = ?1 AND kind = 'provision' AND token = 0 AND state IN ('ready', 'queued')
        "#,
        run.0
    )
    .execute(&mut *connection)
    .await
    .doing(CANCELLING)?;
    let to_ask = sqlx::query_scalar!(
        r#"SELECT coalesce(sum(pending), 0) AS "pending!: i64" FROM ferry_batches WHERE run_id = ?1"#,
        run.0
    )
    .fetch_one(connection)
    .await
    .doing(CANCELLING)?;
    Ok((i64::try_from(cancelled).unwrap_or(i64::MAX), to_ask))
}
