//! The window is kept by all processes together.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use ferry_contract::queue::{Crew, Probe, QueueWorld, drained, envelopes, names};
use ferry_domain::{JobKind, ports::Queue};
use ferry_queue::{MAX_WINDOW, RedisOptions, RedisQueue};

use crate::support::RedisWorld;

#[tokio::test(flavor = "multi_thread")]
async fn a_window_held_by_others_refuses() {
    let Some(redis) = RedisWorld::given().await else { return };
    let other = RedisQueue::connect(
        &redis.url,
        RedisOptions { namespace: redis.namespace.clone(), ..RedisOptions::default() },
    )
    .await;
    assert_eq!(other.unwrap().push(&envelopes(JobKind::Verify, 50), 50).await.unwrap(), 50);
    let mine = envelopes(JobKind::Provision, 5);
    assert_eq!(redis.redis.push(&mine, 50).await.unwrap(), 0);
    assert_eq!(redis.redis.push(&mine, 53).await.unwrap(), 3);
    redis.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_window_is_wider_than_apalis_bears() {
    let Some(redis) = RedisWorld::given().await else { return };
    let world: Arc<dyn QueueWorld> = redis.clone();
    let queue = world.queue();
    let sends = envelopes(JobKind::Provision, MAX_WINDOW + 100);
    assert_eq!(queue.push(&sends, usize::MAX).await.unwrap(), MAX_WINDOW);
    let probe = Probe::open(&world);
    let crew = Crew::start(&world, JobKind::Provision, 10, probe.clone());
    drained(&*world, &queue).await;
    assert_eq!(probe.jobs().len(), MAX_WINDOW, "and the widest still drains");
    crew.end(&*world).await;
    redis.close().await;
}

/// Nine feeders with a window each stopped apalis for ever (measured); here they share one.
#[tokio::test(flavor = "multi_thread")]
async fn nine_pushers_never_exceed_one_window_and_all_arrives() {
    const PUSHERS: usize = 9;
    const WINDOW: usize = 1_000;
    let Some(redis) = RedisWorld::given().await else { return };
    let world: Arc<dyn QueueWorld> = redis.clone();
    let queue = world.queue();
    let sends = Arc::new(envelopes(JobKind::Provision, 12_000));
    let pushers: Vec<_> = (0..PUSHERS)
        .map(|pusher| {
            let (sends, queue) = (sends.clone(), queue.clone());
            tokio::spawn(async move {
                let share = sends.len().div_ceil(PUSHERS);
                let mut left = &sends[pusher * share..sends.len().min((pusher + 1) * share)];
                while !left.is_empty() {
                    left = &left[queue.push(left, WINDOW).await.unwrap()..];
                    tokio::time::sleep(Duration::from_millis(3)).await;
                }
            })
        })
        .collect();
    let (most, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let sampler = tokio::spawn({
        let (queue, most, over) = (queue.clone(), most.clone(), over.clone());
        async move {
            while !over.load(Ordering::SeqCst) {
                most.fetch_max(queue.depth().await.unwrap(), Ordering::SeqCst);
            }
        }
    });
    let probe = Probe::open(&world);
    let crews = [8, 8].map(|slots| Crew::start(&world, JobKind::Provision, slots, probe.clone()));
    for pusher in pushers {
        pusher.await.unwrap();
    }
    drained(&*world, &queue).await;
    over.store(true, Ordering::SeqCst);
    sampler.await.unwrap();
    let most = most.load(Ordering::SeqCst);
    assert!((1..=WINDOW).contains(&most), "held {most} at most");
    assert_eq!(probe.jobs().len(), 12_000);
    assert_eq!(names(&probe.jobs()), names(&sends));
    for crew in crews {
        crew.end(&*world).await;
    }
    redis.close().await;
}
