//! Concrete adapters behind the ports, chosen by URLs. The only place that names them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use ferry_auth0::{Auth0, Auth0Settings};
use ferry_domain::{
    Figures, WorkerId, WriteBackTarget,
    application::AppTable,
    migration::Migrated,
    ports::{
        Application, Directory, Ledger, LedgerError, Limiter, Planning, Queue, QueueError, WorkerRecord,
    },
};
use ferry_ledger_postgres::{PostgresApplication, PostgresLedger};
pub use ferry_ledger_sqlite::State as FileState;
use ferry_ledger_sqlite::{EmbeddedLock, Holds, SqliteApplication, SqliteLedger};
use ferry_limiter::{LocalLimiter, SharedLimiter, SharedOptions, TenantLimiter};
use ferry_operations::Access;
use ferry_queue::{MemoryQueue, RedisOptions, RedisQueue};
use ferry_sources::Location;
use ferry_workers::{Environment, Parts, Role, Tuning};
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;

use crate::{
    exit::{refused, usage},
    files,
    place::Place,
    servers::Servers,
    settings::Settings,
    setup::Setup,
    system::{SystemClock, SystemRandom},
    tenant,
};

/// What operations may use, with the ledger, which must exist.
pub async fn access(setup: &Setup) -> anyhow::Result<Access> {
    Ok(access_to(ledger(&ledger_place(&setup.servers).await?, setup).await?, setup))
}

/// The same, with the application's table where it is in another database that is known.
pub async fn access_with_table(setup: &Setup) -> anyhow::Result<Access> {
    let place = ledger_place(&setup.servers).await?;
    if let Place::Sqlite(path) = &place {
        check_there(path).await?;
    }
    let application = Place::of_application(&setup.servers)?;
    // An application that is away keeps nobody from looking at a run.
    let Ok(ledger) = ledger_for(application.as_ref(), &place, setup).await else {
        return access(setup).await;
    };
    check_readable(&*ledger).await?;
    Ok(access_to(ledger, setup))
}

/// Where the ledger is that the environment names.
pub async fn ledger_place(servers: &Servers) -> anyhow::Result<Place> {
    let named = Place::of(servers)?;
    match servers.ledger_url.get() {
        Some(_) => Ok(named),
        None => beside(named).await,
    }
}

/// Where the ledger of a source is, unless `FERRY_LEDGER_URL` says it: that of a PostgreSQL table in
/// its database, so that an id and its record are written in one transaction; that of a SQLite
/// table in a file beside, since schema tools rebuild such a file and remove what they don't know.
pub async fn ledger_of(location: &Location, servers: &Servers) -> anyhow::Result<Place> {
    match Place::of_location(location).filter(|_| servers.ledger_url.get().is_none()) {
        Some(own) => beside(own).await,
        None => ledger_place(servers).await,
    }
}

/// The ledger of what is in this place: that in a file beside an application's, unless the ledger
/// was made in the file itself and is not moved yet. A file without an application's tables is
/// the ledger's.
async fn beside(place: Place) -> anyhow::Result<Place> {
    let Place::Sqlite(path) = &place else { return Ok(place) };
    let beside = Place::beside(path);
    let (own, apart) = (held_by(&place).await?, held_by(&beside).await?);
    let is_there = apart.ledger && !apart.copying && (apart.runs || !own.runs);
    Ok(if is_there || own.others && !own.ledger { beside } else { place })
}

async fn held_by(place: &Place) -> anyhow::Result<Holds> {
    Ok(match place {
        Place::Sqlite(path) => ferry_ledger_sqlite::holds(path).await?,
        Place::Postgres(_) => Holds::default(),
    })
}

/// A ledger in an application's file, where nobody asked for it.
pub struct Misplaced {
    /// The application's file.
    pub application: PathBuf,
    /// The file beside it, where the ledger belongs.
    pub beside: PathBuf,
    /// Whether that is a ledger with runs too, and the one that counts.
    pub both: bool,
}

/// Whether there is a ledger in the application's file, as older versions made it.
pub async fn misplaced(servers: &Servers) -> anyhow::Result<Option<Misplaced>> {
    let (None, Place::Sqlite(path)) = (servers.ledger_url.get(), Place::of(servers)?) else {
        return Ok(None);
    };
    let Place::Sqlite(beside) = Place::beside(&path) else { return Ok(None) };
    let (own, apart) = (ferry_ledger_sqlite::holds(&path).await?, ferry_ledger_sqlite::holds(&beside).await?);
    let both = own.runs && apart.runs && !apart.copying;
    let is_misplaced = own.ledger && (own.others || apart.ledger);
    Ok(is_misplaced.then_some(Misplaced { application: path, beside, both }))
}

/// Moves a ledger out of the application's file; returns how many runs it has.
pub async fn relocate(Misplaced { application, beside, .. }: &Misplaced) -> anyhow::Result<i64> {
    let locks = [application, beside].map(|file| EmbeddedLock::take(file));
    for lock in &locks {
        if let Err(held) = lock {
            return Err(refused(format!("the ledger can't be moved: {held}")));
        }
    }
    let database = Place::Sqlite(application.clone()).name_for(&Place::Sqlite(beside.clone()));
    Ok(ferry_ledger_sqlite::relocate(application, beside, &database).await?)
}

/// What operations may use, with this ledger.
pub fn access_to(ledger: Arc<dyn Ledger>, setup: &Setup) -> Access {
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    Access::new(ledger, clock, random, setup.servers.operator.clone())
}

/// Opens a ledger that exists. A SQLite ledger's tables are brought up to date
/// on the way; a PostgreSQL schema is changed by `ferry migrate` only.
pub async fn ledger(place: &Place, setup: &Setup) -> anyhow::Result<Arc<dyn Ledger>> {
    match place {
        Place::Sqlite(path) => {
            check_there(path).await?;
            sqlite(path).await
        }
        Place::Postgres(url) => {
            let ledger = postgres(url, setup).await?;
            check_readable(&*ledger).await?;
            Ok(ledger)
        }
    }
}

/// Opens a ledger for what reads or writes the application's table, which may be in another
/// database. A SQLite ledger is made where it is missing; a PostgreSQL one may be in any state.
pub async fn ledger_for(
    application: Option<&Place>,
    place: &Place,
    setup: &Setup,
) -> anyhow::Result<Arc<dyn Ledger>> {
    let apart = match application.filter(|of| of.name() != place.name()) {
        Some(of) => application_in(of, place, setup).await?,
        None => None,
    };
    Ok(match (place, apart) {
        (Place::Sqlite(path), None) => sqlite(path).await?,
        (Place::Sqlite(path), Some(apart)) => Arc::new(sqlite_ledger(path).await?.beside(apart)),
        (Place::Postgres(url), None) => postgres(url, setup).await?,
        (Place::Postgres(url), Some(apart)) => Arc::new(connect(url, setup).await?.beside(apart)),
    })
}

/// The application's database, for a ledger in another one; `None` where the file is not there.
pub async fn application_in(
    of: &Place,
    ledger: &Place,
    setup: &Setup,
) -> anyhow::Result<Option<Arc<dyn Application>>> {
    Ok(match of {
        Place::Sqlite(path) if !path.is_file() => None,
        Place::Sqlite(path) => Some(Arc::new(SqliteApplication::open(path, of.name_for(ledger)).await?)),
        Place::Postgres(url) => {
            let (url, options) = (url.expose_secret(), postgres_options(setup));
            Some(Arc::new(PostgresApplication::connect(url, of.name(), options).await?))
        }
    })
}

/// Refuses a PostgreSQL ledger whose tables are missing or older than this program.
pub async fn check_readable(ledger: &dyn Ledger) -> anyhow::Result<()> {
    let read = ledger.runs(1).await;
    read.context("the ledger can't be read; `ferry migrate --yes` makes or updates its tables").map(drop)
}

/// Opens a SQLite ledger, making file and tables where they are missing.
pub async fn sqlite(path: &Path) -> anyhow::Result<Arc<dyn Ledger>> {
    Ok(Arc::new(sqlite_ledger(path).await?))
}

async fn sqlite_ledger(path: &Path) -> anyhow::Result<SqliteLedger> {
    if path.exists() {
        files::check("the ledger", path)?;
    }
    let ledger = SqliteLedger::open(path).await?;
    ledger.migrate().await?;
    Ok(ledger)
}

/// What a file has of a ledger; changes nothing.
pub async fn looked_at(path: &Path) -> anyhow::Result<FileState> {
    files::check("the ledger", path)?;
    Ok(ferry_ledger_sqlite::state(path).await?)
}

async fn check_there(path: &Path) -> anyhow::Result<()> {
    if ferry_ledger_sqlite::holds(path).await?.ledger {
        return Ok(());
    }
    let shown = path.display();
    Err(usage(format!("{shown}: there is no ledger. Start a run first, or set DATABASE_URL to where it is")))
}

/// Connects to PostgreSQL, whatever the state of its tables.
pub async fn postgres(url: &SecretString, setup: &Setup) -> anyhow::Result<Arc<dyn Ledger>> {
    Ok(Arc::new(connect(url, setup).await?))
}

async fn connect(url: &SecretString, setup: &Setup) -> anyhow::Result<PostgresLedger> {
    Ok(PostgresLedger::connect(url.expose_secret(), postgres_options(setup)).await?)
}

fn postgres_options(setup: &Setup) -> ferry_ledger_postgres::Options {
    ferry_ledger_postgres::Options {
        max_connections: setup.settings.ledger.max_connections,
        death_lock: setup.settings.ledger.death_lock,
        ..ferry_ledger_postgres::Options::default()
    }
}

/// Looks at the application's table where it is, and changes nothing. It needs no ledger.
pub async fn application_table(
    location: &Location,
    target: &WriteBackTarget,
    setup: &Setup,
) -> anyhow::Result<AppTable> {
    Ok(match location {
        Location::Postgres { url } => postgres(url, setup).await?.application_table(target).await?,
        Location::Sqlite { path } => ferry_ledger_sqlite::application_table(path, target).await?,
        Location::File { path, .. } => {
            return Err(usage(format!("{}: a file has no table to write to", path.display())));
        }
    })
}

/// Sources that were moved before, with their names, where a ledger is there. Changes nothing.
///
/// # Errors
/// When the ledger can't be asked, or has no tables yet.
pub async fn migrated(place: &Place, setup: &Setup) -> anyhow::Result<Vec<Migrated>> {
    Ok(match place {
        Place::Sqlite(path) if !path.is_file() => Vec::new(),
        Place::Sqlite(path) => ferry_ledger_sqlite::migrated(path).await?,
        Place::Postgres(url) => postgres(url, setup).await?.migrated().await?,
    })
}

/// Connects to Redis, with the settings' namespace.
pub async fn redis(setup: &Setup) -> anyhow::Result<RedisQueue> {
    let (namespace, ca) = (setup.settings.queue.namespace.clone(), setup.servers.redis_ca()?);
    let options = RedisOptions { namespace, ca };
    Ok(RedisQueue::connect(setup.servers.required_redis()?, options).await?)
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
pub fn target(auth0: Auth0Settings, place: &Place, setup: &Setup) -> anyhow::Result<Target> {
    let limits = &setup.settings.limits()?;
    let limiter: Arc<dyn Limiter> = match place {
        Place::Sqlite(_) => Arc::new(LocalLimiter::new(limits)),
        Place::Postgres(_) => {
            let (redis, tenant) = (setup.servers.required_redis()?, tenant::required(&setup.servers)?);
            let ca = setup.servers.redis_ca()?;
            let options = SharedOptions { floor_share: setup.settings.auth0.floor_share, ca };
            Arc::new(SharedLimiter::new(redis, &tenant, limits, &options).map_err(usage)?)
        }
    };
    let limiter: Arc<dyn Limiter> = Arc::new(TenantLimiter::new(limiter, limits));
    let directory = Arc::new(Auth0::new(auth0, limiter.clone()).map_err(usage)?);
    Ok(Target { directory, limiter })
}

/// What a worker process needs beside Auth0.
pub struct Transport {
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
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
            check_there(path).await?;
            let ledger = ledger_for(application, place, setup).await?;
            let lock = EmbeddedLock::take(path).map_err(refused)?;
            Ok(Transport { ledger, queue: Arc::new(MemoryQueue::new()), lock: Some(lock) })
        }
        Place::Postgres(_) => {
            setup.servers.required_redis()?; // before anything is connected
            let ledger = ledger_for(application, place, setup).await?;
            check_readable(&*ledger).await?;
            Ok(Transport { ledger, queue: Arc::new(redis(setup).await?), lock: None })
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
        id: WorkerId::new(&SystemClock, &SystemRandom),
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
        stopping,
    })))
}
