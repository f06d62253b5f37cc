//! The tenant's limit as an operator sees it: who goes first, what is used, and what lowers it.

use std::time::Duration;

use ferry_testbed::{OwnRedis, comes_true, redis_at};

use crate::world::World;

/// What each place says where an operator looks: the run, the queue.
fn looks(world: &World, run: &str) -> [String; 2] {
    let ran = |line: &[&str]| world.place.run(line).out.split_whitespace().collect::<Vec<_>>().join(" ");
    [ran(&["run", "show", run]), ran(&["queue", "list"])]
}

/// All places say all words.
async fn say(world: &World, run: &str, words: &[&str]) {
    let mut last = Default::default();
    let said = comes_true(Duration::from_millis(200), async || {
        last = looks(world, run);
        last.iter().all(|look| words.iter().all(|word| look.contains(word)))
    });
    assert!(said.await, "{words:?} was expected: {last:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_created_before_they_are_read_back() {
    let Some(mut world) = World::limited("creation first", "custom:30:30", "custom:30:30").await else {
        return;
    };
    let run = world.started(300, &["--batch-size", "10"]);
    world.worker(&[]);
    world.worker(&[]);
    say(&world, &run, &["waiting for the limit: user writes, 30 requests/s allowed", " used"]).await;
    let shown = world.until(&run, "created", |shown| shown["pending"] == 0).await;
    let (created, sent) = (shown["created"].as_f64().unwrap(), world.simulator.stats().management_requests());
    assert!(sent as f64 <= 1.3 * created, "{sent} requests when {created} were created: 5 % read back");
    say(&world, &run, &["waiting for the limit: user reads, 30 requests/s allowed", " used"]).await;
    world.until_sealed(&run).await;
    world.assert_settled(&run).await;
    world.end().await;
}

/// The first number behind these words in what `run show` says.
fn number(world: &World, run: &str, words: &str) -> Option<f64> {
    let [look, _] = looks(world, run);
    look.split_once(words)?.1.split(' ').next()?.parse().ok()
}

/// The tenant's bucket is as large as told, and fills more slowly: only 429s show it.
#[tokio::test(flavor = "multi_thread")]
async fn a_pace_that_429s_lowered_is_said_until_a_person_sets_another() {
    let Some(mut world) = World::limited("slowed", "custom:20:4", "custom:20:20").await else { return };
    let run = world.started(3_000, &["--batch-size", "50"]); // more than the test sees made
    let rate = world.place.run(&["run", "rate", &run, "custom:20:25"]);
    let warns = "custom:20:25 is above the plan of the settings, custom:20:20";
    assert!(rate.code == 0 && rate.err.contains(warns), "{}", rate.all());
    world.worker(&[]);
    say(&world, &run, &["slowed to", "answers 429"]).await;
    let rate = world.place.run(&["run", "rate", &run, "custom:20:3"]);
    assert!(rate.code == 0 && !rate.err.contains("above the plan"), "{}", rate.all());
    // A late 429 may cost a little of the new pace.
    let mut seen = None;
    let whole = comes_true(Duration::from_millis(200), async || {
        seen = number(&world, &run, "waiting for the limit: user writes, ");
        seen.is_some_and(|rate| (2.25..=3.0).contains(&rate))
    });
    assert!(whole.await, "{seen:?}: {:#?}", looks(&world, &run));
    world.end().await;
}

/// Headers name a bucket of 50, which a plan with a third of the refill has, too.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_for_more_than_the_tenant_has_keeps_its_pace_and_says_so() {
    let Some(mut world) = World::limited("asked for more", "private-100", "private-100").await else {
        return;
    };
    let run = world.started(3_000, &["--batch-size", "50"]);
    world.worker(&[]);
    let rate = world.place.run(&["run", "rate", &run, "private-500"]);
    assert!(rate.code == 0 && rate.err.contains("above the plan of the settings"), "{}", rate.all());
    say(&world, &run, &["50 requests/s allowed", "private-100 is kept"]).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_redis_refuses_the_limiter_says_its_share() {
    let Some(mut world) = World::limited("limiter refused", "custom:50:50", "custom:50:50").await else {
        return;
    };
    let Some(redis) = OwnRedis::private(&[]) else { return };
    let mut admin = redis_at(&redis.url()).await;
    let may = ["SETUSER", "worker", "on", ">secret", "~{*", "~core:*", "+@all"];
    redis::cmd("ACL").arg(&may).exec_async(&mut admin).await.unwrap();
    world.place.set("REDIS_URL", redis.url().replace("redis://", "redis://worker:secret@"));
    let run = world.started(300, &["--batch-size", "50"]);
    world.worker(&[]);
    let keeps = "Redis refuses the limiter's script, so this worker keeps to 10 % of the limit";
    say(&world, &run, &["use a key that workers need", keeps]).await;
    let mut may = async |what: &str| {
        redis::cmd("ACL").arg(&["SETUSER", "worker", what]).exec_async(&mut admin).await.unwrap();
    };
    may("allkeys").await;
    say(&world, &run, &["50 requests/s allowed"]).await;
    may("-pexpire").await;
    say(&world, &run, &["a command that workers need", "this worker keeps to 100 % of the limit"]).await;
    world.end().await;
}
