//! Moves of a run that people and thresholds ask for.

mod cancel;
mod retry;

use async_trait::async_trait;
use ferry_domain::{
    BatchId, RunId,
    ports::{Cancellable, Command, Moved, Moves, Retried, Retryable, UserFilter},
    run::RunMove,
};
use ferry_ledger::{
    Result, scripts,
    steps::{CancelSteps, RetrySteps},
};

pub(crate) use retry::insert_round;

use crate::{SqliteLedger, connection::Tx, errors::Doing};

const MOVING: &str = "could not move a run";
const RETRYING: &str = "could not retry items";
const COUNTING: &str = "could not count items";

#[async_trait]
impl Moves for SqliteLedger {
    async fn move_run(&self, run: RunId, step: RunMove, command: &Command<'_>) -> Result<Moved> {
        let mut tx = self.write(MOVING).await?;
        let mut moved = scripts::ask(&mut Tx(&mut tx), run, step, command).await?;
        tx.commit().await.doing(MOVING)?;
        if step == RunMove::Cancel {
            moved.cancelled = 0;
            while self.withdraw(run, &mut moved).await? {}
        }
        Ok(moved)
    }

    async fn count_cancellable(&self, run: RunId) -> Result<Cancellable> {
        let mut connection = self.reader().acquire().await.doing(COUNTING)?;
        Tx(&mut connection).cancellable(run).await
    }

    async fn retry(
        &self,
        run: RunId,
        filter: &UserFilter,
        batch_ids: &[BatchId],
        command: &Command<'_>,
    ) -> Result<Retried> {
        let mut tx = self.write(RETRYING).await?;
        let retried = scripts::retry(&mut Tx(&mut tx), run, filter, batch_ids, command).await?;
        tx.commit().await.doing(RETRYING)?;
        Ok(retried)
    }

    async fn count_retryable(&self, run: RunId, filter: &UserFilter) -> Result<Retryable> {
        let mut connection = self.reader().acquire().await.doing(COUNTING)?;
        Tx(&mut connection).retryable(run, filter).await
    }
}

impl SqliteLedger {
    async fn withdraw(&self, run: RunId, moved: &mut Moved) -> Result<bool> {
        let mut tx = self.write(MOVING).await?;
        let more = scripts::withdraw(&mut Tx(&mut tx), run, moved).await?;
        tx.commit().await.doing(MOVING)?;
        Ok(more)
    }
}
