//! Putting a population into a database: all of it, or nothing.
//!
//! Everything happens in one transaction, tables included. A process that dies
//! in the middle, or a caller that drops the future, leaves the target as it was.

use crate::error::SeedError;
use crate::population::Population;
use crate::target::Target;
use crate::{postgres, sqlite};

/// The tables, those that refer to others first (the order to drop them in).
pub(crate) const TABLES: [&str; 5] = ["permissions", "users", "wards", "hospitals", "medlogistics_seed"];

/// What each of our tables carries, as comment in PostgreSQL and in the text of
/// its definition in SQLite. Only tables with it are ever dropped.
pub(crate) const MARK: &str = "medlogistics_seed: sample data";

/// How to write.
#[derive(Debug, Clone, Copy, Default)]
pub struct WriteOptions {
    /// Drop the tables of an earlier seed first. Tables that an earlier seed did
    /// not make are never dropped.
    pub replace: bool,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Written {
    /// Rows in `hospitals`.
    pub hospitals: u64,
    /// Rows in `wards`.
    pub wards: u64,
    /// Rows in `users`.
    pub users: u64,
    /// Rows in `permissions`.
    pub permissions: u64,
    /// The digest of all rows, equal to [`Population::digest`].
    pub digest: String,
}

/// Creates the tables in the target and fills them.
///
/// The target is `postgres://…` (schema `public`), `sqlite://PATH`, or a path that
/// ends in `.db`, `.sqlite` or `.sqlite3`; a SQLite file is created when absent.
/// `progress` is told the number of users sent so far, several times; they are
/// there for others only when this function has returned.
///
/// # Errors
/// [`SeedError::TablesExist`] and [`SeedError::NotOurs`] when the names are taken,
/// [`SeedError::BadTarget`] and [`SeedError::Database`] when the target cannot be
/// used. In each case nothing has changed there.
pub async fn write(
    target_url: &str,
    population: &Population,
    options: WriteOptions,
    mut progress: impl FnMut(u64) + Send,
) -> Result<Written, SeedError> {
    match Target::parse(target_url)? {
        Target::Postgres(connect, name) => {
            postgres::write(connect, name, population, options, &mut progress).await
        }
        Target::Sqlite(connect, name) => {
            sqlite::write(connect, name, population, options, &mut progress).await
        }
    }
}

/// A table that is there already.
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) ours: bool,
}

/// Whether the tables found may go; the answer is the same for both databases.
pub(crate) fn may_replace(found: &[Found], options: WriteOptions, target: &str) -> Result<(), SeedError> {
    let target = target.to_owned();
    let mut foreign = found.iter().filter(|table| !table.ours).peekable();
    if found.is_empty() {
        Ok(())
    } else if !options.replace {
        let tables = names(found.iter());
        Err(SeedError::TablesExist { target, tables })
    } else if foreign.peek().is_some() {
        let tables = names(foreign);
        Err(SeedError::NotOurs { target, tables })
    } else {
        Ok(())
    }
}

fn names<'a>(tables: impl Iterator<Item = &'a Found>) -> String {
    let names: Vec<&str> = tables.map(|table| table.name.as_str()).collect();
    names.join(", ")
}

/// Turns a driver's error into ours: which step, in which database.
pub(crate) fn failed(target: &str, doing: &'static str) -> impl FnOnce(sqlx::Error) -> SeedError {
    let target = target.to_owned();
    move |source| SeedError::Database { target, doing, source }
}
