//! Creates a batch's users at Auth0 and writes the results back in groups.

use std::time::Duration;

use ferry_domain::{
    Code, ItemResult, Job, Lease, RunState, Verdict,
    ports::{LedgerError, WriteBack},
    retry,
};
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::crossing::{Crossed, Crossing, Trouble};
use crate::{Ended, environment::Environment};

/// Tries of one batch that fail one after another before the rest is left for later.
const BREAKER: u32 = 8;
/// How long a stopping process waits for users under way. Under a small limit most
/// of them still wait for a permit; one whose answer is dropped is found again by its id.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
/// Pause of a batch that nothing lets pass: a wrong secret, a missing connection.
const BLOCKED_FOR: Duration = Duration::from_secs(5);

pub(crate) async fn provision(
    env: &Environment,
    lease: &Lease<Job>,
    lost: &CancellationToken,
) -> Result<Ended, LedgerError> {
    let (migration, spec, state) = env.run_spec(lease.of.run).await?;
    if state != RunState::Running {
        return Ok(Ended::With(handed_back()));
    }
    let items = env.ledger.pending_items(lease).await?;
    if items.is_empty() {
        return Ok(Ended::With(Verdict::Done));
    }
    let crossing = Crossing {
        directory: &*env.directory,
        random: &*env.random,
        run: lease.of.run,
        migration: &migration,
        spec: &spec,
    };
    let mut group = Group::new(env, lease, lost);
    let mut brake = Brake::default();
    let go_on = |brake: &Brake, group: &Group<'_>| {
        !brake.on() && !env.stopping.is_cancelled() && group.run_goes_on && !group.finished
    };

    // New users are started only while nothing speaks against it; those under way are awaited,
    // but not for long when the process should end.
    let mut waiting = items.into_iter();
    let mut under_way = stream::FuturesUnordered::new();
    let mut out_of_time = std::pin::pin!(async {
        env.stopping.cancelled().await;
        sleep(LAST_ANSWERS).await;
    });
    loop {
        while under_way.len() < env.tuning.users && go_on(&brake, &group) {
            let Some(item) = waiting.next() else { break };
            under_way.push(crossing.cross(item));
        }
        if under_way.is_empty() {
            break;
        }
        tokio::select! {
            biased;
            () = lost.cancelled() => return Err(LedgerError::LeaseLost),
            () = &mut out_of_time => break,
            Some((crossed, requests)) = under_way.next() => {
                group.requests += requests;
                match crossed {
                    Crossed::Settled(result) => {
                        brake.release();
                        group.add(result);
                    }
                    Crossed::Unsettled(trouble) => brake.step(trouble),
                }
            }
            () = sleep_until(group.due), if !group.is_empty() => group.write().await?,
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
    Ok(Ended::With(brake.verdict(lease, spec.max_attempts, env)))
}

fn handed_back() -> Verdict {
    Verdict::Snooze { after: Duration::ZERO, code: Code::Interrupted }
}

/// Stops starting users when trying on is useless.
#[derive(Default)]
struct Brake {
    blocked: Option<Code>,
    failed: Option<Code>,
    in_a_row: u32,
}

impl Brake {
    fn step(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Blocked(code) => self.blocked = Some(code),
            Trouble::Failed(code) => {
                self.failed = Some(code);
                self.in_a_row += 1;
            }
        }
    }

    fn release(&mut self) {
        self.in_a_row = 0;
    }

    fn on(&self) -> bool {
        self.blocked.is_some() || self.in_a_row >= BREAKER
    }

    /// What becomes of a batch with users left: a block never counts, a failure
    /// does, and a batch that was only interrupted goes back as it is.
    fn verdict(&self, lease: &Lease<Job>, max_attempts: i32, env: &Environment) -> Verdict {
        match (self.blocked, self.failed) {
            (Some(code), _) => Verdict::Snooze { after: BLOCKED_FOR, code },
            (None, Some(code)) => retry::after_failure(lease.of.attempts, max_attempts, code, &*env.random),
            (None, None) => handed_back(),
        }
    }
}

/// Results waiting for company.
struct Group<'a> {
    env: &'a Environment,
    lease: &'a Lease<Job>,
    lost: &'a CancellationToken,
    results: Vec<ItemResult>,
    requests: i64,
    due: Instant,
    run_goes_on: bool,
    finished: bool,
}

impl<'a> Group<'a> {
    fn new(env: &'a Environment, lease: &'a Lease<Job>, lost: &'a CancellationToken) -> Self {
        let results = Vec::with_capacity(env.tuning.group);
        Group {
            env,
            lease,
            lost,
            results,
            requests: 0,
            due: Instant::now(),
            run_goes_on: true,
            finished: false,
        }
    }

    fn is_empty(&self) -> bool {
        self.results.is_empty()
    }

    fn is_full(&self) -> bool {
        self.results.len() >= self.env.tuning.group
    }

    fn add(&mut self, result: ItemResult) {
        if self.results.is_empty() {
            self.due = Instant::now() + self.env.tuning.group_wait;
        }
        self.results.push(result);
    }

    /// Writes what has gathered. What was done at Auth0 is kept in hand while the
    /// ledger can't be reached, for as long as the lease is ours.
    async fn write(&mut self) -> Result<(), LedgerError> {
        if self.results.is_empty() {
            return Ok(());
        }
        let mut tries = 0;
        let written = loop {
            match self.env.ledger.write_back(self.lease, &self.results, self.requests).await {
                Err(error @ (LedgerError::Busy | LedgerError::Unavailable { .. })) => {
                    if tries == 0 {
                        warn!(%error, results = self.results.len(), "results are kept until they can be written");
                    }
                    let pause = retry::wait(tries.min(2), &*self.env.random).max(Duration::from_millis(50));
                    tries += 1;
                    tokio::select! {
                        () = self.lost.cancelled() => return Err(LedgerError::LeaseLost),
                        () = sleep(pause) => {}
                    }
                }
                other => break other?,
            }
        };
        self.note(&written);
        self.results.clear();
        self.requests = 0;
        Ok(())
    }

    fn note(&mut self, written: &WriteBack) {
        self.run_goes_on = written.run == RunState::Running;
        self.finished = written.finished();
        for (seq, code) in &written.refused_rows {
            warn!(item.seq = seq.0, code = code.as_str(), "the application's row did not take the id");
        }
    }
}
