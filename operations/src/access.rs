//! What an operation may use. Passed in as one struct, no globals.

use std::sync::Arc;

use ferry_domain::{
    BatchId, RunId, RunView,
    ports::{
        Batches, Clock, Command, Controls, DeadLetters, Items, Jobs, Ledger, Moves, Planning, Processes,
        Random, Reports, Runs, Users,
    },
};

use crate::error::{Error, NoSuchRun};

/// What an operation may use; of the ledger each part by itself, so that an operation names
/// what it uses. None leases. The queue is not in it: the few operations that look into
/// the queue are given one, so that all the others work while Redis is away.
#[derive(Clone)]
pub struct Access {
    /// Runs.
    pub runs: Arc<dyn Runs>,
    /// Their jobs.
    pub jobs: Arc<dyn Jobs>,
    /// Their users.
    pub items: Arc<dyn Items>,
    pub(crate) users: Arc<dyn Users>,
    pub(crate) batches: Arc<dyn Batches>,
    /// Their reports.
    pub reports: Arc<dyn Reports>,
    pub(crate) planning: Arc<dyn Planning>,
    pub(crate) processes: Arc<dyn Processes>,
    pub(crate) moves: Arc<dyn Moves>,
    pub(crate) dead: Arc<dyn DeadLetters>,
    pub(crate) controls: Arc<dyn Controls>,
    /// Time of day.
    pub clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    by: String,
}

impl Access {
    /// Access to a ledger. `by` is who asks, for the audit: `user@host`.
    pub fn new(ledger: Arc<dyn Ledger>, clock: Arc<dyn Clock>, random: Arc<dyn Random>, by: String) -> Self {
        Access {
            runs: ledger.clone(),
            jobs: ledger.clone(),
            items: ledger.clone(),
            users: ledger.clone(),
            batches: ledger.clone(),
            reports: ledger.clone(),
            planning: ledger.clone(),
            processes: ledger.clone(),
            moves: ledger.clone(),
            dead: ledger.clone(),
            controls: ledger,
            clock,
            random,
            by,
        }
    }

    /// A run, or a refusal that says how to find one.
    pub async fn run(&self, id: RunId) -> Result<RunView, Error> {
        Ok(self.runs.run(id).await?.ok_or(NoSuchRun(id))?)
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
