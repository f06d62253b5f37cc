//! The worker over either transport: an apalis worker that fetches nothing it
//! has no free slot for, and handlers that never fail outward.
//!
//! Slots belong to the [`Crew`], not to apalis's worker: after a lost connection
//! apalis drops the worker while handlers go on, and its successor may only use
//! the slots that are really free. That is why the limit is *inside* of
//! `parallelize`: the permit travels with the spawned handler.

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

/// Everything one `consume` works with, whatever happens to its apalis workers.
#[derive(Clone)]
pub(crate) struct Crew {
    queue: Arc<str>,
    kind: JobKind,
    handler: Arc<dyn Handler>,
    slots: Arc<Semaphore>,
    at_work: TaskTracker,
}

impl Crew {
    pub(crate) fn new(queue: &str, consumer: &Consumer, handler: Arc<dyn Handler>) -> Self {
        Crew {
            queue: queue.into(),
            kind: consumer.kind,
            handler,
            slots: Arc::new(Semaphore::new(consumer.slots.max(1))),
            at_work: TaskTracker::new(),
        }
    }

    /// The free slots, shared by all of this crew's apalis workers.
    pub(crate) fn slots(&self) -> Arc<Semaphore> {
        self.slots.clone()
    }

    /// Works on one delivery. Always well for apalis: its own retries count
    /// where nobody looks and heed no delay (fault 11).
    pub(crate) fn take(
        &self,
        payload: Vec<u8>,
    ) -> impl Future<Output = Result<(), BoxDynError>> + Send + use<> {
        let crew = self.clone();
        self.at_work.track_future(async move {
            let delivery = envelope::decode(&crew.queue, crew.kind, payload);
            let job = match &delivery {
                Delivery::Job(envelope) => envelope.send_name(),
                Delivery::Undecodable { .. } => "undecodable".to_owned(),
            };
            // A panic must not end the worker (fault 12). The delivery is
            // acknowledged: the lease in the ledger runs out and brings it back.
            // The panic's text stays with the panic hook: it may hold anything.
            if AssertUnwindSafe(crew.handler.deliver(delivery)).catch_unwind().await.is_err() {
                tracing::error!(queue = %crew.queue, job, "a handler panicked; the ledger will bring its job back");
            }
            Ok(())
        })
    }

    /// Waits until no handler of this crew runs any more.
    pub(crate) async fn idle(&self) {
        self.at_work.close();
        self.at_work.wait().await;
    }
}

/// An apalis worker of a crew over a backend: its context, and the future that is its life.
///
/// A macro, as the bounds of a generic function would be longer than all the rest.
macro_rules! hire {
    ($name:expr, $backend:expr, $crew:expr) => {{
        use apalis::{layers::limit::GlobalConcurrencyLimitLayer, prelude::*};
        let crew: $crate::worker::Crew = $crew.clone();
        let context = WorkerContext::new($name);
        let life = WorkerBuilder::new(&context)
            .backend($backend)
            .parallelize(tokio::spawn)
            .layer(GlobalConcurrencyLimitLayer::with_semaphore(crew.slots()))
            .build(move |payload: Vec<u8>| crew.take(payload))
            .run();
        // Boxed here, where its type is known: inside of an async trait function
        // the compiler gives up on proving it `Send`.
        (context, futures_util::FutureExt::boxed(life))
    }};
}
pub(crate) use hire;

/// How an apalis worker's life ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The stop came, and its handlers are through.
    Stopped,
    /// By itself, which it should not; with what it said.
    Died(String),
}

/// How often a worker's life is polled without having asked for it.
const AWAKE: Duration = Duration::from_millis(50);

/// Polls a life at least every 50 ms: on a busy machine nobody else wakes it in the end
/// (fault 20). Rejected: hiring another worker for one that stands, which is a pause.
async fn kept_awake<T>(life: impl Future<Output = T>) -> T {
    let mut life = std::pin::pin!(life);
    let mut tick = tokio::time::interval(AWAKE);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            end = &mut life => return end,
            _ = tick.tick() => {}
        }
    }
}

/// How long a stopped worker has for its last acknowledgements after its last handler.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Lives an apalis worker's life until it dies or is stopped. `fetch_no_more` is
/// called once at the stop; what it returns runs beside the draining.
pub(crate) async fn live<Beside: Future>(
    life: impl Future<Output = Result<(), WorkerError>>,
    crew: &Crew,
    stop: Shared<Stop>,
    fetch_no_more: impl FnOnce() -> Beside,
) -> End {
    let mut life = std::pin::pin!(kept_awake(life));
    let beside = tokio::select! {
        biased; // The worker first: a worker that was never polled can't be told to stop.
        end = &mut life => return End::Died(said(end)),
        () = stop => fetch_no_more(),
    };
    // Without its transport a worker would wait for ever to acknowledge, so it
    // gets little time once all handlers are through: repeats are harmless.
    let drained = async {
        tokio::select! {
            biased;
            _ = &mut life => crew.idle().await,
            () = async { crew.idle().await; tokio::time::sleep(LAST_WORDS).await } => (),
        }
    };
    tokio::select! {
        () = drained => End::Stopped,
        () = async { beside.await; std::future::pending().await } => End::Stopped,
    }
}

/// Tells an apalis worker to fetch no more and to end when its handlers are through.
pub(crate) fn halt(context: &WorkerContext) {
    // Only a worker that was never polled refuses, and `live` polls it first.
    if let Err(error) = context.stop() {
        tracing::warn!(worker = context.name(), %error, "a worker could not be told to stop");
    }
}

fn said(end: Result<(), WorkerError>) -> String {
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
    async fn a_life_that_asks_for_no_waking_goes_on() {
        let mut polls = 0;
        let life = std::future::poll_fn(|_| {
            polls += 1;
            if polls < 10 { Poll::Pending } else { Poll::Ready("lived") }
        });
        let end = tokio::time::timeout(AWAKE * 20, kept_awake(life)).await;
        assert_eq!(end, Ok("lived"), "a worker that nobody wakes was expected to be polled all the same");
    }
}
