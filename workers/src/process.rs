//! One worker process: which loops and consumers run, and how they stop.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use ferry_domain::{
    JobKind, Lane, QUEUES, crash,
    liveness::{FRESH, YOUNG},
    ports::{Consumer, LedgerError, Presence},
};
use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    dispatch::Dispatcher,
    environment::Environment,
    loops::{
        clock_watch::clock_watch,
        controls::controls,
        exporter::exporter,
        heartbeat::heartbeat,
        janitor::janitor,
        presence::{self, presence},
        queue_watch::queue_watch,
        relay::relay,
        rescue::rescue,
        token_watch::token_watch,
    },
};

/// Slots for rescued jobs, as a multiple of the usual ones: one process can take over the
/// batches of this many dead ones at the same time. Suspects wait in these slots too until they
/// may start, and should not hold up the rescued jobs behind them.
const RESCUED_SLOTS_FACTOR: usize = 4;

/// How often a process that has just begun looks whether it is the relay.
const LEADS_EVERY: Duration = Duration::from_millis(10);
/// How often it asks whether it is the only one.
const ALONE_EVERY: Duration = Duration::from_millis(100);

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Creates users.
    Provision,
    /// Reads them back.
    Verify,
    /// Seals runs.
    Report,
    /// Sends jobs, takes back those of dead holders, keeps the queue clean. One relay is active
    /// among all processes.
    Relay,
}

impl Role {
    /// All roles, the default.
    pub const ALL: [Role; 4] = [Role::Provision, Role::Verify, Role::Report, Role::Relay];

    fn kind(self) -> Option<JobKind> {
        match self {
            Role::Provision => Some(JobKind::Provision),
            Role::Verify => Some(JobKind::Verify),
            Role::Report => Some(JobKind::Report),
            Role::Relay => None,
        }
    }

    /// Slots of a role: report jobs are rare and short, the rest shares the setting.
    fn slots(self, batches: usize) -> usize {
        match self {
            Role::Provision | Role::Verify => batches.max(1),
            Role::Report => 1,
            Role::Relay => 0,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Provision => "provision",
            Role::Verify => "verify",
            Role::Report => "report",
            Role::Relay => "relay",
        })
    }
}

/// A word that names no role.
#[derive(Clone, Debug, thiserror::Error)]
#[error("unknown role {0:?}: take some of provision, verify, report, relay")]
pub struct UnknownRole(pub String);

impl FromStr for Role {
    type Err = UnknownRole;
    fn from_str(word: &str) -> Result<Self, UnknownRole> {
        Role::ALL.into_iter().find(|r| r.to_string() == word).ok_or_else(|| UnknownRole(word.to_owned()))
    }
}

/// Slots of a process with these roles, for its [`WorkerRecord`](ferry_domain::ports::WorkerRecord);
/// those kept free for rescued jobs are not counted.
pub fn slots(roles: &[Role], batches: usize) -> i32 {
    roles.iter().map(|role| role.slots(batches)).sum::<usize>().try_into().unwrap_or(i32::MAX)
}

/// Runs the roles until `env.stopping` is cancelled, then ends within the grace
/// period: no new job is taken, running ones finish or are handed back.
///
/// # Errors
/// When the ledger refuses the process. Outages are waited out, also at the start.
pub async fn run(env: Arc<Environment>, roles: &[Role]) -> Result<(), LedgerError> {
    let Some(registered) = presence::come_up(&env).await? else { return Ok(()) };
    let end = CancellationToken::new();
    let loops = start_loops(&env, roles, registered, &end);
    let consumers = start_consumers(&env, roles);
    info!(worker = %env.identity.id(), roles = ?roles, "working");

    env.figures.slots.set(env.worker().slots.into());
    env.figures.ready.set(1);
    env.stopping.cancelled().await;
    env.figures.ready.set(0);
    info!("stopping: nothing new is taken");
    if tokio::time::timeout(env.tuning.grace, join_all(consumers)).await.is_err() {
        warn!("the grace period is over; what still runs is handed back");
        env.held.lose_all();
    }
    crash::pass("stop.retiring");
    env.limiter.give_back().await;
    end.cancel();
    loops.join_all().await;
    match env.processes.retire(env.identity.id()).await {
        Ok(0) => info!("stopped"),
        Ok(jobs) => info!(jobs, "stopped; jobs were handed back"),
        Err(error) => warn!(%error, "stopped; leases will run out by themselves"),
    }
    Ok(())
}

fn start_loops(
    env: &Arc<Environment>,
    roles: &[Role],
    registered: Presence,
    end: &CancellationToken,
) -> JoinSet<()> {
    let mut loops = JoinSet::new();
    let (e, t) = (env.clone(), end.clone());
    loops.spawn(async move { presence(&e, registered, &t).await });
    let (e, t) = (env.clone(), end.clone());
    loops.spawn(async move { heartbeat(&e, &t).await });
    let (e, t) = (env.clone(), end.clone());
    loops.spawn(async move { controls(&e, &t).await });
    let (e, t) = (env.clone(), end.clone());
    loops.spawn(async move { clock_watch(&e, &t).await });
    let (e, t) = (env.clone(), end.clone());
    loops.spawn(async move { queue_watch(&e, &t).await });
    let (e, t) = (env.clone(), end.clone());
    loops.spawn(async move { token_watch(&e, &t).await });
    if roles.contains(&Role::Relay) {
        let (e, t) = (env.clone(), end.clone());
        loops.spawn(async move { relay(&e, &t).await });
        let (e, t) = (env.clone(), end.clone());
        loops.spawn(async move { rescue(&e, &t).await });
        let (e, t) = (env.clone(), end.clone());
        loops.spawn(async move { janitor(&e, &t).await });
        let (e, t) = (env.clone(), end.clone());
        loops.spawn(async move { exporter(&e, &t).await });
    }
    loops
}

fn start_consumers(env: &Arc<Environment>, roles: &[Role]) -> Vec<tokio::task::JoinHandle<()>> {
    let dispatcher = Arc::new(Dispatcher { env: env.clone() });
    let consume = |(kind, lane)| {
        let role = roles.iter().find(|role| role.kind() == Some(kind))?;
        let (env, dispatcher) = (env.clone(), dispatcher.clone());
        let slots = match lane {
            Lane::Usual => role.slots(env.tuning.batches),
            Lane::Rescued => role.slots(env.tuning.batches) * RESCUED_SLOTS_FACTOR,
        };
        let consumer = Consumer { worker: env.identity.id(), kind, lane, slots };
        Some(tokio::spawn(take_while_allowed(env, consumer, dispatcher)))
    };
    QUEUES.into_iter().filter_map(consume).collect()
}

/// Takes jobs while the take gate is open, until the process stops.
async fn take_while_allowed(env: Arc<Environment>, consumer: Consumer, dispatcher: Arc<Dispatcher>) {
    let kind = consumer.kind;
    if consumer.lane == Lane::Rescued {
        tokio::select! {
            () = env.stopping.cancelled() => return,
            () = may_take_over(&env) => {}
        }
    }
    loop {
        tokio::select! {
            biased;
            () = env.stopping.cancelled() => return,
            () = env.take_gate.opens(kind) => {}
        }
        let of = env.clone();
        let stop = Box::pin(async move {
            tokio::select! {
                () = of.stopping.cancelled() => {}
                () = of.take_gate.shuts(kind) => {}
            }
        });
        env.queue.consume(consumer.clone(), dispatcher.clone(), stop).await;
    }
}

/// Waits until a process that has just begun may take what others died with: as soon as it is
/// the relay, of which there is always one, or the only process, and never for long.
async fn may_take_over(env: &Environment) {
    let leads = async {
        while env.figures.relay.get() != 1 {
            tokio::time::sleep(LEADS_EVERY).await;
        }
    };
    let alone = async {
        let mine = i64::from(env.worker().slots);
        // An error says nothing: the time that is left passes.
        while !env.processes.live_slots(FRESH).await.is_ok_and(|all| all <= mine) {
            tokio::time::sleep(ALONE_EVERY).await;
        }
    };
    tokio::select! {
        () = leads => {}
        () = alone => {}
        () = tokio::time::sleep(YOUNG) => {}
    }
}
