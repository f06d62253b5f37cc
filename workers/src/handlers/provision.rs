//! Creates a batch's users at Auth0 and writes the results back in groups.

use std::{collections::VecDeque, time::Duration};

use ferry_domain::{
    Code, Item, Job, JobKind, Lease, RunState, Verdict, crash, figures::LedgerStep, poison,
    ports::LedgerError, retry,
};
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    answers::{Ended, Trouble, handed_back, of_another_tenant},
    creating::{CreateUser, Tried},
    final_check::final_check,
    result_buffer::ResultBuffer,
    withdraw::withdraw,
};
use crate::{environment::Environment, held::HeldLease};

/// How long a handler that should end waits for users under way. Under a small limit
/// most of them still wait for a permit; one whose answer is dropped is found again by its id.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// Pause of a batch that can't go on for now: a wrong secret, a limit used up by others.
const BLOCKED_FOR: Duration = Duration::from_secs(5);
/// Pause of a batch of which only rows are left that the application holds locked. Each try asks
/// Auth0 twice for each of them.
const LOCKED_FOR: Duration = Duration::from_secs(5);

pub(crate) async fn provision(
    env: &Environment,
    lease: &Lease<Job>,
    hold: &HeldLease,
) -> Result<Ended, LedgerError> {
    let run = env.runs.run_now(lease.of.run).await?;
    if let Some(ended) = of_another_tenant(env, &run) {
        return Ok(ended);
    }
    if run.state == RunState::Cancelling {
        return withdraw(env, lease, hold, &run).await;
    }
    if run.state != RunState::Running {
        return Ok(Ended::With(handed_back()));
    }
    env.look_again(lease.of.run, JobKind::Provision).await;
    let mut items = env.timed(LedgerStep::ReadBatch, env.items.pending_items(lease)).await?;
    if items.is_empty() {
        return Ok(Ended::With(Verdict::Done));
    }
    crash::pass("provision.read");
    if poison::is_only_asked_for(lease.of.rescues, items.len())
        && let Some(item) = items.pop()
    {
        return final_check(env, lease, hold, &run, item).await;
    }
    let creating = CreateUser {
        directory: &env.directory,
        random: &*env.random,
        id: lease.of.run,
        run: &run,
        deadline: env.tuning.user_deadline,
        spans: env.tuning.user_spans,
    };
    let mut results = ResultBuffer::new(env, lease, hold, run.state);
    let mut progress = BatchProgress::new(env, lease, items);

    // New users are started only while nothing forbids it; those under way are awaited,
    // but not for long when the handler should end.
    let mut under_way = stream::FuturesUnordered::new();
    let mut out_of_time = std::pin::pin!(progress.should_end());
    loop {
        while under_way.len() < env.tuning.users && progress.may_start_next(&results, hold) {
            let Some(item) = progress.waiting.pop_front() else { break };
            under_way.push(creating.create(item));
        }
        let waits = results.is_writing() && !progress.waiting.is_empty();
        if under_way.is_empty() && !waits && !progress.waits_for_ledger(&results, hold) {
            break;
        }
        tokio::select! {
            biased;
            () = hold.lost() => return Err(LedgerError::LeaseLost),
            () = &mut out_of_time => break,
            step = results.step() => step?,
            Some((tried, requests)) = under_way.next() => {
                results.requests += requests;
                match tried {
                    Tried::Settled(result) => results.add(result),
                    Tried::Unsettled(trouble, item) => progress.note(trouble, *item),
                }
            }
            () = env.send_gate.ledger_back(), if under_way.is_empty() && !results.is_writing() => {}
        }
    }
    let locked = results.write_last().await?;
    if results.finished {
        results.log_end();
        return Ok(Ended::InLedger);
    }
    Ok(Ended::With(progress.verdict(run.spec.max_attempts, locked)))
}

/// How far a batch is: which users are still to be done, and what forbids starting them.
struct BatchProgress<'a> {
    env: &'a Environment,
    lease: &'a Lease<Job>,
    deadline: Instant,
    waiting: VecDeque<Item>,
    /// Tried without success; left for the next attempt, unless Auth0 turns out to be ill.
    failed: Vec<Item>,
    failure: Option<Code>,
    blocked: Option<Code>,
    stops: Option<Code>,
}

impl<'a> BatchProgress<'a> {
    fn new(env: &'a Environment, lease: &'a Lease<Job>, items: Vec<Item>) -> Self {
        BatchProgress {
            env,
            lease,
            deadline: Instant::now() + env.tuning.batch_deadline,
            waiting: items.into(),
            failed: Vec::new(),
            failure: None,
            blocked: None,
            stops: None,
        }
    }

    /// Resolves when the handler should end although users are under way.
    fn should_end(&self) -> impl Future<Output = ()> + use<'a> {
        let (env, run, deadline) = (self.env, self.lease.of.run, self.deadline);
        async move {
            tokio::select! {
                () = env.stopping.cancelled() => {}
                () = env.send_gate.halted(run, JobKind::Provision) => {}
                () = sleep_until(deadline) => {}
            }
            sleep(LAST_ANSWERS).await;
        }
    }

    /// Whether another user may be started: its result could be stored, and is wanted.
    fn may_start_next(&self, results: &ResultBuffer<'_>, hold: &HeldLease) -> bool {
        results.has_room() && self.is_wanted(results, hold) && self.env.send_gate.ledger_answers()
    }

    fn is_wanted(&self, results: &ResultBuffer<'_>, hold: &HeldLease) -> bool {
        self.stops.is_none()
            && self.blocked.is_none()
            && results.run == RunState::Running
            && !results.finished
            && hold.is_ours()
            && !self.env.stopping.is_cancelled()
            && self.env.send_gate.allows(self.lease.of.run, JobKind::Provision)
            && Instant::now() < self.deadline
    }

    /// Whether only the ledger's silence keeps users from being started.
    fn waits_for_ledger(&self, results: &ResultBuffer<'_>, hold: &HeldLease) -> bool {
        !self.waiting.is_empty() && !self.env.send_gate.ledger_answers() && self.is_wanted(results, hold)
    }

    /// What one user's trouble means for the others.
    fn note(&mut self, trouble: Trouble, item: Item) {
        match trouble {
            Trouble::Stops(code) => self.stops = Some(code),
            Trouble::Blocked(code) => self.blocked = Some(code),
            Trouble::Failed(code) => {
                self.failed.push(item);
                self.failure = Some(code);
                if self.env.directory.is_open() {
                    // Auth0 is ill, not these users: they wait at the breaker, and it costs nothing.
                    self.waiting.extend(self.failed.drain(..));
                    self.failure = None;
                }
            }
        }
    }

    /// The verdict on a batch with users left: a block never counts, a failure does, and a
    /// batch that was only interrupted, or met rows that the application holds locked, goes back
    /// as it is.
    fn verdict(&self, max_attempts: i32, locked: bool) -> Verdict {
        match (self.stops, self.blocked, self.failure) {
            (Some(code), _, _) => Verdict::Stop { code },
            (None, Some(code), _) => Verdict::Snooze { after: BLOCKED_FOR, code },
            (None, None, Some(code)) if self.waiting.is_empty() => {
                retry::after_failure(self.lease.of.attempts, max_attempts, code, &*self.env.random)
            }
            _ if locked && self.waiting.is_empty() => {
                Verdict::Snooze { after: LOCKED_FOR, code: Code::LedgerBusy }
            }
            _ if Instant::now() >= self.deadline => {
                Verdict::Snooze { after: Duration::ZERO, code: Code::DeadlineExceeded }
            }
            _ => handed_back(),
        }
    }
}
