//! A ledger in the application's file moves into a file of its own.

use std::path::{Path, PathBuf};

use ferry_contract::ledger::LedgerWorld;
use ferry_domain::ports::{LedgerError, Planning, Runs};
use ferry_ledger_sqlite::{Holds, SqliteLedger, holds, relocate};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use crate::world::{SqliteWorld, world};

const ROWS: &str = "INSERT INTO ferry_runs (id, migration, source_kind, source_location, spec, state, settled_batch, \
     requested_by, created_at, touched_at) VALUES \
     (x'00000000000000000000000000000001', 'm', 'sqlite', 'app.db#people', '{\"tenant\":\"t\",\"connection\":\"c\",\"on_existing\":\"adopt\",\
     \"batch_size\":10,\"max_attempts\":5,\"limits\":\"off\",\"write_back\":{\"table\":\"people\",\"key_column\":\"id\",\
     \"id_column\":\"auth0_user_id\"}}', 'running', x'0000000000000000000000000000000a', 'ann', 0, 0), \
     (x'00000000000000000000000000000002', 'm', 'csv', 'a.csv', '{\"tenant\":\"t\",\"connection\":\"c\",\"on_existing\":\"adopt\",\
     \"batch_size\":10,\"max_attempts\":5,\"limits\":\"off\"}', 'sealed', x'0000000000000000000000000000000b', 'ann', 0, 0)";

/// A file with a ledger of two runs and somebody else's table, and the file beside it.
async fn both() -> (SqliteWorld, PathBuf) {
    let world = world().await.unwrap();
    world.create_people(3).await;
    world.ledger().migrate().await.unwrap();
    world.run(ROWS).await;
    let beside = world.path().with_extension("ferry.db");
    (world, beside)
}

async fn ask(file: &Path, sql: &str) -> String {
    let mut connection = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await.unwrap()
}

const NAMES: &str = "SELECT group_concat(name, ' ') FROM sqlite_schema WHERE type IN ('table', 'view')";
const TARGETS: &str = "SELECT group_concat(substr(hex(id), 31) || ' ' || coalesce(spec ->> '$.write_back.database', 'none'), ', ') \
                       FROM ferry_runs";

#[tokio::test]
async fn all_runs_move_and_know_where_their_table_is() {
    let (world, beside) = both().await;
    let of = |ledger, others| Holds { ledger, runs: ledger, copying: false, others };
    assert_eq!(holds(&world.path()).await.unwrap(), of(true, true));
    assert_eq!(relocate(&world.path(), &beside, "the application's").await.unwrap(), 2);

    assert_eq!(ask(&world.path(), NAMES).await, "people", "nothing of the ledger is left");
    assert_eq!(ask(&beside, TARGETS).await, "01 the application's, 02 none");
    assert_eq!(holds(&world.path()).await.unwrap(), of(false, true));
    assert_eq!(holds(&beside).await.unwrap(), of(true, false));
    let moved = SqliteLedger::open_existing(&beside).await.unwrap();
    assert_eq!(moved.runs(10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_copy_that_was_left_half_way_counts_for_nothing_and_is_made_anew() {
    let (world, beside) = both().await;
    let half = SqliteLedger::open(&beside).await.unwrap();
    half.migrate().await.unwrap();
    half.close().await;
    let mut connection = SqliteConnection::connect(&format!("sqlite://{}", beside.display())).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(ROWS.replace("'running'", "'planned'").replace("'sealed'", "'running'")))
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::raw_sql("CREATE TABLE ferry_copying (at INTEGER)").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    assert!(holds(&beside).await.unwrap().copying);
    relocate(&world.path(), &beside, "here").await.unwrap();
    assert!(!holds(&beside).await.unwrap().copying);
    let states = "SELECT group_concat(state, ' ') FROM ferry_runs";
    assert_eq!(ask(&beside, states).await, "running sealed", "the old ledger was the ledger");
}

#[tokio::test]
async fn a_ledger_with_runs_is_never_written_over_not_even_by_an_older_copy_of_itself() {
    let (world, beside) = both().await;
    let other = SqliteLedger::open(&beside).await.unwrap();
    other.migrate().await.unwrap();
    other.close().await;
    let mut connection = SqliteConnection::connect(&format!("sqlite://{}", beside.display())).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(ROWS.replace("'running'", "'cancelled'")))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    match relocate(&world.path(), &beside, "here").await {
        Err(LedgerError::Refused(why)) => assert!(why.contains("both hold a ledger with runs"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(holds(&world.path()).await.unwrap().runs, "nothing was moved");
    assert_eq!(ask(&beside, "SELECT group_concat(state, ' ') FROM ferry_runs").await, "cancelled sealed");
}

#[tokio::test]
async fn an_empty_ledger_in_the_application_s_file_goes_and_the_other_stays() {
    let (world, beside) = both().await;
    relocate(&world.path(), &beside, "here").await.unwrap();
    let by_mistake = SqliteLedger::open_existing(&world.path()).await.unwrap();
    by_mistake.migrate().await.unwrap();
    by_mistake.close().await;
    assert_eq!(relocate(&world.path(), &beside, "here").await.unwrap(), 0);
    assert_eq!(ask(&world.path(), NAMES).await, "people");
    assert_eq!(ask(&beside, "SELECT count(*) || '' FROM ferry_runs").await, "2");
}

#[tokio::test]
async fn what_a_schema_tool_left_of_a_ledger_counts_as_one() {
    let (world, _) = both().await;
    let mut tool = SqliteConnection::connect(&format!("sqlite://{}", world.path().display())).await.unwrap();
    sqlx::raw_sql("PRAGMA foreign_keys = OFF; DROP TABLE ferry_runs").execute(&mut tool).await.unwrap();
    assert!(holds(&world.path()).await.unwrap().ledger);
}

#[tokio::test]
async fn a_file_that_is_not_there_holds_nothing_and_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none.db");
    assert_eq!(holds(&none).await.unwrap(), Holds::default());
    assert!(!none.exists());
}
