//! Ids that were lost in the application's table come back from the ledger.

use ferry_simulator::{Simulator, UserView};
use ferry_testbed::Place;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use crate::{beside::Embedded, world::World};

/// What a schema tool leaves of the column, one row that somebody else's address is in, and one
/// account that is gone.
const LOST: [&str; 2] = [
    "ALTER TABLE users DROP COLUMN auth0_user_id",
    "UPDATE users SET email = 'someone.else@example.com' WHERE id = (SELECT min(id) FROM users)",
];
const FIRST: &str = "SELECT min(id) FROM users WHERE auth0_user_id IS NOT NULL";

/// `first` is the key of the row with somebody else's address; `lost` counts the rows without an id.
async fn restored(
    (place, simulator): (&Place, &Simulator),
    run: &str,
    (first, lost): (i64, i64),
    execute: impl AsyncFn(String),
) {
    // Another user than that of the changed row: each is left out for a reason of its own.
    let is_first = |user: &UserView| {
        user.app_metadata.as_ref().is_some_and(|data| data["ferry"]["source_key"] == first.to_string())
    };
    let gone = simulator.users().into_iter().find(|user| !is_first(user)).unwrap();
    simulator.remove(&gone.user_id);
    let restore = |more: &[&str]| place.run(&[&["run", "restore-ids", run][..], more].concat());

    let refused = restore(&["--yes"]);
    assert_eq!(refused.code, 2, "{}", refused.all());
    assert!(refused.err.contains("ferry migrate --app"), "{}", refused.all());
    place.must(&["migrate", "--app", "--yes"]);
    for (from, to) in [("email", "mail"), ("mail", "email")] {
        execute(format!("ALTER TABLE users RENAME COLUMN {from} TO {to}")).await;
        if to == "mail" {
            let blind = restore(&["--yes"]);
            assert_eq!(blind.code, 2, "nobody knows whose rows they are: {}", blind.all());
            assert!(blind.err.contains("has no column email"), "{}", blind.all());
            let checked = place.run(&["check"]);
            assert!(checked.out.contains("has no column email"), "{}", checked.all());
        }
    }
    let unasked = restore(&[]);
    assert_eq!(unasked.code, 2, "without a terminal nobody agreed: {}", unasked.all());

    let told = restore(&["--yes", "--reason", "the column was dropped", "--output", "json"]);
    assert_eq!(told.code, 3, "{}", told.all());
    let json: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    let n = |key: &str| json[key].as_i64().unwrap();
    assert_eq!((n("lacking"), n("restored"), n("gone"), n("refused")), (lost, lost - 2, 1, 1), "{json}");
    assert_eq!(json["not_restored"].as_array().unwrap().len(), 2, "{json}");
    assert!(!told.all().contains("someone.else"), "{}", told.all());

    let again = restore(&["--yes"]);
    assert_eq!(again.code, 3, "{}", again.all());
    assert!(again.err.contains("0 ids restored") && again.out.contains("APP_ROW_CHANGED"), "{}", again.all());
    let audit = place.must(&["audit"]).out;
    assert!(audit.contains("restore_ids") && audit.contains("the column was dropped"), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_a_schema_tool_dropped_are_written_again_after_auth0_was_asked() {
    let Some(mut world) = World::new("restore ids").await else { return };
    let run = world.started(60, &[]);
    let early = world.place.run(&["run", "restore-ids", &run, "--yes"]);
    assert_eq!(early.code, 6, "{}", early.all());
    world.worker(&[]);
    world.until_sealed(&run).await;
    let lost = world.number("SELECT count(auth0_user_id) FROM users").await;
    let first = world.number(&FIRST.replace("min(id)", "min(id)::bigint")).await;
    for sql in LOST {
        world.execute(&sql.replace("(SELECT min(id) FROM users)", &first.to_string())).await;
    }
    let servers = (&world.place, &world.simulator);
    restored(servers, &run, (first, lost), async |sql| world.execute(&sql).await).await;
    world.assert_ids_match().await;
    assert_eq!(world.number("SELECT count(auth0_user_id) FROM users").await, lost - 2);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_a_schema_tool_dropped_from_a_file_are_written_again() {
    let world = Embedded::new("60").await;
    world.place.must(&["migrate", "--app", "--yes"]);
    let run = world.place.start_run("app.db", &[]);
    let worker = world.worker("worker.log");
    world.until_sealed(&run).await;
    drop(worker);
    let lost = world.number("app.db", "SELECT count(auth0_user_id) FROM users").await;
    let first = world.number("app.db", FIRST).await;
    let url = format!("sqlite://{}", world.place.path("app.db").display());
    let mut application = SqliteConnection::connect(&url).await.unwrap();
    let index = "DROP INDEX ferry_users_auth0_user_id";
    for sql in [index, LOST[0], LOST[1]] {
        let sql = sql.replace("(SELECT min(id) FROM users)", &first.to_string());
        sqlx::query(AssertSqlSafe(sql)).execute(&mut application).await.unwrap();
    }
    let execute = async |sql: String| {
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    };
    restored((&world.place, &world.simulator), &run, (first, lost), execute).await;
    assert_eq!(world.number("app.db", "SELECT count(auth0_user_id) FROM users").await, lost - 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_a_file_has_no_table_to_restore() {
    let mut world = Embedded::new("60").await;
    world.place.env.retain(|(name, _)| name != "DATABASE_URL");
    world.place.write("users.csv", "id,email,email_verified\n1,u1@example.com,true\n");
    let settings = "[source.columns]\nkey = \"id\"\nemail = \"email\"\nemail_verified = \"email_verified\"\n";
    world.place.write("ferry.toml", settings);
    let started = world.place.json(&["run", "start", "users.csv", "--yes", "--output", "json"]);
    let run = started["run"].as_str().unwrap().to_owned();
    let worker = world.worker("worker.log");
    let sealed = async || world.place.json(&["run", "show", &run, "--output", "json"])["state"] == "sealed";
    ferry_testbed::until("the run is sealed", sealed).await;
    drop(worker);
    let refused = world.place.run(&["run", "restore-ids", &run, "--yes"]);
    assert_eq!(refused.code, 2, "{}", refused.all());
    assert!(refused.err.contains(&format!("ferry run export {run}")), "{}", refused.all());
}
