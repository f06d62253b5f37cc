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

use crate::{PostgresLedger, transaction::Tx};

#[async_trait]
impl Moves for PostgresLedger {
    async fn move_run(&self, run: RunId, step: RunMove, command: &Command<'_>) -> Result<Moved> {
        let mut moved = self
            .trying("could not move a run", || async {
                // The plan of a million items may have to be finished; anything else is a moment.
                let mut tx =
                    if step == RunMove::Cancel { self.begin_long().await? } else { self.begin().await? };
                let moved = scripts::ask(&mut Tx(&mut tx), run, step, command).await?;
                tx.commit().await?;
                Ok(moved)
            })
            .await?;
        if step == RunMove::Cancel {
            moved.cancelled = 0;
            while self.withdraw(run, &mut moved).await? {}
        }
        Ok(moved)
    }

    async fn count_cancellable(&self, run: RunId) -> Result<Cancellable> {
        let failed = self.failed("could not count what a cancel would settle");
        let mut connection = self.pool.acquire().await.map_err(self.sql_failed("could not be reached"))?;
        Tx(&mut connection).cancellable(run).await.map_err(failed)
    }

    async fn retry(
        &self,
        run: RunId,
        filter: &UserFilter,
        batch_ids: &[BatchId],
        command: &Command<'_>,
    ) -> Result<Retried> {
        self.trying("could not retry items", || async {
            let mut tx = self.begin_long().await?;
            let retried = scripts::retry(&mut Tx(&mut tx), run, filter, batch_ids, command).await?;
            tx.commit().await?;
            Ok(retried)
        })
        .await
    }

    async fn count_retryable(&self, run: RunId, filter: &UserFilter) -> Result<Retryable> {
        let failed = self.failed("could not count retryable items");
        let mut connection = self.pool.acquire().await.map_err(self.sql_failed("could not be reached"))?;
        Tx(&mut connection).retryable(run, filter).await.map_err(failed)
    }
}

impl PostgresLedger {
    async fn withdraw(&self, run: RunId, moved: &mut Moved) -> Result<bool> {
        let before = *moved;
        let (part, more) = self
            .trying("could not cancel a run", || async {
                let (mut tx, mut part) = (self.begin().await?, before);
                let more = scripts::withdraw(&mut Tx(&mut tx), run, &mut part).await?;
                tx.commit().await?;
                Ok((part, more))
            })
            .await?;
        *moved = part;
        Ok(more)
    }
}
