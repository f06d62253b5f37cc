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
        for (name, value) in [
            ("DATABASE_URL", "sqlite://app.db"),
            ("AUTH0_BASE_URL", &simulator.base_url()),
            ("AUTH0_CLIENT_ID", "ferry"),
            ("AUTH0_CLIENT_SECRET", SECRET),
            ("AUTH0_PLAN", "off"),
        ] {
            place.set(name, value);
        }
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
    assert_eq!(world.number("app.db", OURS).await, 0);
    let again = world.place.must(&["migrate", "--yes"]);
    assert!(!again.err.contains("moved"), "once: {}", again.all());
    let _second = world.worker("second.log");
    world.until_sealed(&run).await;
    let next = world.place.run(&["run", "start", "app.db", "--preset", "medlogistics", "--yes"]);
    assert!(next.all().contains("ALREADY_MIGRATED"), "a second run knows who was moved: {}", next.all());
}
