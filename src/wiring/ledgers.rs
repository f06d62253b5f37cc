//! Ledgers and applications' tables, opened where they are.

use std::{path::Path, sync::Arc};

use anyhow::Context;
use ferry_domain::{
    WriteBackTarget,
    application::AppTable,
    migration::Migrated,
    ports::{Application, Ledger, Planning, WorkerRecord},
};
use ferry_ledger_postgres::{PostgresApplication, PostgresLedger};
pub use ferry_ledger_sqlite::State as FileState;
use ferry_ledger_sqlite::{SqliteApplication, SqliteLedger};
use ferry_sources::Location;
use secrecy::{ExposeSecret, SecretString};

use crate::{exit::usage, files, place::Place, setup::Setup};

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

/// Whether a SQLite ledger takes writes; leaves nothing behind.
pub async fn try_write(path: &Path, worker: &WorkerRecord) -> anyhow::Result<()> {
    Ok(ferry_ledger_sqlite::try_write(path, worker).await?)
}

pub(super) async fn check_there(path: &Path) -> anyhow::Result<()> {
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
