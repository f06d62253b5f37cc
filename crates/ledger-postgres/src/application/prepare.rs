//! The column and the index that write-back needs in the application's table.
//!
//! Both are made while the application works: the column is nullable (no rewrite),
//! its short exclusive lock is asked for 500 ms at a time so that nobody queues behind
//! it, and the index is built `CONCURRENTLY`. It is **partial**: with a full unique
//! index, two transactions that touch the same row wait for each other's index entries. It leaves
//! out blanks as it leaves out NULL: a column of the application's own may say "none" so.

use std::time::Duration;

use ferry_domain::{
    WriteBackTarget,
    application::{Relation, equal_ids},
    hex::hex_digest,
    ports::LedgerError,
};
use sqlx::{AssertSqlSafe, Executor, PgConnection, query_scalar};

use super::look::{Found, look};
use crate::errors::{self, Fault, Tried};

/// How often the exclusive lock is asked for, half a second each time.
const TRIES: u32 = 30;
/// Between two tries the application has the table to itself.
const PAUSE: Duration = Duration::from_millis(250);
/// Advisory lock of those who prepare: "ferry" in hexadecimal digits.
const PREPARING: i64 = 0x66_65_72_72_79;

/// Adds the column and its index where they are missing; returns whether it did. The
/// connection is of this use only: its settings are changed.
pub(crate) async fn prepare(connection: &mut PgConnection, target: &WriteBackTarget) -> Tried<bool> {
    connection.execute("SET statement_timeout = 0; SET lock_timeout = '500ms'").await?;
    take_turn(connection).await?;
    let found = look(connection, target).await?;
    found.table.check_preparing()?;
    let target = &found.table.target;
    let lacking = found.table.id.is_none();
    let unindexed =
        found.table.relation == Relation::Table && found.table.id.as_ref().is_none_or(|id| !id.unique);
    if (lacking || unindexed) && !found.owned {
        return Err(not_owned(target).into());
    }
    if lacking {
        add_column(connection, target, &found).await?;
    }
    if unindexed {
        add_index(connection, target, &found).await?;
    }
    Ok(lacking || unindexed)
}

fn not_owned(target: &WriteBackTarget) -> LedgerError {
    LedgerError::WriteBackTarget(format!(
        "only the owner of {} may add {} and its index, and the database user is not: connect as the owner",
        target.shown(),
        target.id_column
    ))
}

/// One at a time. Polled, because `CREATE INDEX CONCURRENTLY` waits for every open
/// statement, and one that waits here for the lock would wait for the index.
async fn take_turn(connection: &mut PgConnection) -> Tried<()> {
    loop {
        let mine = query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "mine!""#, PREPARING)
            .fetch_one(&mut *connection)
            .await?;
        if mine {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn add_column(connection: &mut PgConnection, target: &WriteBackTarget, found: &Found) -> Tried<()> {
    let column = quoted(&target.id_column);
    patiently(connection, format!("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {column} text", found.name)).await
}

/// Runs a statement that needs the table for a moment, again and again.
async fn patiently(connection: &mut PgConnection, statement: String) -> Tried<()> {
    let mut tries = 0;
    loop {
        tries += 1;
        // Names come quoted from the catalogue or by `quoted`.
        match connection.execute(AssertSqlSafe(statement.clone())).await.map_err(Fault::from) {
            Err(fault) if fault.passes() && tries < TRIES => tokio::time::sleep(PAUSE).await,
            done => return done.map(drop),
        }
    }
}

async fn add_index(connection: &mut PgConnection, target: &WriteBackTarget, found: &Found) -> Tried<()> {
    let name = index_name(target);
    // One of ours that is invalid was left behind by an interrupted build.
    let leftover = query_scalar!(
        r#"
        SELECT format('%I.%I', space.nspname, class.relname) AS "ours!"
        FROM pg_index AS index
        JOIN pg_class AS class ON class.oid = index.indexrelid
        JOIN pg_namespace AS space ON space.oid = class.relnamespace
        WHERE index.indrelid::bigint = $1 AND class.relname = $2 AND NOT index.indisvalid
        "#,
        found.oid,
        name,
    )
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(ours) = leftover {
        patiently(connection, format!("DROP INDEX CONCURRENTLY IF EXISTS {ours}")).await?;
    }
    build(connection, target, found, &name).await
}

async fn build(
    connection: &mut PgConnection,
    target: &WriteBackTarget,
    found: &Found,
    name: &str,
) -> Tried<()> {
    let (column, index) = (quoted(&target.id_column), quoted(name));
    let create =
        format!("CREATE UNIQUE INDEX CONCURRENTLY {index} ON {} ({column}) WHERE {column} <> ''", found.name);
    // Building waits for the transactions that are open now; asking anew would leave
    // an invalid index behind each time. It holds no lock that stops reads or writes.
    connection.execute("SET lock_timeout = 0").await?;
    let built = connection.execute(AssertSqlSafe(create)).await;
    if let Err(error) = built {
        let drop_it = format!("DROP INDEX CONCURRENTLY IF EXISTS {}{index}", schema_of(&found.name));
        connection.execute(AssertSqlSafe(drop_it)).await?;
        let doubled = errors::database(&error).is_some_and(|refused| refused.code() == "23505");
        if doubled {
            return Err(equal_ids(target).into());
        }
        return Err(error.into());
    }
    Ok(())
}

/// The schema of a name as the catalogue quotes it, with its dot.
fn schema_of(name: &str) -> &str {
    let mut within = false;
    for (at, letter) in name.char_indices() {
        match letter {
            '"' => within = !within,
            '.' if !within => return &name[..=at],
            _ => {}
        }
    }
    ""
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A name of ours, so that a leftover is known again; PostgreSQL keeps 63 bytes.
fn index_name(target: &WriteBackTarget) -> String {
    let full = format!("{}_{}", target.table, target.id_column);
    let digest = hex_digest(full.as_bytes());
    let mut short = full;
    while short.len() > 48 {
        short.pop();
    }
    format!("ferry_{short}_{}", &digest[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_are_quoted_and_found_again() {
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
        assert_eq!(schema_of("public.users"), "public.");
        assert_eq!(schema_of("\"my.app\".users"), "\"my.app\".");
        let long = WriteBackTarget::new(None, &"ä".repeat(31), "id", "auth0_user_id");
        assert!(index_name(&long).len() <= 63);
    }
}
