//! What handlers and loops may use. Passed in as one struct, no globals; parts
//! that tests replace are ports.

use std::{sync::Arc, time::Duration};

use ferry_domain::{
    Figures, RunId,
    limits::LimitPlan,
    ports::{Clock, Directory, Ledger, LedgerError, Limiter, Queue, Random, WorkerRecord},
    run::{RunSpec, RunState},
};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{company::Company, guarded::Guarded, held::Held, identity::Identity, standing::Standing};

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
    /// How long a batch may be worked on before it goes back, with its results kept, so
    /// that one slow batch does not hold a slot for ever. Costs no attempt.
    pub batch_deadline: Duration,
    /// How long one user may take from its first answer on.
    pub user_deadline: Duration,
    /// How often the relay looks when nothing wakes it.
    pub relay_every: Duration,
    /// How long a send may be `queued` before the relay looks whether the queue lost it.
    pub lost_after: Duration,
    /// Jobs in the queue at once, at most.
    pub window: i64,
    /// How long a stopping process may finish what runs.
    pub grace: Duration,
    /// How long resolved dead letters are kept; `None` for ever.
    pub keep_dead: Option<Duration>,
    /// The tenant's limits while no operator said otherwise.
    pub limits: LimitPlan,
}

impl Default for Tuning {
    fn default() -> Self {
        Tuning {
            batches: 4,
            users: 16,
            group: 64,
            group_wait: Duration::from_millis(20),
            lease: Duration::from_secs(6),
            batch_deadline: Duration::from_secs(600),
            user_deadline: Duration::from_secs(120),
            relay_every: Duration::from_millis(50),
            lost_after: Duration::from_secs(4),
            window: 1_000,
            grace: Duration::from_secs(30),
            keep_dead: Some(Duration::from_secs(90 * 86_400)),
            limits: LimitPlan::off(),
        }
    }
}

/// What an environment is put together from.
pub struct Parts {
    /// The truth.
    pub ledger: Arc<dyn Ledger>,
    /// The transport.
    pub queue: Arc<dyn Queue>,
    /// Auth0.
    pub directory: Arc<dyn Directory>,
    /// The tenant's limits, which the directory keeps to.
    pub limiter: Arc<dyn Limiter>,
    /// Time of day.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
    /// This process, as it begins.
    pub worker: WorkerRecord,
    /// Pace.
    pub tuning: Tuning,
    /// What it counts.
    pub figures: Arc<Figures>,
    /// Cancelled when the process should end: take nothing new, hand back.
    pub stopping: CancellationToken,
}

/// Everything a worker process works with.
pub struct Environment {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) directory: Guarded,
    pub(crate) limiter: Arc<dyn Limiter>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) tuning: Tuning,
    pub(crate) figures: Arc<Figures>,
    pub(crate) stopping: CancellationToken,
    pub(crate) identity: Identity,
    pub(crate) standing: Standing,
    pub(crate) held: Held,
    pub(crate) nudge: Notify,
    pub(crate) company: Company,
    since: Instant,
}

impl Environment {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        let Parts { ledger, queue, directory, limiter, clock, random, worker, tuning, figures, stopping } =
            parts;
        Environment {
            directory: Guarded::new(directory, random.clone(), figures.clone()),
            standing: Standing::new(figures.clone()),
            identity: Identity::new(worker),
            held: Held::default(),
            nudge: Notify::new(),
            company: Company::default(),
            since: Instant::now(),
            ledger,
            queue,
            limiter,
            clock,
            random,
            tuning,
            figures,
            stopping,
        }
    }

    /// This process, as it is known now.
    pub fn worker(&self) -> WorkerRecord {
        self.identity.record()
    }

    /// This process as the others may see it, with why its work waits.
    pub(crate) fn record(&self) -> WorkerRecord {
        WorkerRecord { waits: self.waits(), ..self.identity.record() }
    }

    /// Wakes the relay of this process: there is something to send.
    pub(crate) fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// Milliseconds since the process began, by its steady clock.
    pub fn uptime_ms(&self) -> i64 {
        i64::try_from(self.since.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// Why work waits, for people.
    pub(crate) fn waits(&self) -> Option<String> {
        if !self.standing.ledger_answers() {
            return Some("waiting for the ledger: it does not answer".to_owned());
        }
        if self.directory.is_open() {
            return Some(
                "waiting for Auth0: it does not answer as it should, only probes are sent".to_owned(),
            );
        }
        if self.figures.ready.get() == 1 && self.figures.queue_reachable.get() == 0 {
            return Some("waiting for the queue: Redis does not answer".to_owned());
        }
        if self.held.count() == 0 {
            return None;
        }
        self.limiter.waiting().map(|waiting| waiting.to_string())
    }

    /// What holds for a run, and where it stands now.
    pub(crate) async fn run_spec(&self, run: RunId) -> Result<(String, RunSpec, RunState), LedgerError> {
        self.ledger.run_spec(run).await
    }
}
