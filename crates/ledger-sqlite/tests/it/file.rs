//! The application's file: what is opened, changed and left alone.

use ferry_contract::ledger::{LedgerWorld, scene::Scene};
use ferry_domain::ports::{LedgerError, Planning, Runs};
use ferry_ledger_sqlite::SqliteLedger;
use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};

use crate::world::world;

#[tokio::test]
async fn the_file_is_turned_to_wal_and_stays_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let application = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    // A connection goes on with the mode it found when it last read, so each look is a new one.
    let mode = async || {
        let mut connection = application.connect().await.unwrap();
        sqlx::query_scalar::<_, String>("PRAGMA journal_mode").fetch_one(&mut connection).await.unwrap()
    };
    assert_eq!(mode().await, "delete");

    for _ in 0..2 {
        let ledger = SqliteLedger::open_existing(&path).await.unwrap();
        ledger.migrate().await.unwrap();
        ledger.close().await;
        assert!(ledger.runs(1).await.is_err(), "closed is closed");
        assert_eq!(mode().await, "wal");
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("people.csv");
    let content = "id,email\n".repeat(500);
    std::fs::write(&path, &content).unwrap();
    let refused = SqliteLedger::open(&path).await.unwrap_err();
    assert!(matches!(refused, LedgerError::Unavailable { .. }));
    assert!(refused.to_string().contains("not a SQLite database"), "{refused}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
}

#[tokio::test]
async fn a_file_that_is_not_there_is_made_only_by_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let refused = SqliteLedger::open_existing(&path).await.unwrap_err();
    assert!(refused.to_string().contains("app.db"), "{refused}");
    assert!(!path.exists());
    SqliteLedger::open(&path).await.unwrap().close().await;
    SqliteLedger::open_existing(&path).await.unwrap().close().await;
}

#[tokio::test]
async fn the_applications_own_migrations_are_untouched() {
    let world = world().await.unwrap();
    world
        .run(
            "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, \
             installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, \
             checksum BLOB NOT NULL, execution_time BIGINT NOT NULL)",
        )
        .await;
    world
        .run(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (1, 'theirs', 1, x'00', 1)",
        )
        .await;
    let before = world
        .text("SELECT group_concat(version || description || hex(checksum)) FROM _sqlx_migrations")
        .await;
    world.ledger().migrate().await.unwrap();
    world.ledger().migrate().await.unwrap();
    let after = world
        .text("SELECT group_concat(version || description || hex(checksum)) FROM _sqlx_migrations")
        .await;
    assert_eq!(before, after);
    assert_eq!(world.count("migrations").await, 6);
    let foreign = world
        .text(
            "SELECT group_concat(name) FROM sqlite_schema WHERE type IN ('table', 'view') \
             AND name NOT LIKE 'ferry\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
        )
        .await;
    assert_eq!(foreign.as_deref(), Some("_sqlx_migrations"), "all that is ours has the prefix");
}

#[tokio::test]
async fn a_writer_elsewhere_makes_the_ledger_busy_and_nothing_is_lost() {
    let world = world().await.unwrap();
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 2, 2).await;
    let mut theirs = world.application.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query("CREATE TABLE slow (id INTEGER)").execute(&mut *theirs).await.unwrap();
    let answer = scene.ledger.take_ready(1).await;
    assert!(matches!(answer, Err(LedgerError::Busy)), "{answer:?}");
    assert_eq!(scene.view(run).await.tally.pending, 2, "reading goes on");
    theirs.rollback().await.unwrap();
    assert_eq!(scene.ledger.take_ready(1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_row_that_makes_no_sense_is_named() {
    let world = world().await.unwrap();
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 2, 2).await;
    world.run("UPDATE ferry_items SET state = 'failed', code = 'NO_SUCH_CODE' WHERE seq = 2").await;
    match scene.ledger.items(run, &Default::default(), ferry_domain::ItemSeq(0), 10).await {
        Err(error @ LedgerError::Corrupt { .. }) => {
            assert!(error.to_string().contains("row 2 of items"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_file_that_another_process_keeps_for_itself_is_said_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let application = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut application = application.pragma("locking_mode", "EXCLUSIVE").connect().await.unwrap();
    sqlx::query("CREATE TABLE people (id INTEGER PRIMARY KEY)").execute(&mut application).await.unwrap();
    let refused = SqliteLedger::open(&path).await.unwrap_err();
    assert!(refused.passes(), "it may be over by itself");
    let refused = refused.to_string();
    assert!(refused.contains("another process holds") && refused.contains("EXCLUSIVE"), "{refused}");
}
