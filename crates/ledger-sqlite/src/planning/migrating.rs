//! The ledger's tables: made, brought up to date, and made anew after somebody removed them.
//!
//! Schema tools remove tables that their model does not know, and leave the view. A released
//! migration can't be edited, so what they left is cleared away before the migrations run, and
//! only when no table of the ledger is there any more: then nothing can be lost by it.

use ferry_domain::ports::LedgerError;
use ferry_ledger::Result;
use sqlx::{SqliteExecutor, migrate::MigrateError};

use crate::{SqliteLedger, errors::Doing};

const MIGRATING: &str = "could not be brought up to date";

/// All tables but the list of migrations.
pub(crate) const TABLES: [&str; 12] = [
    "ferry_attempts",
    "ferry_audit",
    "ferry_batches",
    "ferry_controls",
    "ferry_dead_letters",
    "ferry_discrepancies",
    "ferry_items",
    "ferry_jobs",
    "ferry_leaders",
    "ferry_reports",
    "ferry_runs",
    "ferry_workers",
];

pub(super) async fn migrate(ledger: &SqliteLedger) -> Result<()> {
    let there = clear_leftovers(ledger).await?;
    let migrator = sqlx::migrate!("../../migrations/sqlite");
    // Of two at once, the second finds a table of the first's there; when it looks again, that
    // migration is listed as done. The same may happen with each of them.
    let mut migrated = migrator.run(ledger.writer()).await;
    for _ in migrator.iter() {
        if migrated.is_ok() {
            break;
        }
        migrated = migrator.run(ledger.writer()).await;
    }
    let gone = if migrated.is_ok() { missing(&tables(ledger.reader()).await?) } else { missing(&there) };
    match migrated {
        Err(MigrateError::VersionMissing(number)) => {
            Err(unavailable(MigrateError::VersionMissing(number).to_string()))
        }
        Err(_) if !there.is_empty() && !gone.is_empty() => Err(unavailable(removed(&gone))),
        Err(MigrateError::Execute(error)) => Err(error).doing(MIGRATING),
        Err(other) => Err(unavailable(other.to_string())),
        Ok(()) if !gone.is_empty() => Err(unavailable(removed(&gone))),
        Ok(()) => Ok(()),
    }
}

/// Removes what is left where no table is; says which tables are there.
async fn clear_leftovers(ledger: &SqliteLedger) -> Result<Vec<String>> {
    let there = tables(ledger.reader()).await?;
    if !there.is_empty() || !named(ledger.reader(), "ferry_now").await? {
        return Ok(there);
    }
    let mut tx = ledger.write(MIGRATING).await?;
    // Looked at again with the lock: another process may just have made them.
    if tables(&mut *tx).await?.is_empty() {
        for leftover in ["DROP VIEW IF EXISTS ferry_now", "DROP TABLE IF EXISTS ferry_migrations"] {
            sqlx::query(leftover).execute(&mut *tx).await.doing(MIGRATING)?;
        }
    }
    tx.commit().await.doing(MIGRATING)?;
    Ok(there)
}

async fn named(of: impl SqliteExecutor<'_>, name: &str) -> Result<bool> {
    let named = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?1)").bind(name);
    named.fetch_one(of).await.doing(MIGRATING)
}

/// Tables of the ledger that are there.
async fn tables(of: impl SqliteExecutor<'_>) -> Result<Vec<String>> {
    let names =
        sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'ferry_*'");
    let names: Vec<String> = names.fetch_all(of).await.doing(MIGRATING)?;
    Ok(names.into_iter().filter(|name| is_ours(name)).collect())
}

fn is_ours(name: &str) -> bool {
    TABLES.contains(&name) || name == "ferry_roles" // as `ferry_leaders` was called once
}

fn missing(there: &[String]) -> Vec<&'static str> {
    TABLES.into_iter().filter(|name| !there.iter().any(|found| found == name)).collect()
}

fn removed(gone: &[&str]) -> String {
    format!(
        "tables were removed ({}) and others are left: restore the file from a backup, or begin anew by dropping \
         every table and view that begins with ferry_; users at Auth0 are found again",
        gone.join(", ")
    )
}

fn unavailable(reason: String) -> LedgerError {
    LedgerError::Unavailable { doing: MIGRATING, reason, passes: false }
}
