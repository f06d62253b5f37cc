//! The server loses everything, or its life, in mid-work.

use std::{sync::Arc, time::Duration};

use ferry_contract::queue::{Crew, Probe, QueueWorld, drained, envelopes, eventually, names};
use ferry_domain::{Envelope, JobKind, ports::Queue};
use ferry_queue::{RedisOptions, RedisQueue};
use ferry_testbed::OwnRedis;

use crate::support::{KEPT, RedisWorld};

const KIND: JobKind = JobKind::Provision;

/// Pushes through an outage, as the relay does: again and again until it is taken.
async fn push_at_last(world: &Arc<dyn QueueWorld>, sends: &[Envelope]) {
    let queue = world.queue();
    eventually(&**world, "a push after the outage", || async {
        queue.push(sends, 1_000).await.is_ok_and(|taken| taken == sends.len())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_come_back_after_a_flush_in_mid_work() {
    let Some(server) = OwnRedis::private(KEPT) else { return };
    let redis = RedisWorld::at(&server.url()).await;
    let world: Arc<dyn QueueWorld> = redis.clone();
    let queue = world.queue();
    let probe = Probe::closed(&world);
    let crews = [2, 2].map(|slots| Crew::start(&world, KIND, slots, probe.clone()));
    queue.push(&envelopes(KIND, 20), 1_000).await.unwrap();
    eventually(&*world, "work on all slots", || async { probe.inside() == 4 }).await;
    let mut plain = redis.plain().await;
    redis::cmd("FLUSHALL").exec_async(&mut plain).await.unwrap();
    let after = envelopes(KIND, 50);
    push_at_last(&world, &after).await;
    let workers = redis.key(KIND, "workers");
    eventually(&*world, "new workers", || async {
        let mut plain = plain.clone();
        redis::cmd("ZCARD").arg(&workers).query_async(&mut plain).await.unwrap_or(0) == 2
    })
    .await;
    world.sleep(Duration::from_millis(500)).await;
    assert_eq!(probe.inside(), 4, "slots still in use are not given twice");
    probe.let_through();
    drained(&*world, &queue).await;
    assert!(names(&probe.jobs()).is_superset(&names(&after)), "what was pushed after it arrives");
    assert!(probe.most_inside() <= 4);
    for crew in crews {
        crew.end(&*world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_come_back_after_the_server_was_killed() {
    let Some(mut server) = OwnRedis::private(KEPT) else { return };
    let redis = RedisWorld::at(&server.url()).await;
    let world: Arc<dyn QueueWorld> = redis.clone();
    let queue = world.queue();
    let before = envelopes(KIND, 300);
    queue.push(&before, 1_000).await.unwrap();
    let probe = Probe::closed(&world);
    let crews = [2, 2].map(|slots| Crew::start(&world, KIND, slots, probe.clone()));
    eventually(&*world, "work on all slots", || async { probe.inside() == 4 }).await;
    server.kill();
    let refused = queue.push(&envelopes(KIND, 1), 1_000).await.unwrap_err().to_string();
    assert!(refused.contains(server.url().trim_start_matches("redis://")), "{refused}");
    server.up();
    let after = envelopes(KIND, 50);
    push_at_last(&world, &after).await;
    probe.let_through();
    drained(&*world, &queue).await;
    let came = names(&probe.jobs());
    assert!(came.is_superset(&names(&before)), "what the file kept arrives");
    assert!(came.is_superset(&names(&after)));
    for crew in crews {
        assert!(!crew.ended());
        crew.end(&*world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_a_server_that_is_gone() {
    let Some(mut server) = OwnRedis::private(KEPT) else { return };
    let redis = RedisWorld::at(&server.url()).await;
    let world: Arc<dyn QueueWorld> = redis.clone();
    world.queue().push(&envelopes(KIND, 2), 1_000).await.unwrap();
    let probe = Probe::closed(&world);
    let crew = Crew::start(&world, KIND, 2, probe.clone());
    eventually(&*world, "two deliveries", || async { probe.inside() == 2 }).await;
    server.kill();
    crew.stop();
    world.sleep(Duration::from_millis(200)).await;
    assert!(!crew.ended(), "what runs is finished all the same");
    probe.let_through();
    crew.end(&*world).await;
    assert_eq!(probe.jobs().len(), 2);
}

/// A worker that finishes slowly after its stop is not taken for dead: nobody repeats its job.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_drain_is_not_an_orphan() {
    let Some(redis) = RedisWorld::given().await else { return };
    let world: Arc<dyn QueueWorld> = redis.clone();
    let queue = world.queue();
    let (slow, other) = (Probe::closed(&world), Probe::open(&world));
    queue.push(&envelopes(KIND, 1), 1_000).await.unwrap();
    let draining = Crew::start(&world, KIND, 1, slow.clone());
    eventually(&*world, "a delivery", || async { slow.inside() == 1 }).await;
    let staying = Crew::start(&world, KIND, 1, other.clone());
    draining.stop();
    // Orphans are picked up after three seconds without a heartbeat, looked for every second.
    world.sleep(Duration::from_secs(6)).await;
    assert!(other.jobs().is_empty(), "it was repeated while it ran");
    slow.let_through();
    draining.end(&*world).await;
    assert_eq!(queue.depth().await.unwrap(), 0, "its acknowledgement counted");
    staying.end(&*world).await;
    redis.close().await;
}

/// Deliveries of a killed process go to another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_heartbeat_is_robbed() {
    let Some(redis) = RedisWorld::given().await else { return };
    let world: Arc<dyn QueueWorld> = redis.clone();
    let queue = world.queue();
    let sends = envelopes(KIND, 5);
    queue.push(&sends, 1_000).await.unwrap();
    let mut plain = redis.plain().await;
    let active = redis.key(KIND, "active");
    let taken: String = redis::cmd("LPOP").arg(&active).query_async(&mut plain).await.unwrap();
    for (command, key, rest) in
        [("ZADD", "workers", ["1", "dead-process"].as_slice()), ("SADD", "inflight:dead-process", &[&taken])]
    {
        redis::cmd(command).arg(redis.key(KIND, key)).arg(rest).exec_async(&mut plain).await.unwrap();
    }
    assert_eq!(queue.depth().await.unwrap(), 5);
    let probe = Probe::open(&world);
    let crew = Crew::start(&world, KIND, 2, probe.clone());
    drained(&*world, &queue).await;
    assert_eq!(names(&probe.jobs()), names(&sends));
    crew.end(&*world).await;
    redis.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_said_without_any() {
    let Some(server) = OwnRedis::private(KEPT) else { return };
    let open = RedisWorld::at(&server.url()).await;
    let mut plain = open.plain().await;
    redis::cmd("CONFIG").arg(&["SET", "requirepass", "s3cret"]).exec_async(&mut plain).await.unwrap();
    let place = server.url().trim_start_matches("redis://").to_owned();
    for password in ["", ":wr0ng@"] {
        let url = format!("redis://{password}{place}");
        let said = match RedisQueue::connect(&url, RedisOptions::default()).await {
            Ok(_) => panic!("{url} was let in"),
            Err(error) => error.to_string(),
        };
        assert!(said.contains("refuses the user or the password"), "{said}");
        assert!(said.contains(&place), "{said}");
        assert!(!said.contains("s3cret") && !said.contains("wr0ng"), "{said}");
    }
    let url = format!("redis://:s3cret@{place}/3");
    let queue = RedisQueue::connect(&url, RedisOptions::default()).await.unwrap();
    assert_eq!(queue.push(&envelopes(KIND, 3), 10).await.unwrap(), 3);
    assert_eq!(queue.depth().await.unwrap(), 3);
}
