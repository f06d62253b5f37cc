//! What handlers and loops may use. Passed in as one struct, no globals; parts
//! that tests replace are ports.

use std::{sync::Arc, time::Duration};

use ferry_domain::{
    Figures, JobKind, RunId,
    figures::{LedgerStep, Timed},
    limits::LimitPlan,
    ports::{
        Batches, Clock, Controls, DeadLetters, Directory, Items, Jobs, Leases, Ledger, LedgerError, Limiter,
        LimiterFigures, Moves, Orders, Processes, Queue, Random, Reports, Runs, WaitReason, WorkerRecord,
    },
};
use tokio::{
    sync::{Mutex, Notify},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{
    guarded::Guarded,
    held::HeldLeases,
    identity::Identity,
    send_gate::SendGate,
    start_gate::StartGate,
    take_gate::TakeGate,
    traces::{self, TraceLinks},
};

/// Figures that decide how work is paced. Defaults are those of the settings file.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// Batches a process works on at the same time.
    pub batches: usize,
    /// Users of one batch under way at the same time.
    pub users: usize,
    /// Results written back together, at most.
    pub group: usize,
    /// How long a result waits for others to be written together with it.
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
    /// Jobs in the queue at the same time, at most.
    pub window: i64,
    /// How long a stopping process may finish what runs.
    pub grace: Duration,
    /// How long resolved dead letters are kept; `None` for ever.
    pub keep_dead: Option<Duration>,
    /// The tenant's limits unless an operator set others.
    pub limits: LimitPlan,
    /// Share of the users who have spans of their own in traces: 0 none, 1 all.
    pub user_spans: f64,
    /// The tenant that requests go to, as runs name it; `None` where it is not to be compared.
    pub tenant: Option<String>,
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
            user_spans: 0.01,
            tenant: None,
        }
    }
}

/// What an environment is put together from.
pub struct Parts {
    /// The ledger, which is the truth.
    pub ledger: Arc<dyn Ledger>,
    /// The queue, which carries ids of jobs.
    pub queue: Arc<dyn Queue>,
    /// Auth0.
    pub directory: Arc<dyn Directory>,
    /// The tenant's limits, which the directory keeps to.
    pub limiter: Arc<dyn Limiter>,
    /// Time of day.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// This process, as it registers first.
    pub worker: WorkerRecord,
    /// How work is paced.
    pub tuning: Tuning,
    /// Counters for metrics.
    pub figures: Arc<Figures>,
    /// Kind of the ledger's database, as OpenTelemetry names it.
    pub database: &'static str,
    /// Ties spans to those of other processes.
    pub traces: Arc<dyn TraceLinks>,
    /// Cancelled when the process should end: take nothing new, hand back.
    pub stopping: CancellationToken,
}

/// Everything a worker process works with. Of the ledger each part by itself: a loop or handler
/// names what it uses. None plans.
pub struct Environment {
    pub(crate) runs: Arc<dyn Runs>,
    pub(crate) items: Arc<dyn Items>,
    pub(crate) batches: Arc<dyn Batches>,
    pub(crate) jobs: Arc<dyn Jobs>,
    pub(crate) leases: Arc<dyn Leases>,
    pub(crate) processes: Arc<dyn Processes>,
    pub(crate) moves: Arc<dyn Moves>,
    pub(crate) dead: Arc<dyn DeadLetters>,
    pub(crate) reports: Arc<dyn Reports>,
    pub(crate) controls: Arc<dyn Controls>,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) directory: Guarded,
    pub(crate) limiter: Arc<dyn Limiter>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) tuning: Tuning,
    pub(crate) figures: Arc<Figures>,
    pub(crate) database: &'static str,
    pub(crate) traces: Arc<dyn TraceLinks>,
    pub(crate) stopping: CancellationToken,
    pub(crate) identity: Identity,
    pub(crate) send_gate: SendGate,
    /// Held while the ledger is asked for orders.
    looking: Mutex<()>,
    pub(crate) held: HeldLeases,
    pub(crate) nudge: Notify,
    /// Wakes a process that is not the relay: the relay is dead.
    pub(crate) vacant: Notify,
    pub(crate) start_gate: StartGate,
    pub(crate) take_gate: TakeGate,
    /// Wakes the heartbeat: others should know now why work waits.
    pub(crate) tell: Notify,
    since: Instant,
}

impl Environment {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        let Parts {
            ledger,
            queue,
            directory,
            limiter,
            clock,
            random,
            worker,
            tuning,
            figures,
            database,
            traces,
            stopping,
        } = parts;
        Environment {
            directory: Guarded::new(directory, random.clone(), figures.clone()),
            send_gate: SendGate::new(figures.clone()),
            looking: Mutex::default(),
            identity: Identity::new(worker),
            held: HeldLeases::default(),
            nudge: Notify::new(),
            vacant: Notify::new(),
            start_gate: StartGate::default(),
            take_gate: TakeGate::new(),
            tell: Notify::new(),
            since: Instant::now(),
            runs: ledger.clone(),
            items: ledger.clone(),
            batches: ledger.clone(),
            jobs: ledger.clone(),
            leases: ledger.clone(),
            processes: ledger.clone(),
            moves: ledger.clone(),
            dead: ledger.clone(),
            reports: ledger.clone(),
            controls: ledger,
            queue,
            limiter,
            clock,
            random,
            tuning,
            figures,
            database,
            traces,
            stopping,
        }
    }

    /// This process, as it is known now.
    pub fn worker(&self) -> WorkerRecord {
        self.identity.record()
    }

    /// This process as other processes see it, with why its work waits.
    pub(crate) fn record(&self) -> WorkerRecord {
        WorkerRecord { waiting_for: self.waiting_for(), ..self.identity.record() }
    }

    /// Wakes the relay of this process: there is something to send.
    pub(crate) fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// Waits for a step of the ledger, and tells how long it took.
    pub(crate) async fn timed<T>(
        &self,
        step: LedgerStep,
        answer: impl Future<Output = Result<T, LedgerError>>,
    ) -> Result<T, LedgerError> {
        let (asked, span) = (Instant::now(), traces::step(step, self.database));
        let answer = answer.instrument(span.clone()).await;
        if let Err(error) = &answer {
            traces::fail(&span, error.word());
        }
        self.figures.took(Timed::Ledger(step), asked.elapsed());
        answer
    }

    /// Asks what operators want now where the last look forbids work on this job: it may be half a
    /// second old, and the run may have begun or been resumed since. Otherwise each batch would be
    /// handed back and sent again until the next look.
    pub(crate) async fn look_again(&self, run: RunId, kind: JobKind) {
        if !self.send_gate.allows(run, kind) {
            self.look().await;
        }
    }

    /// Asks what operators want. One question at a time: an older answer must not undo a newer one.
    pub(crate) async fn look(&self) -> Option<Orders> {
        let _one = self.looking.lock().await;
        let heard = self.controls.orders().await;
        if self.send_gate.note_read(&heard) {
            self.tell.notify_one(); // the heartbeat writes
        }
        let orders = heard.ok()?;
        self.send_gate.heard(orders.clone());
        Some(orders)
    }

    /// Time since the process began, by its steady clock.
    pub(crate) fn uptime(&self) -> Duration {
        self.since.elapsed()
    }

    /// The same in milliseconds.
    pub fn uptime_ms(&self) -> i64 {
        i64::try_from(self.uptime().as_millis()).unwrap_or(i64::MAX)
    }

    /// Why work waits, for people.
    pub(crate) fn waiting_for(&self) -> Option<WaitReason> {
        let reason = |text: &str| Some(WaitReason(text.to_owned()));
        if let Some(lacks) = self.send_gate.ledger_lacks() {
            return Some(WaitReason(format!("waiting for the ledger: {lacks}")));
        }
        // Who waits to write reads no answers of Auth0 meanwhile: it is not Auth0 that is silent then.
        if let Some(why) = self.send_gate.table_lacks().filter(|_| self.held.count() > 0) {
            return Some(WaitReason(format!("waiting for the application's table: {why}")));
        }
        if let Some(what) = self.send_gate.locked() {
            return Some(WaitReason(format!(
                "waiting for the application: it holds {what} locked, find its long transaction"
            )));
        }
        if self.directory.is_open() {
            return reason("waiting for Auth0: it does not answer as it should, only probes are sent");
        }
        if let Some(lacks) = self.figures.token_lacks() {
            return Some(WaitReason(format!("waiting: {lacks}")));
        }
        if let Some(silence) = self.directory.silence() {
            return Some(WaitReason(silence.to_string()));
        }
        if let Some(tenant) = self.figures.wrong_tenant() {
            return Some(WaitReason(format!(
                "waiting: the run is for the tenant {tenant}, and this worker is not"
            )));
        }
        let limit = self.limiter.figures();
        let refused = limit.alone.is_some_and(|alone| alone.refused);
        if let Some(lacks) = self.figures.queue_lacks() {
            let remark = limit.remark().filter(|_| refused).map(|remark| format!("; {remark}"));
            return Some(WaitReason(format!("waiting: {lacks}{}", remark.unwrap_or_default())));
        }
        let remark = limit.remark().map(|remark| WaitReason(format!("waiting for the limit: {remark}")));
        if refused {
            return self.waits_for_limit(&limit).or(remark);
        }
        if self.held.count() == 0 {
            return None;
        }
        self.waits_for_limit(&limit).or(remark)
    }

    /// The limit as what work waits for, and why it is not the plan's.
    fn waits_for_limit(&self, limit: &LimiterFigures) -> Option<WaitReason> {
        // Before the first answer of Redis it is not known what the limit is.
        if limit.shared_reachable == Some(false) && limit.alone.is_none() {
            return None;
        }
        let waiting = self.limiter.waiting()?;
        let remarks = [limit.kept_remark(), limit.remark()].into_iter().flatten();
        Some(WaitReason(remarks.fold(waiting.to_string(), |told, remark| format!("{told}; {remark}"))))
    }
}
