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
use sqlx::PgConnection;

pub(crate) use retry::go_on;

use crate::{PostgresLedger, audit, errors::Tried, planning, runs};

#[async_trait]
impl Moves for PostgresLedger {
    async fn move_run(&self, run: RunId, step: RunMove, command: &Command<'_>) -> Result<Moved> {
        self.trying("could not move a run", || async {
            // A cancel may have a million items to settle; anything else is a moment.
            let mut tx =
                if step == RunMove::Cancel { self.begin_long().await? } else { self.begin().await? };
            let moved = ask(&mut tx, run, step, command).await?;
            tx.commit().await?;
            Ok(moved)
        })
        .await
    }

    async fn count_cancellable(&self, run: RunId) -> Result<Cancellable> {
        let failed = self.failed("could not count what a cancel would settle");
        let mut connection = self.pool.acquire().await.map_err(self.sql_failed("could not be reached"))?;
        cancel::count(&mut connection, run).await.map_err(failed)
    }

    async fn retry(
        &self,
        run: RunId,
        codes: &[Code],
        batch_ids: &[BatchId],
        command: &Command<'_>,
    ) -> Result<Retried> {
        self.trying("could not retry items", || async {
            let mut tx = self.begin_long().await?;
            let retried = retry::retry(&mut tx, run, codes, batch_ids).await?;
            if retried.items > 0 {
                audit::write(&mut tx, &Line::retried(run, codes, &retried, command)).await?;
                tx.commit().await?;
            }
            Ok(retried)
        })
        .await
    }

    async fn count_retryable(&self, run: RunId, codes: &[Code]) -> Result<Retryable> {
        let failed = self.failed("could not count retryable items");
        let mut connection = self.pool.acquire().await.map_err(self.sql_failed("could not be reached"))?;
        retry::count(&mut connection, run, codes).await.map_err(failed)
    }
}

/// The move, inside the caller's transaction.
pub(crate) async fn ask(
    connection: &mut PgConnection,
    run: RunId,
    step: RunMove,
    command: &Command<'_>,
) -> Tried<Moved> {
    refusals::asked_for(step)?;
    let before = runs::lock(connection, run).await?;
    let after = match before.asked(step) {
        Asked::Moves(after) => after,
        Asked::Already => return Ok(Moved { before, after: before, cancelled: 0, to_ask: 0 }),
        Asked::Refused => return Err(LedgerError::no_such_move(run, before, step).into()),
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
