//! The ledger in another database than the application's table, through the real binary.

use std::path::Path;

use ferry_simulator::{Config, Faults};
use ferry_testbed::Database;
use sqlx::{Connection, SqliteConnection, query_scalar};

use crate::world::{World, servers};

/// A world whose ledger is in a database of its own.
async fn apart(test: &str, simulated: Config) -> Option<(World, Database)> {
    let mut world = World::with(test, simulated).await?;
    let ledger = Database::on(&servers(test)?.0).await;
    world.place.set("FERRY_LEDGER_URL", ledger.url.as_str());
    Some((world, ledger))
}

async fn in_file(path: &Path, sql: &'static str) -> i64 {
    let url = format!("sqlite://{}", path.display());
    query_scalar(sql).fetch_one(&mut SqliteConnection::connect(&url).await.unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_s_users_keep_their_ids_where_the_ledger_is_in_another_database() {
    let faults = Faults { latency_ms: 10, ..Faults::default() };
    let Some((mut world, ledger)) = apart("ledger apart", Config { faults, ..Config::default() }).await
    else {
        return;
    };
    world.place.set("FERRY_WORKER__LEASE_SECONDS", "2");
    let run = world.started(600, &["--batch-size", "50"]);
    for victim in 0..2 {
        world.worker(&[]);
        let enough = 150 * (i64::try_from(victim).unwrap() + 1);
        world.until(&run, "under way", |shown| shown["created"].as_i64() >= Some(enough)).await;
        world.workers()[victim].kill();
    }
    world.worker(&[]);
    let shown = world.until_sealed(&run).await;
    crate::world::assert_adds_up(&shown);
    assert_eq!((&shown["pending"], &shown["discrepancies"]), (&0.into(), &0.into()), "{shown}");
    world.assert_ids_match().await;
    let ids = world.number("SELECT count(auth0_user_id) FROM users").await;
    assert_eq!(Some(ids), shown["created"].as_i64(), "each created user's id is in the application");
    assert_eq!(world.simulator.users().len() as i64, ids, "nobody is at Auth0 twice");
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'ferry'";
    assert_eq!(world.number(schemas).await, 0, "nothing of the ledger is in the application's database");
    drop(ledger);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_with_another_application_s_database_writes_nothing_there_and_says_which_it_needs() {
    let Some((mut world, ledger)) = apart("another application", Config::default()).await else { return };
    let run = world.started(60, &[]);
    let own = world.database.url.clone();
    let other = Database::on(&own).await;
    world.place.must(&["seed", "--target", &other.url, "--users", "60"]);
    world.place.set("DATABASE_URL", other.url.as_str());
    world.place.must(&["migrate", "--app", "--yes"]);
    world.worker(&[]);
    let mut said = String::new();
    let named = async || {
        let shown = world.place.must(&["run", "show", &run]).all();
        said = shown.split_whitespace().collect::<Vec<_>>().join(" "); // lines are wrapped
        said.contains("set DATABASE_URL to postgres://")
    };
    let named = ferry_testbed::comes_true(std::time::Duration::from_millis(100), named).await;
    assert!(named, "which database it needs is said: {said}");
    let with_ids = "SELECT count(auth0_user_id) FROM users";
    let written: i64 = query_scalar(with_ids).fetch_one(&mut other.connect().await).await.unwrap();
    assert_eq!(written, 0, "nobody of another application gets an id");

    world.workers().clear();
    world.place.set("DATABASE_URL", own.as_str());
    world.worker(&[]);
    let shown = world.until_sealed(&run).await;
    assert_eq!(Some(world.number(with_ids).await), shown["created"].as_i64(), "{shown}");
    world.assert_ids_match().await;
    drop((ledger, other));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_sqlite_is_moved_with_its_ledger_on_postgresql() {
    let Some((mut world, ledger)) = apart("table on SQLite", Config::default()).await else { return };
    world.place.set("DATABASE_URL", "sqlite://app.db");
    world.place.must(&["seed", "--target", "app.db", "--users", "60"]);
    world.place.must(&["migrate", "--app", "--yes"]);
    let run = world.place.start_run("app.db", &[]);
    world.worker(&[]);
    let shown = world.until_sealed(&run).await;
    let file = world.place.path("app.db");
    let ids = in_file(&file, "SELECT count(auth0_user_id) FROM users").await;
    assert!(ids > 0, "{shown}");
    assert_eq!(Some(ids), shown["created"].as_i64(), "{shown}");
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name GLOB 'ferry_runs'";
    assert_eq!(in_file(&file, tables).await, 0, "nothing of the ledger is in the application's file");
    drop(ledger);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_postgresql_is_moved_with_its_ledger_on_sqlite() {
    let Some(mut world) = World::new("ledger on SQLite").await else { return };
    world.place.set("FERRY_LEDGER_URL", "sqlite://ledger.db");
    let run = world.started(60, &[]);
    world.worker(&[]);
    let shown = world.until_sealed(&run).await;
    let ids = world.number("SELECT count(auth0_user_id) FROM users").await;
    assert!(ids > 0, "{shown}");
    assert_eq!(Some(ids), shown["created"].as_i64(), "{shown}");
    world.assert_ids_match().await;
    let preset = ["--preset", "medlogistics", "--email-verified", "assume", "--yes"];
    let again = world.place.run(&[&["run", "start", &world.database.url], &preset[..]].concat());
    assert!(again.all().contains("ALREADY_MIGRATED"), "a second run knows who was moved: {}", again.all());
    world.end().await;
}
