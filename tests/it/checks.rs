//! `ferry check`: what is well, what should be known, what has to be mended, and that
//! nothing stays behind.

use ferry_simulator::Config;
use serde_json::Value;

use crate::world::{Place, Ran, World, new_place};

fn checked(place: &Place) -> (Ran, Value) {
    let ran = place.run(&["check", "--output", "json"]);
    let found = ran.json();
    (ran, found)
}

/// The result of one check.
fn result<'a>(found: &'a Value, name: &str) -> &'a str {
    let checks = found["checks"].as_array().unwrap();
    let line = checks.iter().find(|line| line["check"] == name);
    line.unwrap_or_else(|| panic!("there is no check {name}: {found}"))["result"].as_str().unwrap()
}

#[test]
fn an_empty_place_says_what_to_set_and_stays_empty() {
    let place = new_place();
    let (ran, found) = checked(&place);
    assert_eq!((ran.code, result(&found, "auth0")), (10, "error"), "{found}");
    assert_eq!((result(&found, "settings"), result(&found, "ledger")), ("ok", "ok"), "{found}");
    assert_eq!(std::fs::read_dir(place.dir.path()).unwrap().count(), 0, "a check makes nothing");
    let table = place.run(&["check"]);
    assert!(table.out.contains("AUTH0_CLIENT_ID") && table.err.contains("1 error,"), "{}", table.all());

    place.write("ferry.toml", "[worker]\nbatchs = 3\n");
    let (ran, found) = checked(&place);
    assert_eq!((ran.code, result(&found, "settings")), (10, "error"), "{found}");
    assert!(ran.out.contains("batchs"), "{}", ran.all());
}

/// The application's file is not changed by a command that only looks: no tables, no journal mode.
#[test]
fn a_check_writes_nothing_into_a_file_without_a_ledger() {
    let mut place = new_place();
    place.must(&["seed", "--target", "app.db", "--users", "40"]);
    let before = std::fs::read(place.path("app.db")).unwrap();
    for url in ["DATABASE_URL", "FERRY_LEDGER_URL"] {
        place.set(url, "sqlite://app.db");
        let (ran, found) = checked(&place);
        assert_eq!(result(&found, "ledger"), "ok", "{found}");
        // Without a name of its own the ledger will be in a file beside the application's.
        let expected = if url == "DATABASE_URL" { "none yet" } else { "none in it yet" };
        assert!(ran.out.contains(expected), "{}", ran.all());
        assert!(std::fs::read(place.path("app.db")).unwrap() == before, "{url}: the file was changed");
        assert_eq!(std::fs::read_dir(place.dir.path()).unwrap().count(), 1, "and nothing made beside it");
    }
    place.must(&["migrate", "--app", "--yes"]);
    let (ran, _) = checked(&place);
    assert!(ran.out.contains("app.db, up to date"), "{}", ran.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_complete_world_is_well_and_each_fault_is_named() {
    let Some(mut world) = World::new("check").await else { return };
    let (ran, found) = checked(&world.place);
    assert_eq!((ran.code, result(&found, "ledger")), (10, "error"), "its tables are missing: {found}");
    assert!(ran.out.contains("ferry migrate --yes"), "{}", ran.all());

    let run = world.started(40, &[]);
    let (ran, found) = checked(&world.place);
    for name in [
        "settings",
        "limits",
        "ledger",
        "workers",
        "registration",
        "redis",
        "eviction",
        "auth0",
        "clock",
        "scopes",
        "connection",
    ] {
        assert_eq!(result(&found, name), "ok", "{name}: {found}");
    }
    assert!(ran.out.contains("none runs: ferry worker"), "{found}");
    // The tests' own Redis keeps nothing on disk, if nobody says otherwise.
    let expected = if result(&found, "persistence") == "ok" { 0 } else { 11 };
    assert_eq!((ran.code, &found["errors"]), (expected, &0.into()), "{found}");
    assert_eq!(world.number("SELECT count(*) FROM ferry.workers").await, 0, "its registration is gone");
    assert_eq!(world.simulator.users().len(), 0, "at Auth0 it only reads");
    assert_eq!(world.show(&run)["state"], "running");

    for (name, value, check) in [
        ("AUTH0_CONNECTION", "no-such-connection", "connection"),
        ("AUTH0_CLIENT_SECRET", "wrong", "auth0"),
        ("AUTH0_BASE_URL", "http://127.0.0.1:1", "auth0"),
        ("REDIS_URL", "redis://127.0.0.1:1", "redis"),
        ("REDIS_URL", "", "redis"),
        ("DATABASE_URL", "postgres://nobody:hunter2@127.0.0.1:1/app", "ledger"),
    ] {
        let before = world.place.env.clone();
        world.place.set(name, value);
        let (ran, found) = checked(&world.place);
        assert_eq!((ran.code, result(&found, check)), (10, "error"), "{name}={value}: {found}");
        assert!(!ran.all().contains("hunter2"), "{}", ran.all());
        world.place.env = before;
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_takes_no_writes_is_not_called_well_and_nor_is_its_table() {
    let Some(world) = World::new("check_read_only").await else { return };
    world.started(40, &[]);
    let read_only = |on: &str| {
        format!(
            "DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = {on}', current_database()); END$$"
        )
    };
    world.execute(&read_only("on")).await;
    let (ran, found) = checked(&world.place);
    assert_eq!((ran.code, result(&found, "ledger")), (10, "error"), "{found}");
    assert!(ran.out.contains("can't be written to") && ran.out.contains("read-only"), "{found}");
    for name in ["table", "registration"] {
        let checks = found["checks"].as_array().unwrap();
        assert!(!checks.iter().any(|line| line["check"] == name), "{name}: {found}");
    }
    world.end().await;
}

#[test]
fn a_host_that_nobody_knows_is_called_so() {
    let mut place = new_place();
    place.set("DATABASE_URL", "postgres://ann@no-such-host.invalid/app");
    for args in [&["check"][..], &["plan", "--preset", "medlogistics"]] {
        let ran = place.run(args);
        let said = ran.all().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains("no such host is known"), "{said}");
        assert!(!said.contains("uncategorized"), "{said}");
    }
}

#[test]
fn another_program_at_the_database_s_address_is_called_so() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 512]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let mut place = new_place();
    place.set("DATABASE_URL", format!("postgres://ann@{address}/app"));
    for (args, words) in [
        (&["check"][..], "what answers is not PostgreSQL: check host and port"),
        (&["plan", "--preset", "medlogistics"], "whether a PostgreSQL server answers there"),
    ] {
        let ran = place.run(args);
        let said = ran.all().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(words), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_scopes_are_told_apart() {
    for (scopes, check, expected) in [
        (vec!["create:users", "read:users"], "connection", "warning"),
        (vec!["create:users", "read:connections"], "scopes", "error"),
        (vec!["read:users", "read:connections"], "scopes", "error"),
    ] {
        let scopes = scopes.into_iter().map(str::to_owned).collect();
        let Some(world) = World::with("scopes", Config { scopes, ..Config::default() }).await else { return };
        let (_, found) = checked(&world.place);
        assert_eq!(result(&found, check), expected, "{found}");
        assert_eq!(result(&found, "auth0"), "ok", "{found}");
        world.end().await;
    }
}
