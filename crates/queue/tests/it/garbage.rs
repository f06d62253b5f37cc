//! What strangers and losses leave in Redis, among good jobs.

use std::sync::Arc;

use ferry_contract::queue::{Crew, Probe, QueueWorld, drained, envelopes, eventually, names};
use ferry_domain::{JobKind, ports::Queue};
use redis::AsyncCommands;

use crate::support::RedisWorld;

const KIND: JobKind = JobKind::Provision;

/// Puts a payload into the queue as apalis's own push would.
async fn plant(world: &RedisWorld, id: &str, payload: &[u8]) {
    let mut plain = world.plain().await;
    let fields = [("attempts", "0"), ("max_attempts", "25"), ("status", "Pending"), ("idempotency_key", "")];
    let _: () = plain.hset(world.key(KIND, "data"), id, payload).await.unwrap();
    let _: () = plain.hset_multiple(world.key(KIND, &format!("meta:{id}")), &fields).await.unwrap();
    let _: () = plain.rpush(world.key(KIND, "active"), id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_payloads_are_handed_on_once_and_stop_nobody() {
    let Some(redis) = RedisWorld::given().await else { return };
    let world: Arc<dyn QueueWorld> = redis.clone();
    let queue = world.queue();
    let good = envelopes(KIND, 40);
    let bad: [(&str, &[u8]); 6] = [
        ("bad-json", b"{\"version\":1,"),
        ("from-the-future", b"{\"version\":99,\"shape\":\"another\"}"),
        ("empty", b""),
        ("binary", &[0, 255, 254, 10, 0]),
        ("no-envelope", b"[1,2,3]"),
        // An id that reads as a number; apalis takes ids of several kinds.
        ("12345", b"null"),
    ];
    for (chunk, (id, payload)) in good.chunks(8).zip(bad) {
        queue.push(chunk, 1_000).await.unwrap();
        plant(&redis, id, payload).await;
    }
    plant(&redis, bad[5].0, bad[5].1).await;
    let probe = Probe::open(&world);
    let crew = Crew::start(&world, KIND, 3, probe.clone());
    drained(&*world, &queue).await;
    assert_eq!(names(&probe.jobs()), names(&good));
    assert_eq!(probe.jobs().len(), 40);
    let came = probe.undecodable();
    let mut payloads: Vec<&[u8]> = came.iter().map(|(payload, _)| payload.as_slice()).collect();
    payloads.sort_unstable();
    let mut sent: Vec<&[u8]> = bad.iter().map(|(_, payload)| *payload).collect();
    sent.sort_unstable();
    assert_eq!(payloads, sent, "each once, as it was");
    assert!(came.iter().any(|(_, reason)| reason.contains("version 99")), "{came:?}");
    queue.push(&envelopes(KIND, 1), 1_000).await.unwrap();
    eventually(&*world, "a job after all that", || async { probe.jobs().len() == 41 }).await;
    crew.end(&*world).await;
    redis.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_without_data_stop_nobody_even_without_a_sweep() {
    let Some(redis) = RedisWorld::given().await else { return };
    let world: Arc<dyn QueueWorld> = redis.clone();
    let queue = world.queue();
    let good = envelopes(KIND, 30);
    queue.push(&good, 1_000).await.unwrap();
    let mut plain = redis.plain().await;
    let active = redis.key(KIND, "active");
    // In front, in the middle, at the end; one early, one twice, one that is no name.
    for id in ["gone-1", "gone-2", ""] {
        let _: () = plain.lpush(&active, id).await.unwrap();
    }
    for id in ["gone-3", "gone-4", "gone-4"] {
        let _: () = plain.rpush(&active, id).await.unwrap();
    }
    let _: () = plain.zadd(redis.key(KIND, "scheduled"), "gone-5", 1).await.unwrap();
    let _: () = plain.hdel(redis.key(KIND, "data"), good[7].send_name()).await.unwrap();
    let _: () = plain.del(redis.key(KIND, &format!("meta:{}", good[9].send_name()))).await.unwrap();
    let probe = Probe::open(&world);
    let crew = Crew::start(&world, KIND, 3, probe.clone());
    drained(&*world, &queue).await;
    let mut rest = good.clone();
    let lost = rest.remove(7);
    let lost = std::slice::from_ref(&lost);
    assert_eq!(queue.missing(lost).await.unwrap(), lost, "the ledger sends it again");
    assert!(names(&probe.jobs()).is_superset(&names(&rest)), "a loss of one costs no other");
    crew.end(&*world).await;
    redis.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_removes_both_halves_of_a_loss_and_nothing_else() {
    let Some(redis) = RedisWorld::given().await else { return };
    let queue: Arc<dyn Queue> = redis.redis.clone();
    let sends = envelopes(KIND, 1_200);
    queue.push(&sends, 2_000).await.unwrap();
    let mut plain = redis.plain().await;
    for send in &sends[..700] {
        let _: () = plain.hdel(redis.key(KIND, "data"), send.send_name()).await.unwrap();
    }
    for send in &sends[700..900] {
        let _: () = plain.lrem(redis.key(KIND, "active"), 0, send.send_name()).await.unwrap();
    }
    let _: () = plain.zadd(redis.key(KIND, "workers"), "dead", 1).await.unwrap();
    let _: () = plain.sadd(redis.key(KIND, "inflight:dead"), "gone").await.unwrap();
    let swept = queue.sweep().await.unwrap();
    assert_eq!((swept.without_payload, swept.finished), (701, 200));
    assert_eq!(queue.depth().await.unwrap(), 300);
    assert_eq!(queue.missing(&sends).await.unwrap(), sends[..900]);
    let data: usize = plain.hlen(redis.key(KIND, "data")).await.unwrap();
    assert_eq!(data, 300);
    assert_eq!(queue.sweep().await.unwrap(), ferry_domain::ports::Swept::default());
    redis.close().await;
}
