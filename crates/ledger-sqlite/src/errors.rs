//! What SQLite says, as far as a caller decides on it.
//!
//! SQLite's messages name tables and columns, never values, so they may be shown.

use ferry_domain::ports::LedgerError;
use ferry_ledger::Result;

// Primary result codes: the low eight bits of what SQLite answers.
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const CONSTRAINT: i32 = 19;
const NOT_A_DATABASE: i32 = 26;
// Extended result codes of uniqueness.
const CONSTRAINT_PRIMARY_KEY: i32 = 1555;
const CONSTRAINT_UNIQUE: i32 = 2067;

/// Says what was being done when it failed, continuing "the ledger …".
pub(crate) trait Doing<T> {
    /// Turns a failure into the ledger's.
    fn doing(self, what: &'static str) -> Result<T>;
}

impl<T> Doing<T> for std::result::Result<T, sqlx::Error> {
    fn doing(self, what: &'static str) -> Result<T> {
        self.map_err(|error| translate(&error, what))
    }
}

fn translate(error: &sqlx::Error, doing: &'static str) -> LedgerError {
    if matches!(error, sqlx::Error::PoolTimedOut) {
        return LedgerError::Busy;
    }
    match extended_code(error).map(|code| code & 0xff) {
        Some(BUSY | LOCKED) => LedgerError::Busy,
        Some(NOT_A_DATABASE) => LedgerError::Unavailable {
            doing,
            reason: "the file is not a SQLite database; check the path".to_owned(),
            passes: false,
        },
        _ => LedgerError::Unavailable { doing, reason: error.to_string(), passes: false },
    }
}

/// SQLite's own number for an error.
pub(crate) fn extended_code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

/// Whether a constraint or a trigger of the table refused the statement.
pub(crate) fn is_constraint(error: &sqlx::Error) -> bool {
    extended_code(error).is_some_and(|code| code & 0xff == CONSTRAINT)
}

/// SQLite's own words.
pub(crate) fn message(error: &sqlx::Error) -> String {
    error.as_database_error().map_or_else(|| error.to_string(), |refused| refused.message().to_owned())
}

/// Whether an error of the application's table is about its rows: all but locks, and what
/// befalls the file, the disk or the memory. Triggers raise whatever they like.
pub(crate) fn is_about_rows(error: &sqlx::Error) -> bool {
    const NOT_ABOUT_ROWS: [i32; 13] = [
        BUSY,
        LOCKED,
        7,  // out of memory
        8,  // read-only
        9,  // interrupted
        10, // the disk failed
        11, // the file is damaged
        13, // the disk is full
        14, // the file can't be opened
        15, // its locking failed
        17, // its tables changed meanwhile
        21, // misused
        NOT_A_DATABASE,
    ];
    extended_code(error).is_some_and(|code| !NOT_ABOUT_ROWS.contains(&(code & 0xff)))
}

/// Whether the constraint was one of uniqueness.
pub(crate) fn is_unique(error: &sqlx::Error) -> bool {
    matches!(extended_code(error), Some(CONSTRAINT_UNIQUE | CONSTRAINT_PRIMARY_KEY))
}
