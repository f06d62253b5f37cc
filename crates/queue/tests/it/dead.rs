//! What a dead process had fetched and not begun.

use std::sync::Arc;

use ferry_contract::queue::{Crew, Probe, QueueWorld, drained, envelopes, eventually, names};
use ferry_domain::{JobKind, Lane, WorkerId, ports::Consumer};

use crate::support::RedisWorld;

const KIND: JobKind = JobKind::Provision;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_process_had_fetched_goes_to_others_at_once() {
    let Some(redis) = RedisWorld::given().await else { return };
    let world: Arc<dyn QueueWorld> = redis.clone();
    let queue = world.queue();
    let [dead, living]: [WorkerId; 2] =
        ["0198a000-0000-7000-8000-00000000dead", "0198a000-0000-7000-8000-00000000a11e"]
            .map(|id| WorkerId(id.parse().unwrap()));
    let sends = envelopes(KIND, 3);
    queue.push(&sends, 1_000).await.unwrap();
    let stuck = Probe::closed(&world);
    let consumer = Consumer { worker: dead, kind: KIND, lane: Lane::Usual, slots: 2 };
    let (of, handler) = (queue.clone(), stuck.clone());
    let dying =
        tokio::spawn(async move { of.consume(consumer, handler, Box::pin(std::future::pending())).await });
    eventually(&*world, "two deliveries", || async { stuck.inside() == 2 }).await;
    dying.abort();

    assert_eq!(queue.deliver_again(&[]).await.unwrap(), 0);
    assert_eq!(queue.deliver_again(&[living]).await.unwrap(), 0, "only what the dead had");
    let again = queue.deliver_again(&[living, dead]).await.unwrap();
    assert!((2..=3).contains(&again), "{again}: what it worked on, and perhaps what it was to begin next");
    assert_eq!(queue.deliver_again(&[dead]).await.unwrap(), 0, "once");
    assert_eq!(queue.depth().await.unwrap(), 3, "nothing is lost or doubled");
    let probe = Probe::open(&world);
    let crew = Crew::start(&world, KIND, 2, probe.clone());
    drained(&*world, &queue).await;
    assert_eq!((probe.jobs().len(), names(&probe.jobs())), (3, names(&sends)), "each once");
    crew.end(&*world).await;
    redis.close().await;
}
