//! What handlers and loops may use. Passed in as one struct, no globals; parts
//! that tests replace are ports.

use std::{sync::Arc, time::Duration};

use ferry_domain::{
    RunId,
    ports::{Clock, Directory, Ledger, Queue, Random, WorkerRecord},
    run::{RunSpec, RunState},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::held::Held;

/// Figures that decide how work is paced. Defaults are those of the settings file.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// Batches a process works on at once.
    pub batches: usize,
    /// Users of one batch under way at once.
    pub users: usize,
    /// Results written back together, at most.
    pub group: usize,
    /// How long a result waits for company.
    pub group_wait: Duration,
    /// How long a lease lasts without renewal.
    pub lease: Duration,
    /// How often the relay looks when nothing wakes it.
    pub relay_every: Duration,
    /// How long a send may be `queued` before the relay looks whether the queue lost it.
    pub lost_after: Duration,
    /// Jobs in the queue at once, at most.
    pub window: i64,
    /// How long a stopping process may finish what runs.
    pub grace: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Tuning {
            batches: 4,
            users: 16,
            group: 64,
            group_wait: Duration::from_millis(20),
            lease: Duration::from_secs(6),
            relay_every: Duration::from_millis(50),
            lost_after: Duration::from_secs(4),
            window: 1_000,
            grace: Duration::from_secs(30),
        }
    }
}

/// Everything a worker process works with.
pub struct Environment {
    /// The truth.
    pub ledger: Arc<dyn Ledger>,
    /// The transport.
    pub queue: Arc<dyn Queue>,
    /// Auth0.
    pub directory: Arc<dyn Directory>,
    /// Time of day.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
    /// This process.
    pub worker: WorkerRecord,
    /// Pace.
    pub tuning: Tuning,
    /// Cancelled when the process should end: take nothing new, hand back.
    pub stopping: CancellationToken,
    pub(crate) held: Held,
    pub(crate) nudge: Notify,
}

impl Environment {
    /// Puts the parts together.
    #[allow(clippy::too_many_arguments, reason = "each part is named at the one place that calls this")]
    pub fn new(
        ledger: Arc<dyn Ledger>,
        queue: Arc<dyn Queue>,
        directory: Arc<dyn Directory>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        worker: WorkerRecord,
        tuning: Tuning,
        stopping: CancellationToken,
    ) -> Self {
        let (held, nudge) = (Held::default(), Notify::new());
        Environment { ledger, queue, directory, clock, random, worker, tuning, stopping, held, nudge }
    }

    /// Wakes the relay of this process: there is something to send.
    pub(crate) fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// What holds for a run, and where it stands now.
    pub(crate) async fn run_spec(
        &self,
        run: RunId,
    ) -> Result<(String, RunSpec, RunState), ferry_domain::ports::LedgerError> {
        self.ledger.run_spec(run).await
    }
}
