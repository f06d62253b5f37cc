//! Consuming, with a loop that replaces workers that end.
//!
//! apalis's worker does not fail and continue, it ends: on a lost connection, after
//! a `FLUSHALL`, on an id without data, when an orphan scan took its job (fault
//! 4). So a supervising loop builds storage and worker anew, under a new name
//! each time (fault 5), and never gives up. Rejected: apalis's `Monitor`, which
//! keeps names and restarts without a pause.

use std::{
    convert::Infallible,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use apalis_core::backend::{codec::Codec, ext::BackendExt};
use apalis_redis::{Config, RedisStorage};
use ferry_domain::ports::{Consumer, Handler, Stop};
use futures_util::{FutureExt, future::Shared};
use tokio::time::Instant;

use super::RedisQueue;
use crate::worker::{End, WorkerPool, build_worker, run_worker, stop_fetching};

/// Interval of a worker's heartbeat.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Shortest and longest pause before a new worker.
const PAUSE: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(2)];

/// A worker that ran this long did not end by the cause that ended the one before.
const RAN_LONG: Duration = Duration::from_secs(10);

/// Payloads as they are. A codec that decodes can fail, and that ends the worker (fault 2).
#[derive(Clone, Debug)]
struct AsItIs;

impl Codec<Vec<u8>> for AsItIs {
    type Error = Infallible;
    type Compact = Vec<u8>;

    fn encode(&self, payload: &Vec<u8>) -> Result<Vec<u8>, Infallible> {
        Ok(payload.clone())
    }

    fn decode(&self, payload: &Vec<u8>) -> Result<Vec<u8>, Infallible> {
        Ok(payload.clone())
    }
}

/// The settings with which apalis-redis survived the chaos measurements.
fn settings(queue: &str) -> Config {
    Config::default()
        .queue(queue)
        // One at a time: what a worker fetched and did not start waits until it is taken back.
        .batch_size(1)
        // A dead worker's jobs wait three seconds instead of five minutes (fault 9).
        .heartbeat_interval(HEARTBEAT)
        .missed_heartbeats(3)
        // A lease per task costs calls, and losing one ends the worker (fault 15).
        .lock_tasks(false)
        // "Results" are what acknowledges: without them jobs stay in flight (fault 6).
        .persist_results(true)
        .emit_events(false)
}

/// Delivers until the stop; see the module.
pub(super) async fn consume(redis: &RedisQueue, consumer: Consumer, handler: Arc<dyn Handler>, stop: Stop) {
    let queue = redis.queue_of(consumer.kind, consumer.lane);
    let pool = WorkerPool::new(queue, &consumer, handler);
    let stop: Shared<Stop> = stop.shared();
    let mut quick_ends = 0;
    while stop.clone().now_or_never().is_none() {
        let name = next_name(redis.host(), &consumer);
        let started = Instant::now();
        let storage = RedisStorage::<Vec<u8>>::new(redis.connection().manager())
            .with_config(settings(queue))
            // No strategy for polling: a list to be woken by may sleep for seconds after a
            // restart (fault 16), an interval for ever (fault 20). `run_worker` polls it regularly.
            .with_codec(AsItIs);
        let (context, worker) = build_worker!(&name, storage, pool);
        let fetch_no_more = || {
            stop_fetching(&context);
            redis.beat_for(queue, &name, HEARTBEAT)
        };
        match run_worker(worker, &pool, stop.clone(), fetch_no_more).await {
            End::Stopped => redis.retire(queue, &name).await,
            End::WorkerEnded(reason) => {
                quick_ends = if started.elapsed() < RAN_LONG { quick_ends + 1 } else { 0 };
                let pause = pause(quick_ends, &name);
                let reason = redis.connection().reason(&reason);
                if redis.is_news(&reason) {
                    tracing::warn!(reason, "a queue's worker ended; others are started until one stays");
                }
                tracing::debug!(queue, worker = name, pause = ?pause, "starting another");
                tokio::select! {
                    () = async { tokio::time::sleep(pause).await; redis.mend(queue).await } => (),
                    () = stop.clone() => (),
                }
            }
        }
    }
    pool.idle().await;
}

/// A name that was never used: a second worker under a name in use is refused, and two
/// processes under one would hide each other's death (fault 5).
fn next_name(host: &str, consumer: &Consumer) -> String {
    static RESTARTS: AtomicU64 = AtomicU64::new(0);
    let restart = RESTARTS.fetch_add(1, Ordering::Relaxed);
    format!("{}-{host}-{}-{}-{restart}", consumer.kind, std::process::id(), consumer.worker)
}

/// Grows with every worker that ended quickly, and differs by name, so that workers that
/// ended together don't start together. No randomness is needed: no two names are alike.
fn pause(quick_ends: u32, name: &str) -> Duration {
    let [shortest, longest] = PAUSE;
    let ceiling = shortest.saturating_mul(2_u32.saturating_pow(quick_ends)).min(longest);
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let share = f64::from(u32::try_from(hasher.finish() >> 32).unwrap_or(0)) / f64::from(u32::MAX);
    shortest + (ceiling - shortest).mul_f64(share)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashSet;

    use ferry_domain::{JobKind, Lane, WorkerId};

    use super::*;

    #[test]
    fn a_name_is_never_used_twice() {
        let worker = WorkerId("0198a000-0000-7000-8000-000000000001".parse().unwrap());
        let consumer = Consumer { worker, kind: JobKind::Verify, lane: Lane::Usual, slots: 1 };
        let [one, two] = [(); 2].map(|()| next_name("box", &consumer));
        assert_ne!(one, two);
        assert!(one.starts_with(&format!("verify-box-{}-{worker}-", std::process::id())), "{one}");
    }

    #[test]
    fn pauses_stay_within_their_bounds() {
        for ends in [0, 1, 5, 100, u32::MAX] {
            let pauses: Vec<_> = (0..100).map(|n| pause(ends, &format!("worker-{n}"))).collect();
            assert!(pauses.iter().all(|pause| (PAUSE[0]..=PAUSE[1]).contains(pause)), "{ends}: {pauses:?}");
            let different: HashSet<_> = pauses.iter().collect();
            assert!(ends == 0 || different.len() > 90, "{ends}: {pauses:?}");
        }
    }
}
