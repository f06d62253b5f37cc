//! Whose fault it is when the application's table answers with an error.
//!
//! **Whatever is not a lost connection, a lock or a shutdown is about rows.** A list of what rows
//! may raise was rejected: triggers raise codes of their own, policies those of privileges, and
//! one row with a code that is not listed would stop its run for ever.

use ferry_domain::Code;
use sqlx::postgres::PgDatabaseError;

use crate::errors::{self, Fault, Refusal};

/// A statement took longer than its limit, or a person cancelled it.
const CANCELLED: &str = "57014";

/// What an error of the update means.
pub(super) fn of_update(error: sqlx::Error, table: &str) -> Fault {
    match errors::database(&error) {
        Some(refused) if refused.code() == CANCELLED => Fault::AppSlow,
        Some(refused) if !is_the_servers(refused.code()) => Fault::AppRows(refusal(refused, table)),
        _ => Fault::Sql(error),
    }
}

/// Whether the table may have lost something: names, types and privileges. It may be a row's all
/// the same, for triggers and policies raise such codes too.
pub(super) fn may_be_the_tables(refusal: &Refusal) -> bool {
    refusal.sqlstate.starts_with("42")
}

fn refusal(refused: &PgDatabaseError, table: &str) -> Refusal {
    let (sqlstate, constraint) = (refused.code(), refused.constraint());
    tracing::warn!(sqlstate, constraint, "the application's table refused a row");
    let its_own = refused.table() == Some(table);
    Refusal {
        code: if sqlstate == "23505" && its_own { Code::AppIdTaken } else { Code::AppRowRefused },
        sqlstate: sqlstate.to_owned(),
        constraint: constraint.map(str::to_owned),
    }
}

/// Connections, what the server lacks, its shutdown, locks, a standby, and a pooler that loses
/// prepared statements. Single codes rather than classes where triggers raise the others.
pub(super) fn is_the_servers(sqlstate: &str) -> bool {
    const BEGINNINGS: [&str; 3] = ["08", "53", "57P"];
    const CODES: [&str; 7] = ["40001", "40P01", "55P03", "25006", "25P03", "26000", "42P05"];
    BEGINNINGS.iter().any(|beginning| sqlstate.starts_with(beginning)) || CODES.contains(&sqlstate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_servers_own_trouble_is_no_refusal_of_rows() {
        for sqlstate in ["08006", "57P01", "57P03", "53100", "40P01", "40001", "55P03", "25006", "42P05"] {
            assert!(is_the_servers(sqlstate), "{sqlstate}");
        }
        for sqlstate in [
            "APP01", "55000", "42501", "0A000", "22P02", "23514", "40002", "44000", "57000", "58P01",
            "P0001", "XX000",
        ] {
            assert!(!is_the_servers(sqlstate), "{sqlstate}");
        }
    }
}
