//! Sends what the ledger has ready, and sends again what the queue lost.
//!
//! One relay is active among all processes, elected in the ledger: nine relays with a
//! window of their own each put 8,000 jobs into Redis, and its workers stopped for ever
//! (design §6). A claim in the ledger comes before the
//! push, so a crash between the two leaves a row that reconciliation finds.

use std::time::Duration;

use ferry_domain::{
    Envelope, WorkerId, crash,
    liveness::FRESH,
    ports::{Duty, LedgerError, QueueError},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Span, info, warn};

use super::lasting::Lasting;
use crate::{environment::Environment, traces};

/// How long the process stays the relay without renewal.
const TERM: Duration = Duration::from_secs(3);
/// How often queued sends are compared with the queue.
const RECONCILE_EVERY: Duration = Duration::from_secs(1);
/// How often a process that is not the relay asks to become it. Of a relay that is seen dead
/// it learns at once (`rescue`); this is for one whose death can't be seen, or that stepped down.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// Number of turns after which the relay looks for rescued jobs unasked. What it rescues itself wakes it;
/// this is for what other processes took back.
const LOOK_FOR_RESCUED: u32 = 4;
/// Sends looked at in one pass.
const PASS: i64 = 1_000;

#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

pub(crate) async fn relay(env: &Environment, end: &CancellationToken) {
    let mut term = Term::default();
    let (mut woken, mut lasting) = (true, Lasting::default());
    loop {
        // A process that never gets its registration back has to end as well.
        tokio::select! {
            biased;
            () = end.cancelled() => break,
            _ = env.identity.registered() => {}
        }
        let queue_fitted = env.take_gate.queue_fits();
        let turned = term.turn(env, woken).await;
        if turned.is_ok() {
            lasting.is_over();
        }
        let wait = match turned {
            Ok(_) if term.renewed.is_none() => ASK_EVERY,
            Ok(true) => Duration::ZERO,
            Ok(false) => env.tuning.relay_every,
            Err(error) => {
                if lasting.is_told() {
                    warn!(%error, "the relay could not send; it tries again");
                }
                term.lost(env);
                Duration::from_millis(500)
            }
        };
        woken = tokio::select! {
            () = end.cancelled() => break,
            () = env.nudge.notified(), if !wait.is_zero() && term.renewed.is_some() => true,
            () = env.vacant.notified(), if term.renewed.is_none() => true,
            // At a start the queue is looked at meanwhile.
            () = env.take_gate.queue_found_fit(), if !queue_fitted => true,
            () = tokio::time::sleep(wait) => false,
        };
    }
    if let (Some(_), Some(holder)) = (term.renewed, term.holder)
        && env.processes.step_down(Duty::Relay, holder).await.is_err()
    {
        info!("another process can be the relay in {} s", TERM.as_secs());
    }
}

/// One process's time as the relay.
#[derive(Default)]
struct Term {
    renewed: Option<Instant>,
    reconciled: Option<Instant>,
    slots: i64,
    /// The identity that leads.
    holder: Option<WorkerId>,
    turns: u32,
    /// Nothing is sent and not claimed: only the relay sends, so it need not be counted.
    none_queued: bool,
}

impl Term {
    /// One turn; true when it sent as much as it could and there may be more.
    async fn turn(&mut self, env: &Environment, woken: bool) -> Result<bool, RelayError> {
        // Jobs that go to a server that can never be the queue are lost until it is corrected.
        if !env.take_gate.queue_fits() {
            self.lost(env);
            return Ok(false);
        }
        if !self.lead(env).await? {
            return Ok(false);
        }
        if self.reconciled.is_none_or(|at| at.elapsed() >= RECONCILE_EVERY) {
            self.reconciled = Some(Instant::now());
            self.slots = env.processes.live_slots(FRESH).await?;
            reconcile(env).await?;
        }
        self.turns = self.turns.wrapping_add(1);
        if woken || self.turns.is_multiple_of(LOOK_FOR_RESCUED) {
            self.send_rescued(env).await?;
        }
        self.send_ready(env).await
    }

    /// This process does not lead, as far as it knows. Its metric says so at once: another one
    /// may lead by now, and two would be a fault.
    fn lost(&mut self, env: &Environment) {
        self.renewed = None;
        env.figures.relay.set(0);
    }

    /// Rescued jobs first, even if the window is full: their users were on their way already, and
    /// they have slots of their own.
    async fn send_rescued(&mut self, env: &Environment) -> Result<(), RelayError> {
        let rescued = env.jobs.take_rescued(self.window(env)).await?;
        self.none_queued &= rescued.is_empty();
        push(env, rescued).await
    }

    async fn send_ready(&mut self, env: &Environment) -> Result<bool, RelayError> {
        let queued = if self.none_queued { 0 } else { env.jobs.queued().await? };
        self.none_queued = queued == 0;
        let room = self.window(env) - queued;
        if room <= 0 {
            return Ok(false);
        }
        let ready = env.jobs.take_ready(room).await?;
        self.none_queued &= ready.is_empty();
        push(env, ready).await?;
        Ok(false)
    }

    async fn lead(&mut self, env: &Environment) -> Result<bool, RelayError> {
        if !env.identity.is_registered() {
            self.lost(env); // just now
            return Ok(false);
        }
        let me = env.identity.id();
        let same = self.holder == Some(me);
        if same && self.renewed.is_some_and(|at| at.elapsed() < TERM / 3) {
            return Ok(true);
        }
        self.holder = Some(me);
        let before = Instant::now();
        let was = self.renewed.is_some();
        let leads = env.processes.lead(Duty::Relay, me, TERM).await?;
        self.renewed = leads.then_some(before);
        env.figures.relay.set(i64::from(leads));
        if leads && !was {
            info!("this process is the relay now");
            self.none_queued = false; // the one before may have sent
            self.turns = LOOK_FOR_RESCUED - 1; // and may have died
            self.slots = env.processes.live_slots(FRESH).await?;
        }
        Ok(leads)
    }

    /// Three times the live slots: enough that workers never wait for the relay, and few
    /// enough that priorities have an effect.
    fn window(&self, env: &Environment) -> i64 {
        (self.slots.max(i64::from(env.worker().slots)) * 3).clamp(1, env.tuning.window)
    }
}

async fn push(env: &Environment, mut ready: Vec<Envelope>) -> Result<(), RelayError> {
    if ready.is_empty() {
        return Ok(());
    }
    crash::pass("relay.claimed");
    // They end when the queue has the jobs.
    let spans: Vec<_> = ready.iter_mut().map(|job| sent_with_trace(env, job)).collect();
    let pushed = env.queue.push(&ready, usize::try_from(env.tuning.window).unwrap_or(usize::MAX)).await;
    let taken = match &pushed {
        Ok(taken) => *taken,
        Err(_) => 0,
    };
    for unsent in spans.iter().skip(taken) {
        traces::fail(unsent, if pushed.is_err() { "queue_failed" } else { "queue_full" });
    }
    drop(spans);
    ready.iter().take(taken).for_each(|job| env.figures.job_enqueued(job.kind));
    take_back(env, &ready[taken.min(ready.len())..]).await?;
    pushed?;
    crash::pass("relay.pushed");
    Ok(())
}

/// The span of a job on its way; whoever takes the job goes on from there.
fn sent_with_trace(env: &Environment, job: &mut Envelope) -> Span {
    let span = traces::send(&*env.traces, job);
    job.traceparent = env.traces.traceparent(&span);
    span
}

async fn take_back(env: &Environment, unsent: &[Envelope]) -> Result<(), RelayError> {
    if !unsent.is_empty() {
        env.jobs.unsend(unsent).await?;
    }
    Ok(())
}

/// What has been `queued` too long and is not in the queue any more is sent
/// again, under a new send counter. A second delivery is harmless: the lease decides.
async fn reconcile(env: &Environment) -> Result<(), RelayError> {
    let waiting = env.jobs.queued_longer_than(env.tuning.lost_after, PASS).await?;
    if waiting.is_empty() {
        return Ok(());
    }
    let missing = env.queue.missing(&waiting).await?;
    if !missing.is_empty() {
        let again = env.jobs.unsend(&missing).await?;
        warn!(again, "the queue lost jobs; they are sent again");
    }
    Ok(())
}
