//! Why work waits: true from the first look on, in the same words at every place people look,
//! and no job is taken by a worker that could only put it back.

use std::time::Duration;

use ferry_simulator::{Config, Faults};
use ferry_testbed::{OwnRedis, Worker, comes_true, redis_at};

use super::probes::{address, page, until};
use crate::world::{SECRET, World};

/// A worker that serves its pages: itself, and where they are.
async fn served(world: &World, name: &str) -> (Worker, String) {
    let log = world.place.path(&format!("{name}.log"));
    let worker = Worker::start(world.place.ferry(&["worker", "--listen", "127.0.0.1:0"]), &log);
    let at = address(&log).await;
    (worker, at)
}

/// What `run show` says of why it waits.
fn now(world: &World, run: &str) -> String {
    let shown = world.place.run(&["run", "show", run]);
    let line = shown.out.lines().skip_while(|line| !line.starts_with("now"));
    let more = line.clone().skip(1).take_while(|line| line.starts_with(' '));
    line.take(1).chain(more).map(str::trim).collect::<Vec<_>>().join(" ")
}

async fn shows(world: &World, run: &str, words: &str) {
    let mut last = String::new();
    let told = comes_true(Duration::from_millis(200), async || {
        last = now(world, run);
        last.contains(words)
    });
    assert!(told.await, "run show was expected to say {words:?}: {last}");
}

const SNOOZED: &str = "ferry_jobs_finished_total{outcome=\"snoozed\",queue=\"provision\"}";

/// The number of a counter on the page of metrics.
async fn metric(at: &str, name: &str) -> f64 {
    let (_, metrics) = page(at, "/metrics").await;
    let line = metrics.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{metrics}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sentinel_or_a_node_of_a_cluster_moves_nobody_and_is_named_wherever_people_look() {
    let Some(mut world) = World::new("unfit Redis").await else { return };
    let (Some(master), Some(node)) =
        (OwnRedis::private(&[]), OwnRedis::private(&["--cluster-enabled", "yes"]))
    else {
        return;
    };
    let mut plain = redis_at(&node.url()).await;
    redis::cmd("CLUSTER").arg(&["ADDSLOTSRANGE", "0", "16383"]).exec_async(&mut plain).await.unwrap();
    let run = world.started(60, &[]);
    let sentinel = master.sentinel();
    for (server, is, remedy) in
        [(&sentinel, "is a Sentinel", "the master"), (&node, "is a node of a Redis Cluster", "single server")]
    {
        world.place.set("REDIS_URL", server.url());
        let checked = world.place.run(&["check", "--output", "json"]);
        assert_eq!(checked.code, 10, "{}", checked.all());
        let (mut worker, at) = served(&world, is).await;
        let (status, ready) = until(&at, "/readyz", is).await;
        assert_eq!(status, 503, "{ready}");
        shows(&world, &run, is).await;
        let listed = world.place.json(&["queue", "list", "--output", "json"]);
        let window = listed["window"]["error"].to_string();
        let said = [checked.out, ready, now(&world, &run), window, listed["workers"].to_string()];
        for said in said {
            assert!(said.contains(is) && said.contains(remedy), "{said}");
            assert!(!said.contains("unknown command") && !said.contains("EVALSHA"), "{said}");
        }
        assert_eq!(page(&at, "/livez").await.0, 200);
        let held = world.number("SELECT count(*) FROM ferry.jobs WHERE state <> 'ready'").await;
        assert_eq!(held, 0, "no job was sent or taken");
        assert_eq!(worker.stop(), 0, "{}", worker.said());
    }
    assert_eq!(world.simulator.users().len(), 0);
    world.place.set("REDIS_URL", world.redis_url.clone());
    world.worker(&[]);
    world.until_sealed(&run).await;
    world.assert_settled(&run).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_with_a_wrong_secret_leaves_all_jobs_to_the_others_and_goes_on_when_it_is_right() {
    let Some(mut world) = World::new("wrong secret").await else { return };
    let run = world.started(300, &["--batch-size", "5"]);
    world.place.set("AUTH0_CLIENT_SECRET", "old");
    let (mut worker, at) = served(&world, "refused").await;
    let (status, ready) = until(&at, "/readyz", "Auth0 refuses the token").await;
    assert!(status == 503 && ready.contains("AUTH0_CLIENT_SECRET"), "{ready}");
    shows(&world, &run, "Auth0 refuses the token").await;
    let listed = world.place.json(&["queue", "list", "--output", "json"]);
    let waits = listed["workers"][0]["waits"].to_string();
    assert!(waits.contains("Auth0 refuses the token") && waits.contains("AUTH0_CLIENT_SECRET"), "{listed}");

    world.place.set("AUTH0_CLIENT_SECRET", SECRET);
    world.worker(&[]);
    world.until(&run, "created", |shown| shown["verified"].as_i64() > Some(100)).await;
    assert_eq!(metric(&at, SNOOZED).await, 0.0, "it took a job and put it back");
    world.until_sealed(&run).await;
    world.assert_settled(&run).await;
    world.workers().clear();

    // Alone, it goes on by itself when the secret is the right one.
    let more = "INSERT INTO users (id, email, name, role, hospital_id, active, api_key, created_at)
        SELECT 900001, 'new.user@example.com', 'New User', 'nurse', min(id), true, 'mlk_new', now() FROM hospitals";
    world.execute(more).await;
    let second = world.start(&[]);
    world.simulator.rotate_secret("old");
    world.until_sealed(&second).await;
    assert_eq!(until(&at, "/readyz", "ready\n").await.0, 200);
    assert_eq!(worker.stop(), 0, "{}", worker.said());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_auth0_is_the_reason_from_the_first_seconds_on() {
    let faults = Faults { latency_ms: 60_000, ..Faults::default() };
    let Some(mut world) = World::with("silent Auth0", Config { faults, ..Config::default() }).await else {
        return;
    };
    let run = world.started(60, &[]);
    world.worker(&[]);
    shows(&world, &run, "without an answer for").await;
    assert!(now(&world, &run).contains("waiting for Auth0: "), "{}", now(&world, &run));
    world.end().await;
}

/// Nothing is lost of a try that could not read all: what it read is verified.
#[tokio::test(flavor = "multi_thread")]
async fn users_that_were_read_back_stay_verified_when_others_could_not_be() {
    let Some(mut world) = World::new("half read").await else { return };
    world.place.set("FERRY_RUN__MAX_ATTEMPTS", "2");
    let run = world.started(60, &["--batch-size", "60"]);
    let first = world.worker(&["--roles", "provision,relay"]);
    world.until(&run, "created", |shown| shown["pending"] == 0).await;
    world.workers()[first].stop();
    world.simulator.set_faults(Faults { server_errors: 0.3, ..Faults::default() }).unwrap();
    world.worker(&[]);
    let shown = world.until_sealed(&run).await;
    let of = |name: &str| shown[name].as_i64().unwrap();
    let (read, unread) = (of("verified"), of("discrepancies"));
    assert!(read > 0, "what two tries read counts: {shown}");
    assert_eq!(read + unread, of("created") + of("adopted"), "{shown}");
    let csv = world.place.run(&["run", "report", &run, "--output", "csv"]);
    let rows = csv.out.lines().filter(|line| line.contains("NOT_READ_BACK")).count();
    assert_eq!(rows, usize::try_from(unread).unwrap(), "{}", csv.all());
    world.simulator.set_faults(Faults::default()).unwrap();
    world.place.run(&["dead", "redrive", "--run", &run, "--yes", "--reason", "well again"]);
    let again =
        world.until(&run, "sealed again", |s| s["state"] == "sealed" && s["discrepancies"] == 0).await;
    assert_eq!(again["verified"].as_i64(), Some(read + unread), "{again}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_the_limit_is_not_named_as_the_reason() {
    let faults = Faults { latency_ms: 200, ..Faults::default() };
    let Some(mut world) = World::with("Redis goes away", Config { faults, ..Config::default() }).await else {
        return;
    };
    let Some(mut redis) = OwnRedis::private(&[]) else { return };
    world.place.set("REDIS_URL", redis.url());
    world.place.set("AUTH0_PLAN", "custom:10:5");
    let run = world.started(300, &["--batch-size", "20"]);
    world.worker(&[]);
    shows(&world, &run, "waiting for the limit").await;
    redis.kill();
    shows(&world, &run, "Redis at ").await;
    redis.up();
    shows(&world, &run, "waiting for the limit").await;
    world.end().await;
}
