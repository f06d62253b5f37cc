//! PostgreSQL, Redis and several worker processes of the real binary.

use std::time::{Duration, Instant};

use ferry_seed::population;
use ferry_simulator::{Config, Faults, PlantedUser};
use serde_json::Value;

use crate::world::World;

const THREE: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn three_processes_bring_every_user_across_once() {
    let Some(mut world) = World::new("three processes").await else { return };
    let run = world.started(1_000, &["--batch-size", "20"]);
    for _ in 0..THREE {
        world.worker(&[]);
    }
    let shown = world.until_sealed(&run).await;
    world.assert_settled(&run).await;
    let expected = population(1_000, 7).unwrap().expected();
    // Nobody planted the accounts that exist already, so those users are created too.
    let at_target = i64::try_from(expected.created + expected.adopted + expected.conflict).unwrap();
    assert_eq!(shown["created"], at_target, "{shown}");
    assert_eq!((&shown["verified"], &shown["discrepancies"]), (&at_target.into(), &0.into()), "{shown}");
    assert_eq!(
        world.simulator.users().len(),
        usize::try_from(at_target).unwrap(),
        "nobody is at Auth0 twice"
    );
    let watched = world.place.run(&["run", "watch", &run, "--until", "sealed"]);
    assert_eq!(watched.code, 3, "some users need a person: {}", watched.all());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_s_users_are_neither_lost_nor_doubled() {
    let faults = Faults { latency_ms: 10, lost_answers: 0.02, ..Faults::default() };
    let Some(mut world) = World::with("kill -9", Config { faults, ..Config::default() }).await else {
        return;
    };
    world.place.set("FERRY_WORKER__LEASE_SECONDS", "2");
    let run = world.started(1_500, &["--batch-size", "50"]);
    for _ in 0..THREE {
        world.worker(&[]);
    }
    for victim in 0..2 {
        let enough = 250 * (victim + 1);
        world.until(&run, "under way", |shown| shown["created"].as_i64() >= Some(enough)).await;
        world.workers()[usize::try_from(victim).unwrap()].kill();
    }
    let shown = world.until_sealed(&run).await;
    world.assert_settled(&run).await;
    assert_eq!(shown["discrepancies"], 0, "{shown}");
    let in_source = world.number("SELECT count(*) FROM users WHERE auth0_user_id IS NOT NULL").await;
    assert_eq!(
        in_source,
        shown["created"].as_i64().unwrap(),
        "every created user's id is in the application"
    );
    assert_eq!(
        world.simulator.users().len() as i64,
        in_source,
        "nobody is at Auth0 without a row here, or twice"
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_hands_back_within_the_grace_period_and_costs_no_attempt() {
    let faults = Faults { latency_ms: 50, ..Faults::default() };
    let Some(mut world) = World::with("SIGTERM", Config { faults, ..Config::default() }).await else {
        return;
    };
    let run = world.started(600, &["--batch-size", "200"]);
    let first = world.worker(&[]);
    world.until(&run, "under way", |shown| shown["created"].as_i64() > Some(20)).await;
    assert_eq!(world.workers()[first].stop(), 0, "a worker that was asked to stop ends well");
    let held = world.number("SELECT count(*) FROM ferry.jobs WHERE state = 'leased'").await;
    assert_eq!(held, 0, "everything was handed back");
    world.worker(&[]);
    world.until_sealed(&run).await;
    world.assert_settled(&run).await;
    assert_eq!(world.number("SELECT count(*) FROM ferry.attempts").await, 0, "an interruption is no attempt");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_run_is_retried_into_a_new_revision() {
    let Some(mut world) = World::new("retry").await else { return };
    let population = population(400, 7).unwrap();
    for user in population.existing() {
        world
            .simulator
            .plant(PlantedUser { email_verified: user.email_verified, ..PlantedUser::new(&user.email) });
    }
    let run = world.started(400, &[]);
    world.worker(&[]);
    let first = world.until_sealed(&run).await;
    let conflicts = i64::try_from(population.expected().conflict).unwrap();
    assert_eq!(first["conflict"], conflicts, "{first}");

    // Somebody confirms the addresses at Auth0; then the conflicts can be adopted.
    for user in world.simulator.users().into_iter().filter(|u| !u.email_verified) {
        assert!(world.simulator.change(&user.user_id, |u| u.email_verified = true));
    }
    let args = [
        "run",
        "retry",
        &run,
        "--code",
        "ADOPT_UNVERIFIED",
        "--yes",
        "--reason",
        "confirmed",
        "--output",
        "json",
    ];
    let retried = world.place.json(&args);
    assert_eq!(retried["retried"], conflicts, "{retried}");
    let second = world.until(&run, "sealed again", |s| s["state"] == "sealed" && s["revision"] == 2).await;
    world.assert_settled(&run).await;
    assert_eq!(second["conflict"], 0, "{second}");
    assert_eq!(
        second["adopted"].as_i64().unwrap(),
        first["adopted"].as_i64().unwrap() + conflicts,
        "the conflicts were adopted: {second}"
    );
    assert_eq!(second["failed"], first["failed"], "rejected records are left alone");
    let report = world.place.json(&["run", "report", &run, "--revision", "1", "--output", "json"]);
    assert_eq!(report["conflict"], conflicts, "the first revision is kept as it was");
    let nothing = world.place.json(&["run", "retry", &run, "--yes", "--output", "json"]);
    assert_eq!(nothing["retried"], 0, "{nothing}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_redis_costs_nothing_but_time() {
    let faults = Faults { latency_ms: 20, ..Faults::default() };
    let Some(mut world) = World::with("lost queue", Config { faults, ..Config::default() }).await else {
        return;
    };
    let run = world.started(800, &["--batch-size", "20"]);
    world.worker(&[]);
    world.worker(&[]);
    for enough in [100, 400] {
        world.until(&run, "under way", |shown| shown["created"].as_i64() >= Some(enough)).await;
        let mut redis = world.redis().await;
        let keys: Vec<String> = redis::cmd("KEYS")
            .arg(format!("*{}*", world.database.name))
            .query_async(&mut redis)
            .await
            .unwrap();
        assert!(!keys.is_empty(), "the queue was expected to hold something");
        let _: i64 = redis::cmd("DEL").arg(keys).query_async(&mut redis).await.unwrap();
    }
    world.until_sealed(&run).await;
    world.assert_settled(&run).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_far_over_the_window_drains_with_nine_processes() {
    const BATCHES: u64 = 4_000;
    const STUCK: Duration = Duration::from_secs(120);
    let Some(mut world) = World::new("backlog").await else { return };
    world.place.set("FERRY_LEDGER__MAX_CONNECTIONS", "6");
    let run = world.started(BATCHES, &["--batch-size", "1"]);
    for _ in 0..9 {
        world.worker(&[]);
    }
    let mut redis = world.redis().await;
    let begun = Instant::now();
    // However slow the machine is: it is stuck only when nothing is done for long.
    let (mut most, mut ended, mut progress) = (0, 0, Instant::now());
    loop {
        most = most.max(held(&mut redis, &world.database.name).await);
        let jobs = world.number("SELECT count(*) FROM ferry.jobs").await;
        let done = world.number("SELECT count(*) FROM ferry.jobs WHERE state IN ('done', 'dead')").await;
        if done == jobs && world.show(&run)["state"] == "sealed" {
            break;
        }
        if done > ended {
            (ended, progress) = (done, Instant::now());
        }
        assert!(progress.elapsed() < STUCK, "{done} of {jobs} jobs are done, and none for {STUCK:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("{BATCHES} batches drained in {:?}; most jobs ever in Redis: {most}", begun.elapsed());
    assert!(most > 0 && most <= 1_000, "the window is 1,000 at most, {most} jobs were in Redis");
    world.assert_settled(&run).await;
    world.end().await;
}

/// Jobs waiting or in flight in Redis, of all kinds.
async fn held(redis: &mut redis::aio::MultiplexedConnection, namespace: &str) -> i64 {
    let mut all = 0;
    for kind in ["provision", "verify", "report"] {
        let queue = format!("{{{namespace}}}:{kind}");
        let waiting: i64 =
            redis::cmd("ZCARD").arg(format!("{queue}:scheduled")).query_async(redis).await.unwrap();
        let active: i64 = redis::cmd("LLEN").arg(format!("{queue}:active")).query_async(redis).await.unwrap();
        let inflight: Vec<String> =
            redis::cmd("KEYS").arg(format!("{queue}:inflight:*")).query_async(redis).await.unwrap();
        for set in inflight {
            all += redis::cmd("SCARD").arg(set).query_async::<i64>(redis).await.unwrap();
        }
        all += waiting + active;
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_takes_new_sign_ups_and_leaves_the_others() {
    let Some(mut world) = World::new("second run").await else { return };
    let first = world.started(100, &[]);
    let again = world.place.run(&["run", "start", &world.database.url, "--preset", "medlogistics", "--yes"]);
    assert_eq!(again.code, 6, "a second run of the source is refused: {}", again.all());
    assert!(again.err.contains(&first), "the refusal names the run that is active: {}", again.err);
    world.worker(&[]);
    world.until_sealed(&first).await;
    world
        .execute("INSERT INTO users (id, email, name, role, hospital_id, active, api_key, created_at) SELECT 900001, 'new.user@example.com', 'New User', 'nurse', min(id), true, 'mlk_new', now() FROM hospitals")
        .await;
    let second = world.start(&[]);
    let shown = world.until_sealed(&second).await;
    assert_eq!(shown["created"], 1, "only the new user is created: {shown}");
    let report = world.place.json(&["run", "report", &second, "--output", "json"]);
    let codes: Vec<&Value> = report["groups"].as_array().unwrap().iter().map(|g| &g["code"]).collect();
    assert!(codes.contains(&&Value::from("ALREADY_MIGRATED")), "{codes:?}");
    world.assert_settled(&second).await;
    world.end().await;
}
