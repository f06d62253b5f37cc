//! How SQLite finds rows: by an index, in each statement that the crate has. SQLite decides by
//! the shape of a statement where it has no statistics, and Ferry makes none.

use std::{fs, path::Path};

use serde_json::Value;
use sqlx::{AssertSqlSafe, Row, SqlitePool};

use ferry_contract::ledger::LedgerWorld;

use crate::world::world;

/// Tables that grow with the users.
const LARGE: [&str; 5] =
    ["ferry_items", "ferry_batches", "ferry_jobs", "ferry_attempts", "ferry_discrepancies"];

#[tokio::test]
async fn no_statement_reads_a_whole_table_that_grows_with_the_users() {
    let world = world().await.unwrap();
    world.ledger().migrate().await.unwrap();
    let mut found = Vec::new();
    let statements = statements();
    assert!(statements.len() > 100, "{} statements", statements.len());
    for statement in &statements {
        for table in read_whole(&world.application, statement).await {
            found.push(format!("{table}: {}", statement.split_whitespace().collect::<Vec<_>>().join(" ")));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Without this the rule could hold because nothing is seen.
#[tokio::test]
async fn a_statement_that_reads_all_items_is_found() {
    let world = world().await.unwrap();
    world.ledger().migrate().await.unwrap();
    let all = "SELECT count(*) FROM ferry_items AS i WHERE i.email = ?1";
    assert_eq!(read_whole(&world.application, all).await, ["ferry_items"]);
    let one_batch = "SELECT count(*) FROM ferry_items WHERE batch_id = ?1 AND state = 'pending'";
    assert!(read_whole(&world.application, one_batch).await.is_empty());
}

/// All fixed statements, as sqlx keeps them for a build without a database.
fn statements() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let kept: Value = serde_json::from_slice(&fs::read(entry.unwrap().path()).unwrap()).unwrap();
        kept["query"].as_str().unwrap().to_owned()
    };
    fs::read_dir(folder).unwrap().map(read).collect()
}

/// Large tables that a statement reads without an index.
async fn read_whole(database: &SqlitePool, statement: &str) -> Vec<&'static str> {
    let explained = format!("EXPLAIN QUERY PLAN {statement}");
    // Values that are not bound count as NULL, which changes no plan.
    let steps = sqlx::raw_sql(AssertSqlSafe(explained)).fetch_all(database).await.unwrap();
    let scanned = |step: String| {
        let name = step.strip_prefix("SCAN ")?.to_owned();
        LARGE.into_iter().find(|table| {
            name == *table
                || statement.contains(&format!("{table} AS {name}\n"))
                || statement.contains(&format!("{table} AS {name} "))
        })
    };
    steps.into_iter().filter_map(|step| scanned(step.get("detail"))).collect()
}
