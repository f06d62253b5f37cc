//! What writing into either database has in common: the tables and their mark, whether
//! they may be replaced, what was written, and errors with the step that failed.

use crate::error::SeedError;

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
    /// The digest of all rows, equal to [`Population::digest`](crate::Population::digest).
    pub digest: String,
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
