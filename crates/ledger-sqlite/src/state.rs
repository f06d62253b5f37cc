//! Whether a file has a ledger, for whoever only looks: nothing is made, brought up to date, or
//! turned to WAL.

use std::path::Path;

use ferry_domain::ports::LedgerError;
use ferry_ledger::Result;
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};

use crate::{connection::held, errors::Doing};

const LOOKING: &str = "could not be opened";

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

/// Looks at a file that is there.
///
/// # Errors
/// `Unavailable` when it can't be opened or is no SQLite database.
pub async fn state(path: &Path) -> Result<State> {
    match looked_at(path).await {
        Err(LedgerError::Busy) => Err(held(path)),
        state => state,
    }
}

async fn looked_at(path: &Path) -> Result<State> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true).disable_statement_logging();
    let mut connection = options.connect().await.doing(LOOKING)?;
    let there: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name IN ('ferry_runs', 'ferry_migrations'))",
    )
    .fetch_one(&mut connection)
    .await
    .doing(LOOKING)?;
    // Where the list of migrations is gone, the next opening says what to do.
    let applied: i64 = match there {
        true => sqlx::query_scalar("SELECT count(*) FROM ferry_migrations WHERE success")
            .fetch_one(&mut connection)
            .await
            .unwrap_or(0),
        false => 0,
    };
    connection.close().await.doing(LOOKING)?;
    let known = sqlx::migrate!("../../migrations/sqlite").iter().count();
    Ok(match (there, usize::try_from(applied) == Ok(known)) {
        (false, _) => State::Absent,
        (true, false) => State::Older,
        (true, true) => State::Current,
    })
}
