//! The worker pool over either transport: an apalis worker that fetches nothing it
//! has no free slot for, and handlers that never fail outward.
//!
//! Slots belong to the [`WorkerPool`], not to apalis's worker: after a lost connection
//! apalis drops the worker while its handlers still run, and the next worker may only
//! use the slots that are really free. That is why the limit is *inside* of
//! `parallelize`: the permit moves into the spawned handler.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use apalis_core::{
    error::{BoxDynError, WorkerError},
    worker::context::WorkerContext,
};
use ferry_domain::{
    JobKind,
    ports::{Consumer, Delivery, Handler, Stop},
};
use futures_util::{FutureExt, future::Shared};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::envelope;

/// The worker pool of one `consume`: slots, handler and running deliveries. It outlives
/// the apalis workers that fetch for it, one after the other.
#[derive(Clone)]
pub(crate) struct WorkerPool {
    queue: Arc<str>,
    kind: JobKind,
    handler: Arc<dyn Handler>,
    slots: Arc<Semaphore>,
    running: TaskTracker,
}

impl WorkerPool {
    pub(crate) fn new(queue: &str, consumer: &Consumer, handler: Arc<dyn Handler>) -> Self {
        WorkerPool {
            queue: queue.into(),
            kind: consumer.kind,
            handler,
            slots: Arc::new(Semaphore::new(consumer.slots.max(1))),
            running: TaskTracker::new(),
        }
    }

    /// The free slots, shared by all apalis workers of this pool.
    pub(crate) fn slots(&self) -> Arc<Semaphore> {
        self.slots.clone()
    }

    /// Works on one delivery. Always a success for apalis: its own retries are not
    /// recorded in the ledger and heed no delay (fault 11).
    pub(crate) fn take(
        &self,
        payload: Vec<u8>,
    ) -> impl Future<Output = Result<(), BoxDynError>> + Send + use<> {
        let pool = self.clone();
        self.running.track_future(async move {
            let delivery = envelope::decode(&pool.queue, pool.kind, payload);
            let job = match &delivery {
                Delivery::Job(envelope) => envelope.send_name(),
                Delivery::Undecodable { .. } => "undecodable".to_owned(),
            };
            // A panic must not end the worker (fault 12). The delivery is
            // acknowledged: the lease in the ledger runs out and brings it back.
            // The panic's text stays with the panic hook: it may hold anything.
            if AssertUnwindSafe(pool.handler.deliver(delivery)).catch_unwind().await.is_err() {
                tracing::error!(queue = %pool.queue, job, "a handler panicked; the ledger will bring its job back");
            }
            Ok(())
        })
    }

    /// Waits until no handler of this pool runs any more.
    pub(crate) async fn idle(&self) {
        self.running.close();
        self.running.wait().await;
    }
}

/// Builds an apalis worker of a pool over a backend. Returns its context and the future
/// that runs it.
///
/// A macro, as the bounds of a generic function would be longer than all the rest.
macro_rules! build_worker {
    ($name:expr, $backend:expr, $pool:expr) => {{
        use apalis::{layers::limit::GlobalConcurrencyLimitLayer, prelude::*};
        let pool: $crate::worker::WorkerPool = $pool.clone();
        let context = WorkerContext::new($name);
        let worker = WorkerBuilder::new(&context)
            .backend($backend)
            .parallelize(tokio::spawn)
            .layer(GlobalConcurrencyLimitLayer::with_semaphore(pool.slots()))
            .build(move |payload: Vec<u8>| pool.take(payload))
            .run();
        // Boxed here, where its type is known: inside of an async trait function
        // the compiler can't prove it `Send`.
        (context, futures_util::FutureExt::boxed(worker))
    }};
}
pub(crate) use build_worker;

/// How an apalis worker ended.
#[derive(Debug)]
pub(crate) enum End {
    /// By the stop, and its handlers have ended.
    Stopped,
    /// By itself, which it should not; with the reason.
    WorkerEnded(String),
}

/// How often a worker is polled although no waker asked for it.
const POLL_EVERY: Duration = Duration::from_millis(50);

/// Polls a worker at least every 50 ms: on a busy machine no timer may be left that wakes it
/// (fault 20). Rejected: building another worker for one that has stopped fetching, which is
/// a pause.
async fn polled_regularly<T>(worker: impl Future<Output = T>) -> T {
    let mut worker = std::pin::pin!(worker);
    let mut tick = tokio::time::interval(POLL_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            end = &mut worker => return end,
            _ = tick.tick() => {}
        }
    }
}

/// How long a stopped worker has for its last acknowledgements after its last handler.
const ACKNOWLEDGE_WITHIN: Duration = Duration::from_secs(2);

/// Runs an apalis worker until it ends by itself or is stopped. `fetch_no_more` is
/// called once at the stop; the future it returns runs while the pool drains.
pub(crate) async fn run_worker<Beside: Future>(
    worker: impl Future<Output = Result<(), WorkerError>>,
    pool: &WorkerPool,
    stop: Shared<Stop>,
    fetch_no_more: impl FnOnce() -> Beside,
) -> End {
    let mut worker = std::pin::pin!(polled_regularly(worker));
    let beside = tokio::select! {
        biased; // The worker first: a worker that was never polled can't be told to stop.
        end = &mut worker => return End::WorkerEnded(reason(end)),
        () = stop => fetch_no_more(),
    };
    // Without its transport a worker would wait for ever to acknowledge, so it
    // gets little time once all handlers have ended: repeats are harmless.
    let drained = async {
        tokio::select! {
            biased;
            _ = &mut worker => pool.idle().await,
            () = async { pool.idle().await; tokio::time::sleep(ACKNOWLEDGE_WITHIN).await } => (),
        }
    };
    tokio::select! {
        () = drained => End::Stopped,
        () = async { beside.await; std::future::pending().await } => End::Stopped,
    }
}

/// Tells an apalis worker to fetch no more and to end when its handlers have ended.
pub(crate) fn stop_fetching(context: &WorkerContext) {
    // Only a worker that was never polled refuses, and `run_worker` polls it first.
    if let Err(error) = context.stop() {
        tracing::warn!(worker = context.name(), %error, "a worker could not be told to stop");
    }
}

fn reason(end: Result<(), WorkerError>) -> String {
    match end {
        Ok(()) => "it ended without an error".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_nothing_wakes_is_polled_all_the_same() {
        let mut polls = 0;
        let worker = std::future::poll_fn(|_| {
            polls += 1;
            if polls < 10 { Poll::Pending } else { Poll::Ready("done") }
        });
        let end = tokio::time::timeout(POLL_EVERY * 20, polled_regularly(worker)).await;
        assert_eq!(end, Ok("done"), "a worker without a waker was expected to be polled all the same");
    }
}
