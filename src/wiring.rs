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
    ports::{Directory, Ledger, LedgerError, Limiter, Queue, QueueError, WorkerRecord},
};
use ferry_ledger_postgres::PostgresLedger;
use ferry_ledger_sqlite::{EmbeddedLock, SqliteLedger};
use ferry_limiter::{LocalLimiter, SharedLimiter, SharedOptions};
use ferry_queue::{MemoryQueue, RedisOptions, RedisQueue};
use ferry_workers::{Environment, Parts, Role, Tuning};
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    exit::{refused, usage},
    settings::Settings,
    system::{self, SystemClock, SystemRandom, environment},
};

/// File of the ledger where neither a database nor a SQLite source is named.
const OWN_FILE: &str = "ferry.db";

/// Where a ledger lives.
#[derive(Clone, Debug)]
pub enum Place {
    /// Schema `ferry` of a PostgreSQL database.
    Postgres(SecretString),
    /// Tables `ferry_*` of a SQLite file.
    Sqlite(PathBuf),
}

impl Place {
    /// From a URL or the path of a SQLite file. `name` says where it was given.
    pub fn parse(name: &str, text: &str) -> anyhow::Result<Place> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            Url::parse(text)
                .map_err(|e| usage(format!("{name} is no valid URL ({e}): postgres://user@host/database")))?;
            return Ok(Place::Postgres(text.into()));
        }
        if let Some(path) = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:")) {
            return Ok(Place::Sqlite(path.into()));
        }
        if !text.contains("://") && [".db", ".sqlite", ".sqlite3"].iter().any(|end| text.ends_with(end)) {
            return Ok(Place::Sqlite(text.into()));
        }
        Err(usage(format!(
            "{name} names no database: write postgres://user@host/database or sqlite://file.db"
        )))
    }

    /// `FERRY_LEDGER_URL`, else `DATABASE_URL`, else `ferry.db` in this folder.
    pub fn from_environment() -> anyhow::Result<Place> {
        for name in ["FERRY_LEDGER_URL", "DATABASE_URL"] {
            if let Some(url) = environment(name) {
                return Place::parse(name, &url);
            }
        }
        Ok(Place::Sqlite(OWN_FILE.into()))
    }

    /// The same place as an operator would name it, without credentials.
    pub fn shown(&self) -> String {
        match self {
            Place::Sqlite(path) => format!("sqlite://{}", path.display()),
            Place::Postgres(url) => match Url::parse(url.expose_secret()) {
                Ok(url) => format!(
                    "postgres://{}:{}{}",
                    url.host_str().unwrap_or("localhost"),
                    url.port().unwrap_or(5432),
                    url.path()
                ),
                Err(_) => "postgres".to_owned(),
            },
        }
    }
}

/// Opens a ledger that exists. A SQLite ledger's tables are brought up to date
/// on the way; a PostgreSQL schema is changed by `ferry migrate` only.
pub async fn ledger(place: &Place, settings: &Settings) -> anyhow::Result<Arc<dyn Ledger>> {
    match place {
        Place::Sqlite(path) => {
            if !path.is_file() {
                return Err(usage(format!(
                    "{}: there is no ledger. Start a run first, or set DATABASE_URL to where it is",
                    path.display()
                )));
            }
            sqlite(path).await
        }
        Place::Postgres(_) => {
            let ledger = postgres(place, settings).await?;
            ledger
                .runs(1)
                .await
                .context("the ledger can't be read; `ferry migrate --yes` makes or updates its tables")?;
            Ok(ledger)
        }
    }
}

/// Opens a SQLite ledger, making file and tables where they are missing.
pub async fn sqlite(path: &Path) -> anyhow::Result<Arc<dyn Ledger>> {
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::open(path).await?);
    ledger.migrate().await?;
    Ok(ledger)
}

/// Connects to PostgreSQL, whatever the state of its tables.
pub async fn postgres(place: &Place, settings: &Settings) -> anyhow::Result<Arc<dyn Ledger>> {
    let Place::Postgres(url) = place else { return Err(usage("this is no PostgreSQL URL")) };
    let options = ferry_ledger_postgres::Options {
        max_connections: settings.ledger.max_connections,
        death_lock: settings.ledger.death_lock,
        ..ferry_ledger_postgres::Options::default()
    };
    Ok(Arc::new(PostgresLedger::connect(url.expose_secret(), options).await?))
}

/// Tenant as it goes into chosen ids: the bare domain, or host and port of the base URL.
pub fn tenant() -> anyhow::Result<Option<String>> {
    if let Some(domain) = environment("AUTH0_DOMAIN") {
        // Only the form of the domain is looked at.
        Auth0Settings::for_domain(&domain, "-", "-".to_owned().into()).map_err(usage)?;
        return Ok(Some(domain));
    }
    let Some(base) = environment("AUTH0_BASE_URL") else { return Ok(None) };
    let url = base_url(&base)?;
    let host = url.host_str().unwrap_or_default();
    Ok(Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))))
}

/// The tenant, which this command can't do without.
pub fn required_tenant() -> anyhow::Result<String> {
    tenant()?
        .ok_or_else(|| usage("no tenant: set AUTH0_DOMAIN to its bare host, for example acme.eu.auth0.com"))
}

fn base_url(text: &str) -> anyhow::Result<Url> {
    let wrong = || usage("AUTH0_BASE_URL is no http or https URL, for example http://127.0.0.1:4000");
    let url = Url::parse(text).map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong());
    }
    Ok(url)
}

/// Client settings from the environment.
pub fn auth0_settings(settings: &Settings) -> anyhow::Result<Auth0Settings> {
    let id = environment("AUTH0_CLIENT_ID").ok_or_else(|| {
        usage("AUTH0_CLIENT_ID is not set: it names the application that may use the Management API")
    })?;
    let secret = client_secret()?;
    let mut auth0 = match (environment("AUTH0_BASE_URL"), environment("AUTH0_DOMAIN")) {
        (Some(base), _) => Auth0Settings::for_base_url(base_url(&base)?, &id, secret).map_err(usage)?,
        (None, Some(domain)) => Auth0Settings::for_domain(&domain, &id, secret).map_err(usage)?,
        (None, None) => {
            return Err(usage("no tenant: set AUTH0_DOMAIN to its bare host, for example acme.eu.auth0.com"));
        }
    };
    auth0.request_timeout = Duration::from_secs(settings.auth0.request_timeout_seconds);
    auth0.connect_timeout = Duration::from_secs(settings.auth0.connect_timeout_seconds);
    Ok(auth0)
}

fn client_secret() -> anyhow::Result<SecretString> {
    if let Some(secret) = environment("AUTH0_CLIENT_SECRET") {
        return Ok(secret.into());
    }
    let path = environment("AUTH0_CLIENT_SECRET_FILE").ok_or_else(|| {
        usage("no secret: set AUTH0_CLIENT_SECRET, or AUTH0_CLIENT_SECRET_FILE to a file that holds it")
    })?;
    let text = std::fs::read_to_string(&path)
        .map_err(|e| usage(format!("AUTH0_CLIENT_SECRET_FILE {path} can't be read: {e}")))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned().into())
}

/// Auth0, behind the tenant's limits: one process with a SQLite ledger keeps them alone,
/// processes with a PostgreSQL ledger together, over Redis. It need not answer yet.
pub fn directory(
    auth0: Auth0Settings,
    settings: &Settings,
    place: &Place,
) -> anyhow::Result<(Arc<dyn Directory>, Arc<dyn Limiter>)> {
    let limits = &settings.limits()?;
    let limiter: Arc<dyn Limiter> = match place {
        Place::Sqlite(_) => Arc::new(LocalLimiter::new(limits)),
        Place::Postgres(_) => {
            let (redis, options) = (redis_url()?, SharedOptions { floor_share: settings.auth0.floor_share });
            Arc::new(SharedLimiter::new(&redis, &required_tenant()?, limits, &options).map_err(usage)?)
        }
    };
    let directory = Auth0::new(auth0, limiter.clone()).map_err(usage)?;
    Ok((Arc::new(directory), limiter))
}

fn redis_url() -> anyhow::Result<String> {
    environment("REDIS_URL").ok_or_else(|| {
        usage("a PostgreSQL ledger needs Redis for its queue: set REDIS_URL, for example redis://127.0.0.1:6379")
    })
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
pub async fn transport(place: &Place, settings: &Settings) -> anyhow::Result<Transport> {
    match place {
        Place::Sqlite(path) => {
            let ledger = ledger(place, settings).await?;
            let lock = EmbeddedLock::take(path).map_err(refused)?;
            Ok(Transport { ledger, queue: Arc::new(MemoryQueue::new()), lock: Some(lock) })
        }
        Place::Postgres(_) => {
            let redis = redis_url()?;
            let ledger = ledger(place, settings).await?;
            let options = RedisOptions { namespace: settings.queue.namespace.clone() };
            let queue = RedisQueue::connect(&redis, options).await?;
            Ok(Transport { ledger, queue: Arc::new(queue), lock: None })
        }
    }
}

/// Whether an error of [`transport`] may be over later without anybody's doing.
pub fn passes(error: &anyhow::Error) -> bool {
    let of_ledger = error.downcast_ref().is_some_and(LedgerError::passes);
    of_ledger || error.downcast_ref().is_some_and(|error: &QueueError| error.passes)
}

/// Pace of a worker process.
///
/// # Errors
/// When the plan of limits is unknown.
pub fn tuning(settings: &Settings) -> anyhow::Result<Tuning> {
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

fn days(days: u64) -> Duration {
    Duration::from_secs(days * 86_400)
}

/// A worker process's environment.
pub fn worker(
    transport: &Transport,
    (directory, limiter): (Arc<dyn Directory>, Arc<dyn Limiter>),
    tuning: Tuning,
    roles: &[Role],
    figures: Arc<Figures>,
    stopping: CancellationToken,
) -> Arc<Environment> {
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    let worker = WorkerRecord {
        id: WorkerId::new(&*clock, &*random),
        host: system::host(),
        pid: i32::try_from(std::process::id()).unwrap_or(0),
        slots: ferry_workers::slots(roles, tuning.batches),
        waits: None,
    };
    let (ledger, queue) = (transport.ledger.clone(), transport.queue.clone());
    Arc::new(Environment::new(Parts {
        ledger,
        queue,
        directory,
        limiter,
        clock,
        random,
        worker,
        tuning,
        figures,
        stopping,
    }))
}

/// The application's table where nothing names it: MedLogistics' and most others'.
pub fn usual_table() -> WriteBackTarget {
    WriteBackTarget {
        schema: None,
        table: "users".into(),
        key_column: "id".into(),
        id_column: "auth0_user_id".into(),
    }
}
