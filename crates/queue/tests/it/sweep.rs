//! Redis stays as small as what it holds, however much passes through.

use std::{sync::Arc, time::Duration};

use ferry_contract::queue::{Crew, Probe, QueueWorld, drained, envelopes};
use ferry_domain::JobKind;
use ferry_testbed::OwnRedis;

use crate::support::{KEPT, RedisWorld};

async fn used(server: &RedisWorld) -> (usize, u64) {
    let mut plain = server.plain().await;
    let keys: usize = redis::cmd("DBSIZE").query_async(&mut plain).await.unwrap();
    let info: String = redis::cmd("INFO").arg("memory").query_async(&mut plain).await.unwrap();
    let bytes = info.lines().find_map(|line| line.strip_prefix("used_memory_dataset:")).unwrap();
    (keys, bytes.trim().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_jobs_leave_nothing_behind() {
    let Some(server) = OwnRedis::private(KEPT) else { return };
    let redis = RedisWorld::at(&server.url()).await;
    let world: Arc<dyn QueueWorld> = redis.clone();
    let queue = world.queue();
    let probe = Probe::open(&world);
    let crew = Crew::start(&world, JobKind::Provision, 8, probe.clone());
    let (mut swept, mut keys_most, mut first_thousand) = (0, 0, 0);
    for round in 0..20 {
        let sends = envelopes(JobKind::Provision, 1_000);
        let mut left = &sends[..];
        while !left.is_empty() {
            left = &left[queue.push(left, 300).await.unwrap()..];
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        drained(&*world, &queue).await;
        swept += queue.sweep().await.unwrap().finished;
        let (keys, bytes) = used(&redis).await;
        keys_most = keys_most.max(keys);
        if round == 0 {
            first_thousand = bytes;
        }
        assert!(
            bytes < first_thousand + 1_000_000,
            "{bytes} bytes after round {round}, {first_thousand} after the first"
        );
    }
    assert_eq!(probe.jobs().len(), 20_000);
    assert_eq!(swept, 20_000);
    // The set of workers, the description of one, apalis's list of queues.
    assert!(keys_most <= 4, "{keys_most} keys with nothing held: {:?}", redis.keys().await);
    crew.end(&*world).await;
    queue.sweep().await.unwrap();
    assert!(redis.keys().await.is_empty(), "{:?}", redis.keys().await);
}
