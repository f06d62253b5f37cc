//! What goes wrong, told without the data it went wrong with.
//!
//! PostgreSQL quotes values in DETAIL and often in the message itself, and sqlx
//! quotes them when a column can't be decoded. So a text is made here from SQLSTATE
//! and names of constraints alone.

use std::fmt;

use ferry_domain::{Code, WriteBackTarget, ports::LedgerError};
use sqlx::postgres::PgDatabaseError;

use crate::PostgresLedger;

/// The index that keeps runs of one source apart.
const ONE_ACTIVE: &str = "runs_one_active_per_source";

/// What happened within a transaction, before it is known whether to try it again.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Ends it.
    Ledger(LedgerError),
    /// The store's word.
    Sql(sqlx::Error),
    /// The application's table refused at least one row of a group.
    AppRows(Refusal),
    /// The application's table took too long over a group.
    AppSlow,
    /// The application holds this table locked.
    AppLocked(String),
    /// Several rows of the application carry one key.
    KeyShared,
    /// Some results of a group were written by an earlier call.
    ToldBefore,
}

/// What the application's table said about a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// What its item is called then.
    pub code: Code,
    /// The server's code, or a trigger's own.
    pub sqlstate: String,
    /// The constraint's name, where it was one.
    pub constraint: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SQLSTATE {}", self.sqlstate)?;
        match &self.constraint {
            Some(name) => write!(f, ", constraint {name}"),
            None => Ok(()),
        }
    }
}

/// What a part of a transaction returns.
pub(crate) type Tried<T> = std::result::Result<T, Fault>;

impl From<LedgerError> for Fault {
    fn from(error: LedgerError) -> Self {
        Fault::Ledger(error)
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Fault::Sql(error)
    }
}

impl Fault {
    /// Whether the same transaction may well succeed if it is tried again.
    pub(crate) fn passes(&self) -> bool {
        if matches!(self, Fault::ToldBefore | Fault::AppLocked(_)) {
            return true;
        }
        let Fault::Sql(error) = self else { return false };
        is_lock_of(error) || database(error).and_then(PgDatabaseError::constraint) == Some(ONE_ACTIVE)
    }
}

impl Fault {
    /// Whether others held something locked for too long.
    pub(crate) fn is_a_lock(&self) -> bool {
        matches!(self, Fault::Sql(error) if is_lock_of(error))
    }

    /// The same where single rows are not waited for: a lock that does not come is one on the whole table.
    pub(crate) fn over_table(self, target: &WriteBackTarget) -> Self {
        match self {
            Fault::Sql(error) if database(&error).is_some_and(|refused| refused.code() == "55P03") => {
                Fault::AppLocked(target.shown())
            }
            fault => fault,
        }
    }
}

/// Deadlock, lock timeout, serialization failure.
fn is_lock(code: &str) -> bool {
    matches!(code, "40P01" | "55P03" | "40001")
}

/// Whether others' locks stopped a statement.
pub(crate) fn is_lock_of(error: &sqlx::Error) -> bool {
    database(error).is_some_and(|refused| is_lock(refused.code()))
}

pub(crate) fn database(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error().and_then(|e| e.try_downcast_ref::<PgDatabaseError>())
}

/// What a person needs to know, free of values.
pub(crate) fn reason(error: &sqlx::Error) -> String {
    if let Some(refused) = database(error) {
        return sqlstate(refused);
    }
    match error {
        sqlx::Error::Io(cause) if is_unknown_host(cause) => {
            "no such host is known: check its name, and whether DNS answers".to_owned()
        }
        sqlx::Error::Io(cause) => format!("the connection failed ({})", cause.kind()),
        sqlx::Error::Tls(_) => "TLS failed; check sslmode and the server's certificate".to_owned(),
        sqlx::Error::PoolTimedOut => "no connection became free or could be made within 5 s".to_owned(),
        sqlx::Error::PoolClosed => "it is closed".to_owned(),
        sqlx::Error::ColumnDecode { index, .. } => format!("column {index} is not of the expected type"),
        sqlx::Error::RowNotFound => "an expected row is missing".to_owned(),
        sqlx::Error::BeginFailed => "no transaction could be begun".to_owned(),
        sqlx::Error::Protocol(_) => {
            "the connection was closed, or what answers is not PostgreSQL: check host and port, and any proxy between"
                .to_owned()
        }
        sqlx::Error::Configuration(_) => "its address can't be used: check it and its parameters".to_owned(),
        _ => "the driver failed".to_owned(),
    }
}

/// The system has no kind of its own for it.
fn is_unknown_host(error: &std::io::Error) -> bool {
    error.to_string().starts_with("failed to lookup address information")
}

fn sqlstate(refused: &PgDatabaseError) -> String {
    let code = refused.code();
    let what = match code {
        "28P01" | "28000" => "user or password were refused",
        "3D000" => "there is no such database",
        "42P01" | "3F000" | "42883" => "the ledger's tables are missing: run `ferry migrate`",
        "42501" => "the database user lacks a privilege",
        "53100" => "the server's disk is full",
        "53300" => "the server has no connection left: raise max_connections or lower Ferry's",
        "26000" | "42P05" => {
            "a pooler before the server shares its connections between transactions: connect to the server itself, \
             or to a pool with pool_mode = session"
        }
        "57014" => "a statement took too long and was stopped",
        "57P01" | "57P02" => "the server ended the connection",
        "57P03" => "the server is starting up or shutting down",
        "25006" => {
            "nothing can be written here: the server is a standby, or default_transaction_read_only is on for \
             this database user"
        }
        "22P05" | "22021" => {
            "a character of the source is not in the encoding of the ledger's database: set FERRY_LEDGER_URL to a \
             database with encoding UTF8"
        }
        _ if code.starts_with("08") => "the connection failed",
        _ if code.starts_with("23") => "a constraint was violated",
        _ => "the server refused a statement",
    };
    match refused.constraint() {
        Some(name) => format!("{what} (SQLSTATE {code}, constraint {name})"),
        None => format!("{what} (SQLSTATE {code})"),
    }
}

/// Whether the connection it came over is gone.
fn is_loss(error: &sqlx::Error) -> bool {
    match database(error) {
        Some(refused) => refused.code().starts_with("57P") || refused.code().starts_with("08"),
        None => matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::BeginFailed),
    }
}

/// Whether it may be over later without anybody's doing: the server is away, starting,
/// full, read-only after a fail-over, or has no connection left.
pub(crate) fn passes(error: &sqlx::Error) -> bool {
    let short_of_something = |refused: &PgDatabaseError| {
        let code = refused.code();
        code.starts_with("53") || code == "25006"
    };
    is_loss(error)
        || matches!(error, sqlx::Error::PoolTimedOut)
        || database(error).is_some_and(short_of_something)
}

impl PostgresLedger {
    /// Turns a fault into the port's error; `doing` completes "the ledger …".
    pub(crate) fn failed(&self, doing: &'static str) -> impl Fn(Fault) -> LedgerError + '_ {
        move |fault| match fault {
            Fault::Ledger(error) => error,
            Fault::ToldBefore | Fault::KeyShared => LedgerError::Busy,
            Fault::AppLocked(table) => LedgerError::AppBusy(table),
            Fault::AppRows(refusal) => {
                LedgerError::Unavailable { doing, reason: refusal.to_string(), passes: false }
            }
            Fault::AppSlow => {
                let reason = "the application's table took too long".to_owned();
                LedgerError::Unavailable { doing, reason, passes: false }
            }
            Fault::Sql(error) => {
                if is_loss(&error) {
                    self.losses.note();
                }
                if is_lock_of(&error) {
                    return LedgerError::Busy;
                }
                LedgerError::Unavailable { doing, reason: reason(&error), passes: passes(&error) }
            }
        }
    }

    /// The same for a statement outside of a transaction.
    pub(crate) fn sql_failed(&self, doing: &'static str) -> impl Fn(sqlx::Error) -> LedgerError + '_ {
        let failed = self.failed(doing);
        move |error| failed(Fault::Sql(error))
    }
}
