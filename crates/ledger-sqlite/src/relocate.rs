//! A ledger that was made in the application's file moves into a file of its own.
//!
//! **The old ledger is the ledger until its tables are gone.** They are copied first and removed in
//! a transaction of its own, which looks again whether anybody wrote in between. A process that
//! ends anywhere on the way leaves a copy that counts for nothing and is made anew. (One transaction
//! over both files is not atomic with WAL.)

use std::path::Path;

use ferry_domain::ports::{LedgerError, Planning};
use ferry_ledger::Result;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteSynchronous},
};

use crate::{
    SqliteLedger,
    connection::{BUSY, held},
    errors::{Doing, NOT_WRITABLE, not_writable},
    planning::migrating::TABLES,
};

const LOOKING: &str = "could not be looked for";
const MOVING: &str = "could not be moved into a file of its own";
/// In a copy until the tables that it was made of are gone.
const MARK: &str = "ferry_copying";
/// Our tables that are no part of the ledger, and one of an older version.
const BESIDE_THEM: [&str; 3] = ["ferry_migrations", "ferry_roles", MARK];
/// Tries; each is spoiled only by somebody who writes while the tables are copied.
const MOST: usize = 5;

/// What a SQLite file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    /// Whether a ledger is in it, or what is left of one.
    pub ledger: bool,
    /// Whether that has runs.
    pub runs: bool,
    /// Whether it is a copy that was not finished, and counts for nothing.
    pub copying: bool,
    /// Whether tables of somebody else are in it.
    pub others: bool,
}

/// Looks into a file and changes nothing. A file that is not there holds nothing.
///
/// # Errors
/// `Unavailable` when it can't be read, or another process holds it locked.
pub async fn holds(path: &Path) -> Result<Holds> {
    if !path.is_file() {
        return Ok(Holds::default());
    }
    match look(path).await {
        Err(LedgerError::Busy) => Err(held(path)),
        Err(LedgerError::Unavailable { reason, .. }) if reason == NOT_WRITABLE => {
            Err(not_writable(path, LOOKING))
        }
        looked => looked,
    }
}

async fn look(path: &Path) -> Result<Holds> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true).disable_statement_logging();
    let mut connection = options.busy_timeout(BUSY).connect().await.doing(LOOKING)?;
    let tables: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table'")
        .fetch_all(&mut connection)
        .await
        .doing(LOOKING)?;
    let named = |name: &str| tables.iter().any(|table| table == name);
    let runs = match named("ferry_runs") {
        true => {
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM ferry_runs)").fetch_one(&mut connection).await
        }
        false => Ok(false),
    };
    drop(connection.close().await);
    let is_ours = |name: &String| TABLES.contains(&name.as_str()) || BESIDE_THEM.contains(&name.as_str());
    Ok(Holds {
        // Also what a schema tool left of one: it is said when it is opened.
        ledger: TABLES.iter().any(|name| named(name)),
        runs: runs.doing(LOOKING)?,
        copying: named(MARK),
        others: !tables.iter().all(|name| is_ours(name) || name.starts_with("sqlite_")),
    })
}

/// Moves the ledger in `from`, an application's file, to `to`; its runs write ids back to
/// `database` from then on, which is what they call the application's file. Returns how many runs
/// there are. An empty ledger is removed only, where `to` is one already. The caller sees to it that
/// no worker runs on either.
///
/// # Errors
/// `Unavailable` when a file can't be read or written; `Refused` when both have runs; `Busy` when
/// others write to `from` all the time.
pub async fn relocate(from: &Path, to: &Path, database: &str) -> Result<i64> {
    let (old, beside) = (holds(from).await?, holds(to).await?);
    if old.runs && beside.runs && !beside.copying {
        return Err(LedgerError::Refused(format!(
            "{} and {} both hold a ledger with runs: none is written over the other",
            from.display(),
            to.display()
        )));
    }
    for ledger in [SqliteLedger::open_existing(from).await?, SqliteLedger::open(to).await?] {
        ledger.migrate().await?;
        ledger.close().await;
    }
    let options = SqliteConnectOptions::new().filename(from).create_if_missing(false).busy_timeout(BUSY);
    // The order of tables need not be that of their references.
    let options =
        options.foreign_keys(false).synchronous(SqliteSynchronous::Full).disable_statement_logging();
    let mut connection = options.connect().await.doing(MOVING)?;
    let path = to.to_string_lossy();
    sqlx::query("ATTACH ?1 AS beside").bind(path.as_ref()).execute(&mut connection).await.doing(MOVING)?;
    if !old.runs && beside.ledger && !beside.copying {
        // That one stays as it is.
        let seen = data_version(&mut connection).await?;
        return remove(&mut connection, seen).await?.ok_or(LedgerError::Busy);
    }
    for _try in 0..MOST {
        let seen = copy(&mut connection, database).await?;
        if let Some(runs) = remove(&mut connection, seen).await? {
            let done =
                sqlx::query("DROP TABLE IF EXISTS beside.ferry_copying").execute(&mut connection).await;
            done.doing(MOVING)?;
            drop(connection.close().await);
            return Ok(runs);
        }
    }
    Err(LedgerError::Busy)
}

/// Copies all tables; returns the state of the file that was copied.
async fn copy(connection: &mut SqliteConnection, database: &str) -> Result<i64> {
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await.doing(MOVING)?;
    let seen = data_version(&mut tx).await?;
    let mark =
        sqlx::query("CREATE TABLE IF NOT EXISTS beside.ferry_copying (at INTEGER)").execute(&mut *tx).await;
    mark.doing(MOVING)?;
    for table in TABLES {
        let copied =
            format!("DELETE FROM beside.{table}; INSERT INTO beside.{table} SELECT * FROM main.{table}");
        sqlx::raw_sql(AssertSqlSafe(copied)).execute(&mut *tx).await.doing(MOVING)?;
    }
    sqlx::query(
        "UPDATE beside.ferry_runs SET spec = json_set(spec, '$.write_back.database', ?1)
         WHERE json_type(spec, '$.write_back') = 'object' AND spec ->> '$.write_back.database' IS NULL",
    )
    .bind(database)
    .execute(&mut *tx)
    .await
    .doing(MOVING)?;
    tx.commit().await.doing(MOVING)?;
    Ok(seen)
}

/// Removes the old tables, unless somebody wrote since they were copied; counts the runs.
async fn remove(connection: &mut SqliteConnection, seen: i64) -> Result<Option<i64>> {
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await.doing(MOVING)?;
    if data_version(&mut tx).await? != seen {
        return Ok(None);
    }
    let runs = sqlx::query_scalar("SELECT count(*) FROM main.ferry_runs").fetch_one(&mut *tx).await;
    let runs = runs.doing(MOVING)?;
    let mut gone =
        "DROP VIEW IF EXISTS main.ferry_now; DROP TABLE IF EXISTS main.ferry_migrations;".to_owned();
    for table in TABLES {
        gone.push_str(&format!("DROP TABLE main.{table};"));
    }
    sqlx::raw_sql(AssertSqlSafe(gone)).execute(&mut *tx).await.doing(MOVING)?;
    tx.commit().await.doing(MOVING)?;
    Ok(Some(runs))
}

/// Changes with each commit of another connection.
async fn data_version(connection: &mut SqliteConnection) -> Result<i64> {
    sqlx::query_scalar("PRAGMA main.data_version").fetch_one(connection).await.doing(MOVING)
}
