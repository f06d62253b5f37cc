//! Opening the file, and the shape of connections to it.

use std::{path::Path, sync::Arc, time::Duration};

use ferry_domain::ports::{Application, LedgerError};
use ferry_ledger::{Result, apart::Apart};
use sqlx::{
    ConnectOptions, Connection, Sqlite, SqliteConnection, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous},
};

use crate::errors::{Doing, NOT_WRITABLE, not_writable};

/// How long to wait for another process's write, for example the application's.
pub(crate) const BUSY: Duration = Duration::from_secs(5);
/// How long a write may queue in this process. Ending a plan of a million users takes a part of it.
const QUEUE: Duration = Duration::from_secs(120);
const OPENING: &str = "could not be opened";
/// Rows that a statement hands over before it waits for whoever reads them: a batch and more. With fewer,
/// two threads woke each other for each row.
const ROWS_AHEAD: usize = 1024;
/// Connections that read beside the writer.
const READERS: u32 = 4;

/// The ledger in a SQLite file. Cheap to clone; all clones share the connections.
#[derive(Clone, Debug)]
pub struct SqliteLedger {
    writer: SqlitePool,
    readers: SqlitePool,
    apart: Apart,
}

/// A transaction's connection, on which the steps of scripts are done.
pub(crate) struct Tx<'c>(pub &'c mut SqliteConnection);

impl ferry_ledger::steps::Transaction for Tx<'_> {
    type Fault = LedgerError;
}

impl SqliteLedger {
    /// Opens the file, and makes it where there is none. Turns the file to WAL,
    /// which lasts beyond this process, and says so in the log.
    ///
    /// # Errors
    /// `Unavailable` when it can't be opened, is no SQLite database, or is held by another process
    /// for longer than five seconds.
    pub async fn open(path: &Path) -> Result<Self> {
        Self::connect(path, true, SqliteSynchronous::Normal).await
    }

    /// Like [`SqliteLedger::open`], for a file that must be there.
    ///
    /// # Errors
    /// As `open`; `Unavailable` when there is no such file.
    pub async fn open_existing(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Err(no_file(path));
        }
        Self::connect(path, false, SqliteSynchronous::Normal).await
    }

    /// An application's file whose ledger is another one: what is written here is on the disk
    /// before the ledger hears of it.
    pub(crate) async fn open_before_a_ledger(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Err(no_file(path));
        }
        Self::connect(path, false, SqliteSynchronous::Full).await
    }

    /// The same ledger, for an application whose database is another one.
    #[must_use]
    pub fn beside(self, application: Arc<dyn Application>) -> Self {
        SqliteLedger { apart: Apart::from(application), ..self }
    }

    async fn connect(path: &Path, create: bool, synchronous: SqliteSynchronous) -> Result<Self> {
        let opened = Self::connect_to(path, create, synchronous).await;
        match opened {
            Err(LedgerError::Busy) => Err(held(path)),
            Err(LedgerError::Unavailable { reason, .. }) if reason == NOT_WRITABLE => {
                Err(not_writable(path, OPENING))
            }
            opened => opened,
        }
    }

    async fn connect_to(path: &Path, create: bool, synchronous: SqliteSynchronous) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(create)
            .foreign_keys(true)
            .busy_timeout(BUSY)
            .row_buffer_size(ROWS_AHEAD)
            .synchronous(synchronous)
            .disable_statement_logging();
        let mut first = options.connect().await.doing(OPENING)?;
        write_ahead(&mut first, path).await?;
        first.close().await.doing(OPENING)?;

        let reading = options.clone().pragma("query_only", "ON");
        Ok(SqliteLedger {
            writer: pool().max_connections(1).connect_lazy_with(options),
            readers: pool().max_connections(READERS).connect_lazy_with(reading),
            apart: Apart::default(),
        })
    }

    /// Closes all connections, after what runs on them. Nothing can be asked afterwards.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Where the application's tables are.
    pub(crate) fn apart(&self) -> &Apart {
        &self.apart
    }

    /// Where to read.
    pub(crate) fn reader(&self) -> &SqlitePool {
        &self.readers
    }

    /// Where single statements write; they take the write lock at their start.
    pub(crate) fn writer(&self) -> &SqlitePool {
        &self.writer
    }

    /// A transaction that holds the write lock from its start.
    pub(crate) async fn write(&self, doing: &'static str) -> Result<Transaction<'static, Sqlite>> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.doing(doing)
    }
}

/// Another process does not let go of the file.
pub(crate) fn held(path: &Path) -> LedgerError {
    let reason = format!(
        "another process holds {} locked (a long transaction, or locking_mode = EXCLUSIVE); end it, or close \
         the file there",
        path.display()
    );
    LedgerError::Unavailable { doing: OPENING, reason, passes: true }
}

fn no_file(path: &Path) -> LedgerError {
    let reason = format!("there is no file {}", path.display());
    LedgerError::Unavailable { doing: OPENING, reason, passes: false }
}

/// Connections that nothing ends but `close`: a new one would compile all
/// statements again. Except one that sqlx takes to be in a transaction while
/// no caller has it: SQLite itself ended that transaction (full disk, a trigger's
/// `RAISE(ROLLBACK)`), and no other could begin there ever again.
fn pool() -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .acquire_timeout(QUEUE)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .before_acquire(|connection, _| {
            let usable = !connection.is_in_transaction();
            Box::pin(async move { Ok(usable) })
        })
}

async fn write_ahead(connection: &mut SqliteConnection, path: &Path) -> Result<()> {
    let before: String =
        sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *connection).await.doing(OPENING)?;
    if before == "wal" {
        return Ok(());
    }
    let after: String =
        sqlx::query_scalar("PRAGMA journal_mode = WAL").fetch_one(connection).await.doing(OPENING)?;
    if after == "wal" {
        tracing::info!(
            file = %path.display(),
            journal_mode.before = before,
            "changed the file's journal mode to WAL, so that the application reads while Ferry writes"
        );
    } else {
        tracing::warn!(
            file = %path.display(),
            journal_mode = after,
            "the file can't have journal mode WAL: the application and Ferry will wait for each other"
        );
    }
    Ok(())
}

/// What a file has of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// None of its tables.
    Absent,
    /// Those of an older Ferry, or not all: they are brought up to date when it is next worked with.
    Older,
    /// All.
    Current,
}

/// Looks at a file that is there, for whoever only looks: nothing is made, brought up to date, or turned
/// to WAL.
///
/// # Errors
/// `Unavailable` when it can't be opened or is no SQLite database.
pub async fn state(path: &Path) -> Result<State> {
    match looked_at(path).await {
        Err(LedgerError::Busy) => Err(held(path)),
        Err(LedgerError::Unavailable { reason, .. }) if reason == NOT_WRITABLE => {
            Err(not_writable(path, OPENING))
        }
        state => state,
    }
}

async fn looked_at(path: &Path) -> Result<State> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true).disable_statement_logging();
    let mut connection = options.connect().await.doing(OPENING)?;
    let there: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name IN ('ferry_runs', 'ferry_migrations'))",
    )
    .fetch_one(&mut connection)
    .await
    .doing(OPENING)?;
    // Where the list of migrations is gone, the next opening says what to do.
    let applied: i64 = match there {
        true => sqlx::query_scalar("SELECT count(*) FROM ferry_migrations WHERE success")
            .fetch_one(&mut connection)
            .await
            .unwrap_or(0),
        false => 0,
    };
    connection.close().await.doing(OPENING)?;
    let known = sqlx::migrate!("../../migrations/sqlite").iter().count();
    Ok(match (there, usize::try_from(applied) == Ok(known)) {
        (false, _) => State::Absent,
        (true, false) => State::Older,
        (true, true) => State::Current,
    })
}
