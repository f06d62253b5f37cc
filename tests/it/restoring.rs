//! Ids that were lost in the application's table come back from the ledger.

use ferry_simulator::{Faults, Simulator, UserView};
use ferry_testbed::{Place, Worker, until};
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
    let first = first.to_string();
    let is_first = |user: &UserView| {
        user.app_metadata.as_ref().is_some_and(|data| data["ferry"]["source_key"] == first.as_str())
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
    assert_eq!(json["ended"], "whole", "{json}");
    assert_eq!(json["not_restored"].as_array().unwrap().len(), 2, "{json}");
    assert!(!told.all().contains("someone.else"), "{}", told.all());

    let again = restore(&["--yes"]);
    assert_eq!(again.code, 3, "{}", again.all());
    let sums = "0 ids restored; 1 account gone at Auth0, 1 row did not take it. 2 users are still without";
    assert!(again.err.contains(sums) && again.out.contains("APP_ROW_CHANGED"), "{}", again.all());
    let audit = place.must(&["audit"]).out;
    assert!(audit.contains("restore_ids") && audit.contains("the column was dropped"), "{audit}");
    assert!(audit.contains("ids_restored"), "{audit}");
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

/// An application in a file whose users were moved, and the run that did it.
async fn moved() -> (Embedded, String) {
    let world = Embedded::new("60").await;
    world.place.must(&["migrate", "--app", "--yes"]);
    let run = world.place.start_run("app.db", &[]);
    let worker = world.worker("worker.log");
    world.until_sealed(&run).await;
    drop(worker);
    (world, run)
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_a_schema_tool_dropped_from_a_file_are_written_again() {
    let (world, run) = moved().await;
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

/// A table whose keys are not kept unique, with people 1 to 6.
const PEOPLE: [&str; 2] = [
    "CREATE TABLE people (id INTEGER, email TEXT, email_verified BOOLEAN)",
    "INSERT INTO people VALUES (1, 'p1@example.com', true), (2, 'p2@example.com', true), (3, 'p3@example.com', true),
         (4, 'p4@example.com', true), (5, 'p5@example.com', true), (6, 'p6@example.com', true)",
];
const OF_PEOPLE: &str = "[source]\ntable = \"people\"\nemail_verified = \"column\"\n[source.columns]\nkey = \"id\"\n\
    email = \"email\"\nemail_verified = \"email_verified\"\n";
/// Person 1 can be mended; each of the others not, for a reason of its own.
const DAMAGE: [&str; 6] = [
    "UPDATE people SET auth0_user_id = NULL WHERE id IN (1, 2, 5)",
    "INSERT INTO people (id, email, email_verified) VALUES (2, 'twin@example.com', true)",
    "UPDATE people SET auth0_user_id = 'auth0|another' WHERE id = 3",
    "DELETE FROM people WHERE id = 4",
    "UPDATE people SET email = 'new5@example.com' WHERE id = 5",
    // The row of person 6 is another's by now, and person 6 has a new one.
    "UPDATE people SET id = 60 WHERE id = 6",
];
const REPAIR: [&str; 6] = [
    "DELETE FROM people WHERE email = 'twin@example.com'",
    "UPDATE people SET auth0_user_id = NULL WHERE id = 3",
    "INSERT INTO people (id, email, email_verified) VALUES (4, 'p4@example.com', true)",
    "UPDATE people SET email = 'p5@example.com' WHERE id = 5",
    "DELETE FROM people WHERE id = 6",
    "UPDATE people SET id = 6 WHERE id = 60",
];

/// `run` is over, and all six have their ids.
async fn each_is_named(place: &Place, run: &str, execute: impl AsyncFn(&str)) {
    let restore = |more: &[&str]| place.run(&[&["run", "restore-ids", run, "--yes"][..], more].concat());
    let whole = restore(&[]);
    assert_eq!(whole.code, 0, "{}", whole.all());
    assert!(whole.err.contains("No row waits for its id; 6 of 6 users carry theirs."), "{}", whole.all());
    for sql in DAMAGE {
        execute(sql).await;
    }
    execute("INSERT INTO people (id, email, email_verified) VALUES (6, 'p6@example.com', true)").await;

    let unasked = place.run(&["run", "restore-ids", run]);
    let asked = "3 rows lack their id, 1 row carries another Auth0 id, 1 user has no row any more, 1 key is carried by \
                 several rows.";
    assert!(unasked.err.contains(asked) && unasked.err.contains("Of 6 users of run"), "{}", unasked.all());
    assert!(unasked.err.contains("Ask Auth0 for 3 users, and write their ids into"), "{}", unasked.all());

    let told = restore(&["--output", "json"]);
    assert_eq!(told.code, 3, "{}", told.all());
    let json = told.json();
    let n = |key: &str| json[key].as_i64().unwrap();
    assert_eq!(
        (n("lacking"), n("restored"), n("refused"), n("gone"), n("carried")),
        (3, 1, 2, 0, 0),
        "{json}"
    );
    assert_eq!((n("another_id"), n("no_row"), n("several_rows"), n("unseen")), (1, 1, 1, 0), "{json}");
    let mut named: Vec<_> = json["not_restored"].as_array().unwrap().iter().collect();
    named.sort_by_key(|left| left["key"].as_str());
    let codes: Vec<_> =
        named.iter().map(|left| (left["key"].as_str().unwrap(), left["code"].as_str().unwrap())).collect();
    let expected = [
        ("2", "APP_KEY_SHARED"),
        ("3", "APP_ROW_CHANGED"),
        ("4", "APP_ROW_CHANGED"),
        ("5", "APP_ROW_CHANGED"),
        ("6", "APP_ID_TAKEN"),
    ];
    assert_eq!(codes, expected, "{json}");
    assert!(
        named.iter().all(|left| left["remedy"].as_str().unwrap().contains("give the command again")),
        "{json}"
    );

    let people = restore(&[]);
    assert_eq!(people.code, 3, "{}", people.all());
    for words in [
        "another Auth0 id",
        "no row with this key",
        "several rows carry",
        "another address",
        "another row carries",
    ] {
        assert!(
            people.out.split_whitespace().collect::<Vec<_>>().join(" ").contains(words),
            "{words}: {}",
            people.all()
        );
    }
    assert!(people.out.lines().all(|line| line.chars().count() <= 80), "{}", people.out);

    for sql in REPAIR {
        execute(sql).await;
    }
    let again = restore(&[]);
    assert_eq!(again.code, 0, "{}", again.all());
    assert!(again.err.contains("4 ids restored; 0 accounts gone"), "{}", again.all());
    execute("DELETE FROM people WHERE id = 4").await;
    let lines = |audit: &str| audit.matches("restored").count();
    let before = lines(&place.must(&["audit"]).out);
    let gone = restore(&[]);
    assert_eq!(gone.code, 3, "{}", gone.all());
    assert!(
        gone.err.contains("No row waits for its id; 5 of 6 users carry theirs. 1 user is still"),
        "{}",
        gone.all()
    );
    assert_eq!(lines(&place.must(&["audit"]).out), before, "nothing was written, so nothing was ordered");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_of_a_table_that_stays_without_its_id_is_named_with_what_to_do() {
    let Some(mut world) = World::new("restore named").await else { return };
    for sql in PEOPLE {
        world.execute(sql).await;
    }
    world.place.write("ferry.toml", OF_PEOPLE);
    world.place.must(&["migrate", "--app", "--yes"]);
    let started = world.place.json(&["run", "start", "--yes", "--output", "json"]);
    let run = started["run"].as_str().unwrap().to_owned();
    world.worker(&[]);
    world.until_sealed(&run).await;
    each_is_named(&world.place, &run, async |sql| world.execute(sql).await).await;
    world.end().await;
}

async fn execute_in(place: &Place, sql: &str) {
    let url = format!("sqlite://{}", place.path("app.db").display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_of_a_file_that_stays_without_its_id_is_named_with_what_to_do() {
    let world = Embedded::new("60").await;
    for sql in PEOPLE {
        execute_in(&world.place, sql).await;
    }
    world.place.write("ferry.toml", OF_PEOPLE);
    world.place.must(&["migrate", "--app", "--yes"]);
    let started = world.place.json(&["run", "start", "--yes", "--output", "json"]);
    let run = started["run"].as_str().unwrap().to_owned();
    let worker = world.worker("worker.log");
    let sealed = async || world.place.json(&["run", "show", &run, "--output", "json"])["state"] == "sealed";
    until("the run is sealed", sealed).await;
    drop(worker);
    each_is_named(&world.place, &run, async |sql| execute_in(&world.place, sql).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restoring_that_is_ended_keeps_what_it_did_and_the_audit_knows_of_one_that_was_killed() {
    let (world, run) = moved().await;
    let ids = async || world.number("app.db", "SELECT count(auth0_user_id) FROM users").await;
    let lost = ids().await;
    execute_in(&world.place, "UPDATE users SET auth0_user_id = NULL").await;
    world.simulator.set_faults(Faults { latency_ms: 400, ..Faults::default() }).unwrap();
    let start = |log: &str| {
        let command = world.place.ferry(&["run", "restore-ids", &run, "--yes"]);
        Worker::start(command, &world.place.path(log))
    };
    let asked = || world.simulator.stats().requests_to("GET /api/v2/users/{id}");

    let before = asked();
    let mut killed = start("killed.log");
    until("Auth0 is asked", async || asked() > before).await;
    killed.kill();
    let audit = || world.place.must(&["audit"]).out;
    assert!(audit().contains("restore_ids") && !audit().contains("ids_restored"), "{}", audit());
    assert_eq!(ids().await, 0);

    let before = asked();
    let mut ended = start("ended.log");
    until("Auth0 is asked", async || asked() > before).await;
    assert_eq!(ended.stop(), 130, "{}", ended.said());
    let said = ended.said();
    assert!(said.contains(&format!("Go on: ferry run restore-ids {run}")), "{said}");
    let written = ids().await;
    let left = format!("{} users are left. Go on", lost - written);
    assert!(said.contains(&left), "{left}: {said}");
    assert!(0 < written && written < lost, "who was asked about is written: {written} of {lost}");
    assert!(
        said.contains(&format!("{written} id")) && audit().contains("ended interrupted"),
        "{said}{}",
        audit()
    );

    world.simulator.set_faults(Faults::default()).unwrap();
    world.place.must(&["run", "restore-ids", &run, "--yes"]);
    assert_eq!(ids().await, lost);
    let again = format!("{lost} ids were written again at 20");
    for args in [&["run", "show", &run][..], &["run", "report", &run], &["run", "watch", &run]] {
        let said = one_line(&world.place.run(args).out);
        assert!(said.contains(&again), "{again}: {said}");
    }
    let sealed = one_line(&world.place.must(&["run", "report", &run, "--revision", "1"]).out);
    assert!(sealed.contains("carries its id") && !sealed.contains("written again"), "{sealed}");
    let checked = one_line(&world.place.run(&["check"]).out);
    assert!(checked.contains(&again), "{checked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_line_of_a_log_stands_between_what_a_restoring_says_unless_it_is_asked_for() {
    let (world, run) = moved().await;
    let refuse = "CREATE TRIGGER no_ids BEFORE UPDATE OF auth0_user_id ON users WHEN NEW.auth0_user_id IS NOT NULL \
                  BEGIN SELECT RAISE(ABORT, 'no'); END";
    for sql in ["UPDATE users SET auth0_user_id = NULL", refuse] {
        execute_in(&world.place, sql).await;
    }
    let restore = |more: &[&str]| {
        let told = world.place.run(&[&["run", "restore-ids", &run, "--yes"][..], more].concat());
        assert_eq!(told.code, 3, "{}", told.all());
        told
    };
    let told = restore(&[]);
    assert!(told.out.contains("APP_ROW_REFUSED") && !told.err.contains("WARN"), "{}", told.all());
    assert!(restore(&["--log", "warn"]).err.contains("WARN"), "who asks for them gets them");
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
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
    until("the run is sealed", sealed).await;
    drop(worker);
    let refused = world.place.run(&["run", "restore-ids", &run, "--yes"]);
    assert_eq!(refused.code, 2, "{}", refused.all());
    assert!(refused.err.contains(&format!("ferry run export {run}")), "{}", refused.all());
}
