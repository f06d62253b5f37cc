//! What SQLite says, as far as a caller decides on it.
//!
//! SQLite's messages name tables and columns, never values, so they may be shown.

use std::{
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use ferry_domain::ports::LedgerError;
use ferry_ledger::Result;

// Primary result codes: the low eight bits of what SQLite answers.
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const ERROR: i32 = 1;
const READ_ONLY: i32 = 8;
const CANT_OPEN: i32 = 14;
const CONSTRAINT: i32 = 19;
const NOT_A_DATABASE: i32 = 26;
// Extended result codes of uniqueness.
const CONSTRAINT_PRIMARY_KEY: i32 = 1555;
const CONSTRAINT_UNIQUE: i32 = 2067;

/// Where the file that it is about is not known.
pub(crate) const NOT_WRITABLE: &str = "the file, or the folder that it is in, can't be opened for writing by this user: \
     SQLite keeps two more files beside it; give the user write access to both";

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
        Some(READ_ONLY | CANT_OPEN) => {
            LedgerError::Unavailable { doing, reason: NOT_WRITABLE.to_owned(), passes: false }
        }
        Some(ERROR) if is_of_ours(&message(error)) => LedgerError::Gone,
        Some(NOT_A_DATABASE) => LedgerError::Unavailable {
            doing,
            reason: "the file is not a SQLite database; check the path".to_owned(),
            passes: false,
        },
        _ => LedgerError::Unavailable { doing, reason: error.to_string(), passes: false },
    }
}

/// Whether one of the ledger's tables is not there.
fn is_of_ours(message: &str) -> bool {
    message
        .strip_prefix("no such table: ")
        .is_some_and(|table| table.strip_prefix("main.").unwrap_or(table).starts_with("ferry_"))
}

/// A file that can't be opened or written to, with who may.
pub(crate) fn not_writable(path: &Path, doing: &'static str) -> LedgerError {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = path.display();
    let shown = folder.display();
    let reason = if folder.is_dir() {
        let owner = |what: &str, path: &Path| {
            let of = std::fs::metadata(path).ok()?;
            Some(format!("{what} belongs to user {} (mode {:o})", of.uid(), of.permissions().mode() & 0o7777))
        };
        let us = std::fs::metadata("/proc/self").map(|of| format!("this process runs as user {}", of.uid()));
        let who = [us.ok(), owner("the file", path), owner("its folder", folder)];
        let who = who.into_iter().flatten().collect::<Vec<_>>().join(", ");
        format!(
            "{file} can't be opened for writing ({who}): give this user write access to the file and to the folder \
             {shown}, where SQLite keeps two more files beside it"
        )
    } else {
        format!("{file} can't be opened: there is no folder {shown}")
    };
    LedgerError::Unavailable { doing, reason, passes: false }
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
