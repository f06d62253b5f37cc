//! Concrete adapters behind the ports, chosen by URLs. The only place that names them.

mod ledgers;
mod places;

use std::{sync::Arc, time::Duration};

use ferry_auth0::{Auth0, Auth0Settings};
use ferry_domain::{
    Figures,
    ports::{Directory, Ledger, LedgerError, Limiter, Queue, QueueError, WorkerRecord},
};
use ferry_ledger_sqlite::EmbeddedLock;
use ferry_limiter::{LocalLimiter, SharedLimiter, SharedOptions, TenantLimiter};
use ferry_operations::Access;
use ferry_queue::{MemoryQueue, RedisOptions, RedisQueue};
use ferry_workers::{Environment, Parts, Role, Tuning};
use tokio_util::sync::CancellationToken;

use crate::{
    exit::{refused, usage},
    place::Place,
    settings::Settings,
    setup::Setup,
    system::{SystemClock, SystemRandom},
    tenant,
    traces::Joined,
};

pub use ledgers::{
    FileState, application_in, application_table, check_readable, ledger, ledger_for, looked_at, migrated,
    postgres, sqlite, try_write,
};
pub use places::{Misplaced, ledger_of, ledger_place, misplaced, relocate};

/// What operations may use, with the ledger, which must exist.
pub async fn access(setup: &Setup) -> anyhow::Result<Access> {
    Ok(access_to(ledger(&ledger_place(&setup.servers).await?, setup).await?, setup))
}

/// The same, with the application's table where it is in another database that is known.
pub async fn access_with_table(setup: &Setup) -> anyhow::Result<Access> {
    let place = ledger_place(&setup.servers).await?;
    if let Place::Sqlite(path) = &place {
        ledgers::check_there(path).await?;
    }
    let application = Place::of_application(&setup.servers)?;
    // An application that is away keeps nobody from looking at a run.
    let Ok(ledger) = ledger_for(application.as_ref(), &place, setup).await else {
        return access(setup).await;
    };
    check_readable(&*ledger).await?;
    Ok(access_to(ledger, setup))
}

/// What operations may use, with this ledger.
pub fn access_to(ledger: Arc<dyn Ledger>, setup: &Setup) -> Access {
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    Access::new(ledger, clock, random, setup.servers.operator.clone())
}

/// Connects to Redis, with the settings' namespace.
pub async fn redis(setup: &Setup) -> anyhow::Result<RedisQueue> {
    let (namespace, ca) = (setup.settings.queue.namespace.clone(), setup.servers.redis_ca()?);
    let options = RedisOptions { namespace, ca };
    Ok(RedisQueue::connect(setup.servers.required_redis()?.text(), options).await?)
}

/// Auth0, and the limits it is asked under.
pub struct Target {
    /// Auth0.
    pub directory: Arc<dyn Directory>,
    /// The tenant's limits, which the directory keeps to.
    pub limiter: Arc<dyn Limiter>,
}

/// Auth0, behind the tenant's limits: one process with a SQLite ledger keeps them alone,
/// processes with a PostgreSQL ledger together, over Redis. It need not answer yet.
pub fn target(
    auth0: Auth0Settings,
    place: &Place,
    setup: &Setup,
    figures: &Arc<Figures>,
) -> anyhow::Result<Target> {
    let limits = &setup.settings.limits()?;
    let limiter: Arc<dyn Limiter> = match place {
        Place::Sqlite(_) => Arc::new(LocalLimiter::new(limits)),
        Place::Postgres(_) => {
            let (redis, tenant) = (setup.servers.required_redis()?, tenant::required(&setup.servers)?);
            let ca = setup.servers.redis_ca()?;
            let options = SharedOptions { floor_share: setup.settings.auth0.floor_share, ca };
            Arc::new(SharedLimiter::new(redis.text(), &tenant, limits, &options).map_err(usage)?)
        }
    };
    let limiter: Arc<dyn Limiter> = Arc::new(TenantLimiter::new(limiter, limits));
    let directory = Arc::new(Auth0::new(auth0, limiter.clone(), figures.clone()).map_err(usage)?);
    Ok(Target { directory, limiter })
}

/// What a worker process needs beside Auth0.
pub struct Transport {
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// Kind of its database, as OpenTelemetry names it.
    pub database: &'static str,
    /// The queue that goes with it.
    pub queue: Arc<dyn Queue>,
    /// Kept while an embedded process works on its file.
    pub lock: Option<EmbeddedLock>,
}

/// Ledger and queue: SQLite goes with the queue in memory and a lock on the
/// file, PostgreSQL with Redis. Nothing in between.
pub async fn transport(
    place: &Place,
    application: Option<&Place>,
    setup: &Setup,
) -> anyhow::Result<Transport> {
    match place {
        Place::Sqlite(path) => {
            ledgers::check_there(path).await?;
            let ledger = ledger_for(application, place, setup).await?;
            let lock = EmbeddedLock::take(path).map_err(refused)?;
            let queue = Arc::new(MemoryQueue::new());
            Ok(Transport { ledger, database: "sqlite", queue, lock: Some(lock) })
        }
        Place::Postgres(_) => {
            setup.servers.required_redis()?; // before anything is connected
            let ledger = ledger_for(application, place, setup).await?;
            check_readable(&*ledger).await?;
            let queue = Arc::new(redis(setup).await?);
            Ok(Transport { ledger, database: "postgresql", queue, lock: None })
        }
    }
}

/// Whether an error of [`transport`] may be over later without anybody's doing.
pub fn passes(error: &anyhow::Error) -> bool {
    let of_ledger = error.downcast_ref().is_some_and(LedgerError::passes);
    of_ledger || error.downcast_ref().is_some_and(|error: &QueueError| error.passes)
}

/// Pace of a worker process.
fn tuning(settings: &Settings) -> anyhow::Result<Tuning> {
    let days = |days: u64| Duration::from_secs(days * 86_400);
    Ok(Tuning {
        limits: settings.limits()?,
        batches: settings.worker.batches,
        users: settings.worker.users,
        group: settings.worker.group,
        user_spans: settings.traces.user_share,
        group_wait: Duration::from_millis(settings.worker.group_wait_ms),
        lease: Duration::from_secs(settings.worker.lease_seconds),
        window: settings.queue.window,
        grace: Duration::from_secs(settings.worker.grace_seconds),
        keep_dead: Some(settings.dead.keep_days).filter(|days| *days > 0).map(days),
        ..Tuning::default()
    })
}

/// This process as the ledger registers it.
pub fn record(setup: &Setup, slots: i32) -> WorkerRecord {
    WorkerRecord {
        id: setup.process,
        host: setup.servers.host.clone(),
        pid: i32::try_from(std::process::id()).unwrap_or(0),
        slots,
        waiting_for: None,
    }
}

/// A worker process's environment; `tenant` is where its requests go, as runs name it.
pub fn worker(
    setup: &Setup,
    transport: &Transport,
    target: Target,
    tenant: Option<String>,
    roles: &[Role],
    figures: Arc<Figures>,
    stopping: CancellationToken,
) -> anyhow::Result<Arc<Environment>> {
    let tuning = Tuning { tenant, ..tuning(&setup.settings)? };
    Ok(Arc::new(Environment::new(Parts {
        ledger: transport.ledger.clone(),
        queue: transport.queue.clone(),
        directory: target.directory,
        limiter: target.limiter,
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        worker: record(setup, ferry_workers::slots(roles, tuning.batches)),
        tuning,
        figures,
        database: transport.database,
        traces: Arc::new(Joined(setup.traces.clone())),
        stopping,
    })))
}
