//! Putting a population into a database: all of it, or nothing.
//!
//! Everything happens in one transaction, tables included. A process that dies
//! in the middle, or a caller that drops the future, leaves the target as it was.

use crate::error::SeedError;
use crate::population::Population;
use crate::tables::{WriteOptions, Written};
use crate::target::Target;
use crate::{postgres, sqlite};

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
