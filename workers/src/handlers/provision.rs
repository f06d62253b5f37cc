//! Creates a batch's users at Auth0 and writes the results back in groups.

use std::{collections::VecDeque, time::Duration};

use ferry_domain::{
    Code, Item, Job, JobKind, Lease, RunState, Verdict, crash, poison, ports::LedgerError, retry,
};
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::info;

use super::{
    crossing::{Crossed, Crossing, Trouble},
    group::Group,
    last_word::last_word,
    withdraw,
};
use crate::{Ended, environment::Environment, held::Hold};

/// How long a handler that should end waits for users under way. Under a small limit
/// most of them still wait for a permit; one whose answer is dropped is found again by its id.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// Pause of a batch that nothing lets pass: a wrong secret, a limit used up by others.
const BLOCKED_FOR: Duration = Duration::from_secs(5);

pub(crate) async fn provision(
    env: &Environment,
    lease: &Lease<Job>,
    hold: &Hold,
) -> Result<Ended, LedgerError> {
    let (migration, spec, state) = env.run_spec(lease.of.run).await?;
    if state == RunState::Cancelling {
        return withdraw::withdraw(env, lease, hold, &migration, &spec).await;
    }
    if state != RunState::Running {
        return Ok(Ended::With(handed_back()));
    }
    let mut items = env.ledger.pending_items(lease).await?;
    if items.is_empty() {
        return Ok(Ended::With(Verdict::Done));
    }
    crash::pass("provision.read");
    if poison::is_only_asked_for(lease.of.rescues, items.len())
        && let Some(item) = items.pop()
    {
        return last_word(env, lease, hold, (&migration, &spec), item).await;
    }
    let crossing = Crossing {
        directory: &env.directory,
        random: &*env.random,
        run: lease.of.run,
        migration: &migration,
        spec: &spec,
        deadline: env.tuning.user_deadline,
    };
    let mut group = Group::new(env, lease, hold, state);
    let mut course = Course::new(env, lease, items);

    // New users are started only while nothing speaks against it; those under way are awaited,
    // but not for long when the handler should end.
    let mut under_way = stream::FuturesUnordered::new();
    let mut out_of_time = std::pin::pin!(course.ends());
    loop {
        while under_way.len() < env.tuning.users && course.goes_on(&group, hold) {
            let Some(item) = course.waiting.pop_front() else { break };
            under_way.push(crossing.cross(item));
        }
        if under_way.is_empty() && !course.waits_for_ledger(&group, hold) {
            break;
        }
        tokio::select! {
            biased;
            () = hold.lost() => return Err(LedgerError::LeaseLost),
            () = &mut out_of_time => break,
            Some((crossed, requests)) = under_way.next() => {
                group.requests += requests;
                match crossed {
                    Crossed::Settled(result) => group.add(result),
                    Crossed::Unsettled(trouble, item) => course.step(trouble, *item),
                }
            }
            () = sleep_until(group.due), if !group.is_empty() => group.write().await?,
            () = env.standing.ledger_back(), if under_way.is_empty() => {}
        }
        if group.is_full() {
            group.write().await?;
        }
    }
    group.write().await?;
    if group.finished {
        info!("batch provisioned");
        return Ok(Ended::InLedger);
    }
    Ok(Ended::With(course.verdict(spec.max_attempts)))
}

pub(crate) fn handed_back() -> Verdict {
    Verdict::Snooze { after: Duration::ZERO, code: Code::Interrupted }
}

/// Which users are still to be done, and what speaks against starting them.
struct Course<'a> {
    env: &'a Environment,
    lease: &'a Lease<Job>,
    deadline: Instant,
    waiting: VecDeque<Item>,
    /// Tried in vain; left for the next attempt, unless Auth0 turns out to be ill.
    failed: Vec<Item>,
    failure: Option<Code>,
    blocked: Option<Code>,
    stops: Option<Code>,
}

impl<'a> Course<'a> {
    fn new(env: &'a Environment, lease: &'a Lease<Job>, items: Vec<Item>) -> Self {
        Course {
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
    fn ends(&self) -> impl Future<Output = ()> + use<'a> {
        let (env, run, deadline) = (self.env, self.lease.of.run, self.deadline);
        async move {
            tokio::select! {
                () = env.stopping.cancelled() => {}
                () = env.standing.halted(run, JobKind::Provision) => {}
                () = sleep_until(deadline) => {}
            }
            sleep(LAST_ANSWERS).await;
        }
    }

    /// Whether another user may be started: its result could be stored, and is wanted.
    fn goes_on(&self, group: &Group<'_>, hold: &Hold) -> bool {
        self.is_wanted(group, hold) && self.env.standing.ledger_answers()
    }

    fn is_wanted(&self, group: &Group<'_>, hold: &Hold) -> bool {
        self.stops.is_none()
            && self.blocked.is_none()
            && group.run == RunState::Running
            && !group.finished
            && hold.is_ours()
            && !self.env.stopping.is_cancelled()
            && self.env.standing.allows(self.lease.of.run, JobKind::Provision)
            && Instant::now() < self.deadline
    }

    /// Whether only the ledger's silence keeps users from being started.
    fn waits_for_ledger(&self, group: &Group<'_>, hold: &Hold) -> bool {
        !self.waiting.is_empty() && !self.env.standing.ledger_answers() && self.is_wanted(group, hold)
    }

    /// What one user's trouble means for the others.
    fn step(&mut self, trouble: Trouble, item: Item) {
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

    /// What becomes of a batch with users left: a block never counts, a failure
    /// does, and a batch that was only interrupted goes back as it is.
    fn verdict(&self, max_attempts: i32) -> Verdict {
        match (self.stops, self.blocked, self.failure) {
            (Some(code), _, _) => Verdict::Stop { code },
            (None, Some(code), _) => Verdict::Snooze { after: BLOCKED_FOR, code },
            (None, None, Some(code)) if self.waiting.is_empty() => {
                retry::after_failure(self.lease.of.attempts, max_attempts, code, &*self.env.random)
            }
            _ if Instant::now() >= self.deadline => {
                Verdict::Snooze { after: Duration::ZERO, code: Code::DeadlineExceeded }
            }
            _ => handed_back(),
        }
    }
}
