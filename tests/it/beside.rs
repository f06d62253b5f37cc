//! The ledger of a SQLite application: in a file of its own, and moved there from the application's.

use std::path::Path;

use ferry_simulator::{Config, Faults, Simulator};
use ferry_testbed::{Place, Worker, until};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, query_scalar};

use crate::world::{SECRET, new_place};

/// A SQLite application, a simulated Auth0, and no other server.
pub struct Embedded {
    pub place: Place,
    pub simulator: Simulator,
}

impl Embedded {
    pub async fn new(users: &str) -> Embedded {
        let faults = Faults { latency_ms: 30, ..Faults::default() };
        let config =
            Config { client_id: "ferry".into(), client_secret: SECRET.into(), faults, ..Config::default() };
        let simulator = Simulator::start(config).await.unwrap();
        let mut place = new_place();
        place.set_embedded(&simulator.base_url(), SECRET);
        place.must(&["seed", "--target", "app.db", "--users", users]);
        Embedded { place, simulator }
    }

    pub fn worker(&self, log: &str) -> Worker {
        Worker::start(self.place.ferry(&["worker"]), &self.place.path(log))
    }

    pub async fn number(&self, file: &str, sql: &str) -> i64 {
        number(&self.place.path(file), sql).await
    }

    pub async fn until_sealed(&self, run: &str) {
        let shown = async || self.place.json(&["run", "show", run, "--output", "json"]);
        until("the run is sealed", async || shown().await["state"] == "sealed").await;
        let shown = shown().await;
        crate::world::assert_adds_up(&shown);
        assert_eq!(shown["discrepancies"], 0, "{shown}");
        let ids = self.number("app.db", "SELECT count(DISTINCT auth0_user_id) FROM users").await;
        assert_eq!(Some(ids), shown["created"].as_i64(), "each created user's id is in the application");
        assert_eq!(self.simulator.users().len() as i64, ids, "nobody is at Auth0 twice");
    }
}

async fn number(file: &Path, sql: &str) -> i64 {
    let mut connection = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await.unwrap()
}

const OURS: &str =
    "SELECT count(*) FROM sqlite_schema WHERE type <> 'index' AND name LIKE 'ferry\\_%' ESCAPE '\\'";
const ACROSS: &str = "SELECT count(auth0_user_id) FROM users";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_the_ids_is_put_into_an_application_s_file_and_a_killed_worker_loses_nobody() {
    let world = Embedded::new("200").await;
    world.place.must(&["migrate", "--app", "--yes"]);
    let run = world.place.start_run("app.db", &["--batch-size", "20"]);
    let mut first = world.worker("first.log");
    until("some are across", async || world.number("app.db", ACROSS).await >= 20).await;
    first.kill();
    let _second = world.worker("second.log");
    world.until_sealed(&run).await;
    assert_eq!(world.number("app.db", OURS).await, 0, "no table of Ferry's is in the application's file");
    assert_eq!(world.number("app.ferry.db", "SELECT count(*) FROM ferry_runs").await, 1);
}

/// A ledger of an earlier version, in the middle of a run.
#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_in_the_application_s_file_goes_on_there_and_moves_when_it_is_told_to() {
    let mut world = Embedded::new("200").await;
    world.place.set("FERRY_LEDGER_URL", "sqlite://app.db");
    world.place.must(&["migrate", "--app", "--yes"]);
    let run = world.place.start_run("app.db", &["--batch-size", "20"]);
    world.place.env.retain(|(name, _)| name != "FERRY_LEDGER_URL");

    let mut first = world.worker("first.log");
    until("some are across", async || world.number("app.db", ACROSS).await >= 20).await;
    let refused = world.place.run(&["migrate", "--yes"]);
    assert_eq!(refused.code, 6, "{}", refused.all());
    assert!(refused.err.contains("in use by process"), "{}", refused.all());
    let checked = world.place.run(&["check"]);
    let said = checked.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("Run ferry migrate --yes: it moves the ledger"), "{}", checked.all());
    first.kill();

    let moved = world.place.must(&["migrate", "--yes"]);
    assert!(moved.err.contains("with 1 run,"), "{}", moved.all());
    let audit = world.place.must(&["audit"]).out;
    assert!(audit.contains("migrate  by ") && audit.contains("moved from app.db"), "{audit}");
    assert_eq!(world.number("app.db", OURS).await, 0);
    let again = world.place.must(&["migrate", "--yes"]);
    assert!(!again.err.contains("moved"), "once: {}", again.all());
    let _second = world.worker("second.log");
    world.until_sealed(&run).await;
    let start = ["run", "start", "app.db", "--preset", "medlogistics", "--email-verified", "assume", "--yes"];
    let next = world.place.run(&start);
    assert!(next.all().contains("ALREADY_MIGRATED"), "a second run knows who was moved: {}", next.all());
}

/// A restored copy of the application's file has the ledger as it was then.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_of_the_application_s_file_brings_no_cancelled_run_back() {
    let mut world = Embedded::new("60").await;
    world.place.set("FERRY_LEDGER_URL", "sqlite://app.db");
    world.place.must(&["migrate", "--app", "--yes"]);
    let run = world.place.start_run("app.db", &[]);
    world.place.env.retain(|(name, _)| name != "FERRY_LEDGER_URL");
    let files = ["app.db", "app.db-wal"];
    let copies = files.map(|file| std::fs::read(world.place.path(file)).unwrap_or_default());
    world.place.must(&["migrate", "--yes"]);
    world.place.must(&["run", "cancel", &run, "--yes"]);
    for (file, copy) in files.iter().zip(&copies) {
        std::fs::write(world.place.path(file), copy).unwrap();
    }
    let _ = std::fs::remove_file(world.place.path("app.db-shm"));

    let state = || world.place.json(&["run", "show", &run, "--output", "json"])["state"].clone();
    assert_eq!(state(), "cancelled");
    let checked = world.place.run(&["check"]);
    assert_eq!(checked.code, 10, "{}", checked.all());
    assert!(checked.out.contains("another ledger with runs"), "{}", checked.all());
    world.place.must(&["migrate", "--yes"]);
    assert_eq!(state(), "cancelled", "nothing is written over it");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_beside_is_found_whatever_becomes_of_the_application_s_file() {
    let world = Embedded::new("60").await;
    world.place.must(&["migrate", "--app", "--yes"]);
    let run = world.place.start_run("app.db", &[]);
    // With what SQLite keeps beside it.
    let put = |from: &str, to: &str| {
        for part in ["", "-wal", "-shm"] {
            let path = |name: &str| world.place.path(&format!("{name}{part}"));
            let _ = std::fs::rename(path(from), path(to));
        }
    };
    put("app.db", "saved.db");
    let list = || world.place.must(&["run", "list"]).all();
    assert!(list().contains(&run[..8]), "without the file: {}", list());
    std::fs::write(world.place.path("app.db"), "").unwrap();
    assert!(list().contains(&run[..8]), "with an empty one: {}", list());
    assert_eq!(std::fs::read(world.place.path("app.db")).unwrap(), b"", "looking makes no ledger");
    put("saved.db", "app.db");

    // Another path to the same file, and another folder with both.
    std::os::unix::fs::symlink(world.place.path("app.db"), world.place.path("link.db")).unwrap();
    let mut place = world.place;
    place.set("DATABASE_URL", "sqlite://link.db");
    assert!(place.must(&["run", "list"]).all().contains(&run[..8]), "by a link");
    std::fs::create_dir(place.path("moved")).unwrap();
    for file in std::fs::read_dir(place.dir.path()).unwrap().map(|entry| entry.unwrap().path()) {
        if file.is_file() && !file.is_symlink() {
            let to = place.path("moved").join(file.file_name().unwrap());
            std::fs::rename(file, to).unwrap();
        }
    }
    place.set("DATABASE_URL", "sqlite://moved/app.db");
    let world = Embedded { place, simulator: world.simulator };
    let _worker = world.worker("moved.log");
    let shown = async || world.place.json(&["run", "show", &run, "--output", "json"]);
    until("the run is sealed", async || shown().await["state"] == "sealed").await;
    let ids = world.number("moved/app.db", ACROSS).await;
    assert!(ids > 0 && Some(ids) == shown().await["created"].as_i64(), "{ids}: {}", shown().await);
}
