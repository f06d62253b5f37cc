//! Removing a run that never sent anything.
//!
//! A million rows in one transaction would hold the application's file for
//! seconds, so they go in pieces. `touched_at = 0` marks the run from the first
//! piece on: a planner that comes back adds nothing to it, and the next
//! `open_run` of the source goes on where a crash broke off.

use ferry_domain::{RunId, ports::Command};
use ferry_ledger::{Result, audit::Line, refusals, steps::RunSteps};

use crate::{SqliteLedger, connection::Tx, errors::Doing};

const DOING: &str = "could not remove a plan";
/// Items removed in one transaction.
const PIECE: i64 = 10_000;

/// Marks a run for removal, and removes its batches and jobs. What was ordered stays in
/// the audit.
pub(super) async fn begin(ledger: &SqliteLedger, run: RunId, command: &Command<'_>) -> Result<()> {
    let mut tx = ledger.write(DOING).await?;
    let state = Tx(&mut tx).lock(run).await?;
    refusals::unsent(run, state)?;
    sqlx::query!("UPDATE ferry_runs SET state = 'planning', touched_at = 0 WHERE id = ?1", run.0)
        .execute(&mut *tx)
        .await
        .doing(DOING)?;
    sqlx::query!("DELETE FROM ferry_jobs WHERE run_id = ?1", run.0).execute(&mut *tx).await.doing(DOING)?;
    sqlx::query!("DELETE FROM ferry_batches WHERE run_id = ?1", run.0)
        .execute(&mut *tx)
        .await
        .doing(DOING)?;
    Tx(&mut tx).write_audit(&Line::not_started(run, command)).await?;
    tx.commit().await.doing(DOING)
}

/// Removes the items of a marked run, and then the run.
pub(super) async fn finish(ledger: &SqliteLedger, run: RunId) -> Result<()> {
    loop {
        let piece = sqlx::query!(
            r#"
                DELETE FROM ferry_items
                WHERE run_id = ?1 AND seq IN (
                    SELECT seq FROM ferry_items WHERE run_id = ?1 ORDER BY seq LIMIT ?2
                )
                "#,
            run.0,
            PIECE
        )
        .execute(ledger.writer())
        .await
        .doing(DOING)?;
        if piece.rows_affected() == 0 {
            break;
        }
    }
    sqlx::query!("DELETE FROM ferry_runs WHERE id = ?1 AND touched_at = 0", run.0)
        .execute(ledger.writer())
        .await
        .doing(DOING)?;
    Ok(())
}
