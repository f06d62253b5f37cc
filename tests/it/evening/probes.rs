//! What a probe is told while a worker waits for its servers.

use std::time::Duration;

use sqlx::{Connection, SqliteConnection};

use crate::{
    identity::Embedded,
    world::{Place, World, new_place},
};

/// The address that a worker serves at, from what it says.
pub async fn address(log: &std::path::Path) -> String {
    for _ in 0..300 {
        let said = std::fs::read_to_string(log).unwrap_or_default();
        // In a text up to the end of the line, in JSON up to the quote.
        let told =
            said.split_once("metrics and health at ").and_then(|(_, rest)| rest.split(['\n', '"']).next());
        if let Some(at) = told {
            return at.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no address: {}", std::fs::read_to_string(log).unwrap_or_default());
}

pub async fn page(address: &str, page: &str) -> (u16, String) {
    let answer = reqwest::get(format!("{address}{page}")).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

pub async fn until(address: &str, name: &str, words: &str) -> (u16, String) {
    let mut last = (0, String::new());
    for _ in 0..200 {
        last = page(address, name).await;
        if last.1.contains(words) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{name} was expected to say {words:?}: {last:?}");
}

fn nobody() -> Place {
    let mut place = new_place();
    place.set("DATABASE_URL", "postgres://ferry:hunter2@127.0.0.1:1/clinic"); // nobody listens there
    place.set("REDIS_URL", "redis://127.0.0.1:1");
    place.set("AUTH0_BASE_URL", "http://127.0.0.1:1");
    place.set("AUTH0_CLIENT_ID", "ferry");
    place.set("AUTH0_CLIENT_SECRET", "simulated");
    place
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_waits_for_its_ledger_lives_is_not_ready_and_says_why() {
    let place = nobody();
    let log = place.path("worker.log");
    let args = ["worker", "--listen", "127.0.0.1:0", "--log-format", "json"];
    let mut worker = ferry_testbed::Worker::start(place.ferry(&args), &log);
    let at = address(&log).await;
    let (status, said) = until(&at, "/readyz", "waiting to begin").await;
    assert_eq!(status, 503);
    assert!(said.contains("127.0.0.1:1") && !said.contains("hunter2"), "{said}");
    for probe in ["/livez", "/healthz"] {
        assert_eq!(page(&at, probe).await, (200, "alive\n".to_owned()), "{probe}");
    }
    let (status, metrics) = page(&at, "/metrics").await;
    assert_eq!(status, 200);
    assert!(metrics.contains("ferry_worker_ready 0"), "{metrics}");
    assert_eq!(worker.stop(), 0, "{}", worker.said());
    let line = worker.said().lines().find(|line| line.contains("Waiting to begin")).unwrap().to_owned();
    let line: serde_json::Value = serde_json::from_str(&line).expect("a line of the log, as asked for");
    assert!(line["timestamp"].is_string() && line["level"] == "WARN", "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_waits_for_redis_says_so_and_becomes_ready_when_it_is_there() {
    let Some(mut world) = World::new("probes while Redis is away").await else { return };
    world.started(60, &[]);
    let (redis, log) = (world.redis_url.clone(), world.place.path("worker.log"));
    world.place.set("REDIS_URL", "redis://127.0.0.1:1");
    let args = ["worker", "--listen", "127.0.0.1:0"];
    let mut worker = ferry_testbed::Worker::start(world.place.ferry(&args), &log);
    let at = address(&log).await;
    assert_eq!(until(&at, "/readyz", "waiting to begin").await.0, 503);
    assert_eq!(page(&at, "/livez").await.0, 200);
    assert_eq!(worker.stop(), 0);

    world.place.set("REDIS_URL", &redis);
    world.place.set("AUTH0_CLIENT_SECRET", "wrong");
    let log = world.place.path("refused.log");
    let mut worker = ferry_testbed::Worker::start(world.place.ferry(&args), &log);
    let at = address(&log).await;
    assert_eq!(until(&at, "/readyz", "Auth0 refuses the token").await.0, 503);
    assert_eq!(page(&at, "/livez").await.0, 200);
    assert_eq!(worker.stop(), 0);

    world.place.set("AUTH0_CLIENT_SECRET", crate::world::SECRET);
    let log = world.place.path("well.log");
    let mut worker = ferry_testbed::Worker::start(world.place.ferry(&args), &log);
    let at = address(&log).await;
    assert_eq!(until(&at, "/readyz", "ready\n").await, (200, "ready\n".to_owned()));
    assert_eq!(worker.stop(), 0);
    world.end().await;
}

/// Value of a series on a page of metrics.
fn value(metrics: &str, series: &str) -> String {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series));
    line.unwrap_or_else(|| panic!("no {series} in {metrics}")).trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_can_be_read_and_not_written_to_is_no_ledger_that_answers() {
    let world = Embedded::new().await;
    world.csv("people.csv", "1,ada@example.com,Ada,true,true\n");
    world.place.must(&["run", "start", "people.csv", "--yes"]);
    let log = world.place.path("worker.log");
    let mut worker =
        ferry_testbed::Worker::start(world.place.ferry(&["worker", "--listen", "127.0.0.1:0"]), &log);
    let at = address(&log).await;
    assert_eq!(until(&at, "/readyz", "ready\n").await.0, 200);
    let well = world.place.run(&["check"]);
    assert!(well.out.contains("ok       ledger"), "{}", well.all());

    let file = world.place.path("ferry.db");
    let mut other = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    assert_eq!(until(&at, "/readyz", "the ledger can't be written to").await.0, 503);
    for _ in 0..20 {
        assert_eq!(page(&at, "/readyz").await.0, 503, "readings don't make a failed write forgotten");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (_, metrics) = page(&at, "/metrics").await;
    assert_eq!(value(&metrics, "ferry_store_up{store=\"ledger\"}"), "0");
    assert_eq!(value(&metrics, "ferry_store_reconnects_total{store=\"ledger\"}"), "0");
    let wrong = world.place.run(&["check"]);
    assert!(wrong.out.contains("error    ledger"), "{}", wrong.all());
    assert_ne!(wrong.code, 0, "{}", wrong.all());

    held.rollback().await.unwrap();
    assert_eq!(until(&at, "/readyz", "ready\n").await.0, 200);
    let (_, metrics) = page(&at, "/metrics").await;
    assert_eq!(value(&metrics, "ferry_store_reconnects_total{store=\"ledger\"}"), "1");
    assert_eq!(worker.stop(), 0, "{}", worker.said());
}

#[test]
fn a_port_that_is_taken_is_said_before_any_server_is_asked() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = nobody().run(&["worker", "--listen", &address]);
    assert_eq!(ended.code, 2, "{}", ended.all());
    assert!(ended.err.contains(&address) && ended.err.contains("--listen"), "{}", ended.all());
}
