//! The application's own table: looking at it, preparing it, writing ids into it.
//!
//! The only SQL that is made at run time. Names come from settings, so each is
//! looked up in the catalogue first and quoted always.

mod apart;
mod look;
mod parts;
mod prepare;
mod row_ids;
mod schema;
mod write;

use std::path::Path;

use ferry_domain::{ItemResult, WriteBackTarget, application::AppTable, ports::RefusedRow};
use ferry_ledger::Result;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

pub use apart::SqliteApplication;
pub(crate) use look::look_closely;
pub(crate) use parts::Parts;
pub(crate) use prepare::prepare;
pub(crate) use row_ids::row_ids;
pub(crate) use schema::schema;
pub(crate) use write::Trouble;

use self::write::{AppRow, write_ids};
use crate::errors::Doing;

const LOOKING: &str = "could not look at the application's table";
const WRITING: &str = "could not write to the application's table";

/// Looks at a table of a file, which is only read.
///
/// # Errors
/// `WriteBackTarget` when there is no such table; `Unavailable` when the file can't be read.
pub async fn application_table(path: &Path, target: &WriteBackTarget) -> Result<AppTable> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true).disable_statement_logging();
    let mut connection = options.connect().await.doing(LOOKING)?;
    let found = look_closely(&mut connection, target).await;
    drop(connection.close().await);
    Ok(found?.table)
}

/// Gives the rows of these results their ids; returns those that did not take them, and why.
pub(crate) async fn write_rows(
    connection: &mut SqliteConnection,
    target: &WriteBackTarget,
    results: &[&ItemResult],
    parts: &mut Parts,
) -> std::result::Result<Vec<RefusedRow>, Trouble> {
    let mut rows: Vec<AppRow<'_>> = results
        .iter()
        .filter_map(|result| {
            let id = result.outcome.auth0_user_id.as_ref()?;
            Some(AppRow { seq: result.seq, key: &result.key, id, email: result.email.expose() })
        })
        .collect();
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    rows.sort_by_key(|row| row.key);
    write_ids(connection, target, &rows, parts).await
}

async fn run(connection: &mut SqliteConnection, sql: String) -> std::result::Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(sql)).execute(connection).await.map(drop)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_in_a_name_stays_in_the_name() {
        assert_eq!(quoted(r#"a"; DROP TABLE b; --"#), r#""a""; DROP TABLE b; --""#);
    }
}
