//! Jobs a second through a queue whose handler does nothing, and through apalis alone.
//!
//! `REDIS_URL=redis://127.0.0.1:6379 cargo bench -p ferry-queue --bench no_op_jobs`. One process pushes and
//! takes, as the relay and a worker with 64 slots do; the queue is kept at its window. The rounds alternate.
//! Only against a server on this machine: it fills it.
#![expect(clippy::disallowed_methods, reason = "a program of its own: it reads a variable and measures time")]

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use apalis::{layers::limit::GlobalConcurrencyLimitLayer, prelude::*};
use apalis_redis::{Config, RedisStorage};
use async_trait::async_trait;
use ferry_domain::{
    BatchId, Envelope, JobId, JobKind, Lane, RunId, WorkerId,
    ports::{Consumer, Delivery, Handler, Queue},
};
use ferry_queue::{MAX_WINDOW, RedisOptions, RedisQueue};
use uuid::Uuid;

/// Jobs in a round.
const JOBS: usize = 60_000;
const ROUNDS: usize = 3;
/// Jobs under way at once.
const SLOTS: usize = 64;

/// Counts, and nothing else.
#[derive(Default)]
struct Counted(AtomicUsize);

#[async_trait]
impl Handler for Counted {
    async fn deliver(&self, _: Delivery) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::main]
async fn main() {
    let Ok(url) = env::var("REDIS_URL") else {
        return eprintln!("no_op_jobs: nothing was run; set REDIS_URL to a server on this machine.");
    };
    let local = ["redis://127.0.0.1", "redis://[::1]", "redis://localhost"];
    if !local.iter().any(|host| url.starts_with(host)) {
        return eprintln!("no_op_jobs: nothing was run: REDIS_URL is not on this machine.");
    }
    for round in 1..=ROUNDS {
        let ours = through_ours(&url, round).await;
        let alone = through_apalis(&url, round).await;
        println!("round {round}: {ours:.0} jobs/s, apalis alone {alone:.0}, ratio {:.2}", ours / alone);
    }
}

fn envelopes(from: usize, count: usize) -> Vec<Envelope> {
    let id = |number: usize| Uuid::from_u128(number as u128 + 1);
    let envelope = |number| Envelope {
        version: Envelope::VERSION,
        kind: JobKind::Provision,
        job: JobId(id(number)),
        run: RunId(id(0)),
        batch: Some(BatchId(id(number))),
        send: 1,
        rescues: 0,
        traceparent: None,
    };
    (from..from + count).map(envelope).collect()
}

async fn through_ours(url: &str, round: usize) -> f64 {
    let options =
        RedisOptions { namespace: format!("bench-{}-{round}", std::process::id()), ..Default::default() };
    let queue = Arc::new(RedisQueue::connect(url, options).await.expect("a server at REDIS_URL"));
    let counted = Arc::new(Counted::default());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let consumer = Consumer {
        worker: WorkerId(Uuid::from_u128(1)),
        kind: JobKind::Provision,
        lane: Lane::Usual,
        slots: SLOTS,
    };
    let (of, handler) = (queue.clone(), counted.clone());
    let consuming = tokio::spawn(async move {
        of.consume(consumer, handler, Box::pin(async { _ = stopped.await })).await;
    });
    let began = Instant::now();
    let mut pushed = 0;
    while counted.0.load(Ordering::Relaxed) < JOBS {
        let more = envelopes(pushed, (JOBS - pushed).min(1_000));
        match more.is_empty() {
            true => tokio::time::sleep(Duration::from_millis(5)).await,
            false => match queue.push(&more, MAX_WINDOW).await.expect("a push") {
                0 => tokio::time::sleep(Duration::from_millis(5)).await,
                taken => pushed += taken,
            },
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    _ = stop.send(());
    _ = consuming.await;
    JOBS as f64 / seconds
}

/// With its own way to push, and what it fetches at once by default; jobs under way as many.
async fn through_apalis(url: &str, round: usize) -> f64 {
    let connection = apalis_redis::connect(url).await.expect("a server at REDIS_URL");
    let config = Config::default().queue(format!("bench-alone-{}-{round}", std::process::id()));
    let storage = RedisStorage::<u64>::new(connection).with_config(config);
    let counted = Arc::new(AtomicUsize::new(0));
    let mut feeding = storage.clone();
    let (of, at) = (counted.clone(), counted.clone());
    let began = Instant::now();
    let feeder = tokio::spawn(async move {
        let mut pushed = 0;
        while pushed < JOBS {
            if pushed - at.load(Ordering::Relaxed) > MAX_WINDOW - 1_000 {
                tokio::time::sleep(Duration::from_millis(2)).await;
                continue;
            }
            let count = (JOBS - pushed).min(500);
            feeding.push_bulk((0..count as u64).collect()).await.expect("a push");
            pushed += count;
        }
    });
    let worker = WorkerBuilder::new(format!("alone-{round}"))
        .backend(storage)
        .parallelize(tokio::spawn)
        .layer(GlobalConcurrencyLimitLayer::new(SLOTS))
        .build(move |_: u64| {
            let of = of.clone();
            async move {
                of.fetch_add(1, Ordering::Relaxed);
            }
        });
    let working = tokio::spawn(worker.run());
    while counted.load(Ordering::Relaxed) < JOBS {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    feeder.abort();
    working.abort();
    JOBS as f64 / seconds
}
