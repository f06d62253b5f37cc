//! The embedded form: one process and a file. The process that starts next takes up what the
//! last one held, immediately.

use std::path::Path;

use ferry_simulator::{Config, Faults, Simulator};
use ferry_testbed::{Place, Worker, until};
use sqlx::{Connection, SqliteConnection};
use tokio::time::Instant;

use crate::{
    results::{Counts, Ending, Told, record},
    scene::{SECRET, ferry_binary},
};

const USERS: i64 = 300;

#[tokio::test(flavor = "multi_thread")]
async fn s42_the_one_process_is_killed_and_started_again() {
    let seed = std::env::var("FERRY_CHAOS_SEED").map_or(7, |seed| seed.parse().unwrap());
    let mut place = Place::new(ferry_binary());
    let faults = Faults { latency_ms: 60, ..Faults::default() };
    let config =
        Config { client_id: "ferry".into(), client_secret: SECRET.into(), faults, ..Config::default() };
    let simulator = Simulator::start(config).await.unwrap();
    for (name, value) in [
        ("DATABASE_URL", "sqlite://app.db"),
        ("AUTH0_BASE_URL", &simulator.base_url()),
        ("AUTH0_CLIENT_ID", "ferry"),
        ("AUTH0_CLIENT_SECRET", SECRET),
        ("AUTH0_PLAN", "off"),
    ] {
        place.set(name, value);
    }
    place.must(&["seed", "--target", "sqlite://app.db", "--users", "300"]);
    place.must(&["migrate", "--app", "--yes"]);
    place.start_run("sqlite://app.db", &["--batch-size", "25"]);
    let file = place.path("app.db");
    let mut first = Worker::start(place.ferry(&["worker"]), &place.path("first.log"));
    until("20 users are across", async || across(&file).await >= 20).await;
    first.kill();
    let held = number(&file, "SELECT count(*) FROM ferry_jobs WHERE state = 'leased'").await;
    let before = across(&file).await;
    assert!(held > 0, "the killed process held batches");

    let started = Instant::now();
    let _second = Worker::start(place.ferry(&["worker"]), &place.path("second.log"));
    let rescued = "SELECT count(*) FROM ferry_jobs WHERE token > 1";
    until("all batches are claimed again", async || number(&file, rescued).await >= held).await;
    let after = started.elapsed();
    until("the run is sealed", async || {
        number(&file, "SELECT count(*) FROM ferry_runs WHERE state = 'sealed'").await == 1
    })
    .await;

    let at_target = across(&file).await;
    let users = simulator.users();
    let doubled = users.len() as i64 - at_target;
    let unaccounted = number(&file, "SELECT count(*) FROM ferry_items WHERE state = 'pending'").await;
    let asked = simulator.stats().requests_to("POST /api/v2/users") as i64;
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
