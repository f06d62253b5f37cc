//! The embedded form: one process and a file. The process that starts next takes up what the
//! last one held, immediately.

use std::{
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
};

use ferry_simulator::{Config, Faults, Simulator};
use ferry_testbed::{PATIENCE, Place, Worker, until};
use sqlx::{Connection, SqliteConnection};
use tokio::time::Instant;

use crate::{
    results::{Counts, Ending, Told, record},
    scene::{SECRET, ferry_binary},
};

const USERS: i64 = 300;

/// A started run of 300 users in files of its own, with a simulated Auth0.
struct Embedded {
    place: Place,
    simulator: Simulator,
    /// The application's.
    file: PathBuf,
    ledger: PathBuf,
}

impl Embedded {
    async fn started() -> Embedded {
        let mut place = Place::new(ferry_binary());
        let faults = Faults { latency_ms: 60, ..Faults::default() };
        let config =
            Config { client_id: "ferry".into(), client_secret: SECRET.into(), faults, ..Config::default() };
        let simulator = Simulator::start(config).await.unwrap();
        place.set_embedded(&simulator.base_url(), SECRET);
        place.must(&["seed", "--target", "sqlite://app.db", "--users", "300"]);
        place.must(&["migrate", "--app", "--yes"]);
        place.start_run("sqlite://app.db", &["--batch-size", "25"]);
        let (file, ledger) = (place.path("app.db"), place.path("app.ferry.db"));
        Embedded { place, simulator, file, ledger }
    }

    async fn until_sealed(&self) {
        until("the run is sealed", async || {
            number(&self.ledger, "SELECT count(*) FROM ferry_runs WHERE state = 'sealed'").await == 1
        })
        .await;
    }

    /// Users that are at Auth0 without a row's id, or twice.
    async fn doubled(&self) -> i64 {
        self.simulator.users().len() as i64 - across(&self.file).await
    }
}

/// A process dies when rows have their ids and the ledger, in its own file, does not know it;
/// whether it did die there.
pub async fn dies_between_the_files(crash_binary: &Path, point: &str) -> bool {
    let mut world = Embedded::started().await;
    world.place.set("FERRY_CRASH_AT", point);
    let command = world.place.command(crash_binary, &["worker"]);
    let mut armed = Worker::start(command, &world.place.path("armed.log"));
    let died = armed.ended(PATIENCE).await.signal() == Some(6);
    let known = number(&world.ledger, "SELECT count(*) FROM ferry_items WHERE state = 'created'").await;
    let ahead = across(&world.file).await - known;
    world.place.set("FERRY_CRASH_AT", "");
    let _second = Worker::start(world.place.ferry(&["worker"]), &world.place.path("second.log"));
    world.until_sealed().await;
    assert_eq!(world.doubled().await, 0);
    let created = number(&world.ledger, "SELECT count(*) FROM ferry_items WHERE state = 'created'").await;
    assert_eq!(across(&world.file).await, created, "each user's id is in the application");
    died && ahead > 0
}

#[tokio::test(flavor = "multi_thread")]
async fn s42_the_one_process_is_killed_and_started_again() {
    let seed = std::env::var("FERRY_CHAOS_SEED").map_or(7, |seed| seed.parse().unwrap());
    let world = Embedded::started().await;
    let Embedded { place, file, ledger, .. } = &world;
    let mut first = Worker::start(place.ferry(&["worker"]), &place.path("first.log"));
    until("20 users are across", async || across(file).await >= 20).await;
    first.kill();
    let held = number(ledger, "SELECT count(*) FROM ferry_jobs WHERE state = 'leased'").await;
    let before = across(file).await;
    assert!(held > 0, "the killed process held batches");

    let started = Instant::now();
    let _second = Worker::start(place.ferry(&["worker"]), &place.path("second.log"));
    let rescued = "SELECT count(*) FROM ferry_jobs WHERE token > 1";
    until("all batches are claimed again", async || number(ledger, rescued).await >= held).await;
    let after = started.elapsed();
    world.until_sealed().await;

    let at_target = across(file).await;
    let users = world.simulator.users();
    let doubled = world.doubled().await;
    let unaccounted = number(ledger, "SELECT count(*) FROM ferry_items WHERE state = 'pending'").await;
    let asked = world.simulator.stats().requests_to("POST /api/v2/users") as i64;
    let counts =
        Counts { users: USERS, lost: unaccounted, doubled, repeated_requests: asked - users.len() as i64 };
    let well = doubled == 0 && unaccounted == 0 && at_target > before;
    let ending = if well { Ending::Passed } else { Ending::Failed };
    let told = Told::recovered(after, format!("{held} batches were held; start of the process included"));
    record(42, "embedded: kill and restart of the one process", seed, ending, counts, &told);
    assert!(well, "{at_target} at the target, {doubled} doubled, {unaccounted} unaccounted for");
}

/// Users whose id the application has.
async fn across(file: &Path) -> i64 {
    number(file, "SELECT count(auth0_user_id) FROM users").await
}

async fn number(file: &Path, sql: &'static str) -> i64 {
    let url = format!("sqlite://{}", file.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
}
