//! What an operation may use. Passed in as one struct, no globals.

use std::sync::Arc;

use ferry_domain::{
    BatchId, RunId, RunView,
    ports::{Clock, Command, Ledger, Random},
};

use crate::error::{Error, NoSuchRun};

/// What an operation may use. The queue is not in it: the few operations that look into
/// the queue are given one, so that all the others work while Redis is away.
#[derive(Clone)]
pub struct Access {
    /// The truth.
    pub ledger: Arc<dyn Ledger>,
    /// Time of day.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
    /// Who asks, for the audit: `user@host`.
    pub by: String,
}

impl Access {
    /// A run, or a refusal that says how to find one.
    pub async fn run(&self, id: RunId) -> Result<RunView, Error> {
        Ok(self.ledger.run(id).await?.ok_or(NoSuchRun(id))?)
    }

    pub(crate) fn command<'a>(&'a self, reason: Option<&'a str>) -> Command<'a> {
        Command { by: &self.by, reason }
    }

    pub(crate) fn batch(&self) -> BatchId {
        BatchId::new(&*self.clock, &*self.random)
    }

    /// Ids for batches that the ledger makes.
    pub(crate) fn batches(&self, count: i64) -> Vec<BatchId> {
        (0..count).map(|_| self.batch()).collect()
    }
}
