//! Errors, with texts for the person who typed the command.

use crate::layout::{MAX_USERS, MIN_USERS};

/// Why a population was not made or not written.
///
/// Texts name host and database, never a password: a URL is not repeated.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The number of users is out of range.
    #[error(
        "{users} users cannot be seeded: ask for {MIN_USERS} to {MAX_USERS}, \
         the least number has room for each planted case"
    )]
    UserCount {
        /// The number that was asked for.
        users: u64,
    },

    /// The target is neither a database URL nor a database file.
    #[error("the target cannot be used: {reason}; give {expected}")]
    BadTarget {
        /// The reason it can't be used.
        reason: &'static str,
        /// The forms that can be used.
        expected: &'static str,
    },

    /// Tables of the same names are there, and replacing was not asked for.
    #[error(
        "nothing was written: {target} already has {tables}; choose an empty database, \
         or ask to replace them if an earlier seed made them"
    )]
    TablesExist {
        /// Host and database, or file.
        target: String,
        /// The names found, separated by commas.
        tables: String,
    },

    /// Replacing was asked for, but some of the tables are not sample data.
    #[error(
        "nothing was dropped or written: in {target} {tables} was not made by an earlier seed \
         (its mark is missing); choose another database, or remove it yourself"
    )]
    NotOurs {
        /// Host and database, or file.
        target: String,
        /// The names without our mark, separated by commas.
        tables: String,
    },

    /// The database refused or could not be reached; the cause is the source.
    #[error("{doing} failed in {target}; nothing was changed there")]
    Database {
        /// Host and database, or file.
        target: String,
        /// The step that failed.
        doing: &'static str,
        /// The driver's error.
        #[source]
        source: sqlx::Error,
    },
}
