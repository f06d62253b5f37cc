//! Moves of a run that people and thresholds ask for.

mod cancel;
mod retry;

use async_trait::async_trait;
use ferry_domain::{
    BatchId, Code, RunId,
    ports::{Cancellable, Command, LedgerError, Moved, Moves, Retried, Retryable},
    run::{Asked, RunMove},
    withdrawal,
};
use ferry_ledger::{Result, audit::Line, refusals};
use sqlx::SqliteConnection;

pub(crate) use retry::{go_on, insert_round};

use crate::{SqliteLedger, audit, errors::Doing, planning, runs};

const MOVING: &str = "could not move a run";
const RETRYING: &str = "could not retry items";
const COUNTING: &str = "could not count items";

#[async_trait]
impl Moves for SqliteLedger {
    async fn move_run(&self, run: RunId, step: RunMove, command: &Command<'_>) -> Result<Moved> {
        let mut tx = self.write(MOVING).await?;
        let moved = ask(&mut tx, run, step, command).await?;
        tx.commit().await.doing(MOVING)?;
        Ok(moved)
    }

    async fn count_cancellable(&self, run: RunId) -> Result<Cancellable> {
        let mut connection = self.reader().acquire().await.doing(COUNTING)?;
        cancel::count(&mut connection, run).await
    }

    async fn retry(
        &self,
        run: RunId,
        codes: &[Code],
        batch_ids: &[BatchId],
        command: &Command<'_>,
    ) -> Result<Retried> {
        let mut tx = self.write(RETRYING).await?;
        let retried = retry::retry(&mut tx, run, codes, batch_ids).await?;
        if retried.items > 0 {
            audit::write(&mut tx, &Line::retried(run, codes, &retried, command)).await?;
            tx.commit().await.doing(RETRYING)?;
        }
        Ok(retried)
    }

    async fn count_retryable(&self, run: RunId, codes: &[Code]) -> Result<Retryable> {
        let mut connection = self.reader().acquire().await.doing(COUNTING)?;
        Ok(retry::candidates(&mut connection, run, codes).await?.count)
    }
}

/// The move, inside the caller's transaction.
pub(crate) async fn ask(
    connection: &mut SqliteConnection,
    run: RunId,
    step: RunMove,
    command: &Command<'_>,
) -> Result<Moved> {
    refusals::asked_for(step)?;
    let before = runs::lock(connection, run).await?;
    let after = match before.asked(step) {
        Asked::Moves(after) => after,
        Asked::Already => return Ok(Moved { before, after: before, cancelled: 0, to_ask: 0 }),
        Asked::Refused => return Err(LedgerError::no_such_move(run, before, step)),
    };
    let mut moved = Moved { before, after, cancelled: 0, to_ask: 0 };
    if withdrawal::finishes_the_plan(before) {
        planning::settle(connection, run).await?;
    }
    // On resuming, what was said before holds no longer.
    let why = command.reason.filter(|_| step != RunMove::Resume);
    runs::set_state(connection, run, after, why).await?;
    match step {
        RunMove::Resume => runs::count_failures_from_here(connection, run).await?,
        RunMove::Cancel => {
            moved.cancelled = cancel::withdraw_untouched(connection, run).await?;
            moved.to_ask = cancel::pending(connection, run).await?;
        }
        _ => {}
    }
    audit::write(connection, &Line::moved(run, step, &moved, command)).await?;
    Ok(moved)
}
