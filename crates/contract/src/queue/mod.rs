//! What every [`Queue`] does, written once and run against each adapter.
//!
//! The domain has no runtime, so the adapter's test brings a [`QueueWorld`] that
//! can sleep and spawn. One line turns the cases into tests:
//!
//! ```ignore
//! ferry_contract::queue_suite!(#[tokio::test(flavor = "multi_thread")] world);
//! async fn world() -> Option<Arc<dyn QueueWorld>> { /* None: skipped, and said so */ }
//! ```

pub mod cases;

use std::{
    collections::BTreeSet,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use uuid::Uuid;

use ferry_domain::{
    ids::{BatchId, JobId, RunId, WorkerId},
    job::{Envelope, JobKind, Lane},
    ports::{Consumer, Delivery, Handler, Queue},
};

/// An adapter under test, with the runtime it lives on.
#[async_trait]
pub trait QueueWorld: Send + Sync {
    /// The queue, empty at first; the same one for the whole case.
    fn queue(&self) -> Arc<dyn Queue>;

    /// Runs something beside the test.
    fn spawn(&self, work: Pin<Box<dyn Future<Output = ()> + Send>>);

    /// Lets time pass.
    async fn sleep(&self, time: Duration);

    /// Removes what the case left behind.
    async fn close(&self) {}
}

/// How often the helpers look again.
const LOOK: Duration = Duration::from_millis(5);

/// How long they look before the test fails: far more than a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something to become true; fails the test, saying what never came.
pub async fn eventually<F, T>(world: &dyn QueueWorld, what: &str, mut holds: F)
where
    F: FnMut() -> T,
    T: Future<Output = bool>,
{
    for _ in 0..PATIENCE.as_millis() / LOOK.as_millis() {
        if holds().await {
            return;
        }
        world.sleep(LOOK).await;
    }
    panic!("this never came: {what}");
}

/// Waits until the queue holds nothing, neither waiting nor in flight.
pub async fn drained(world: &dyn QueueWorld, queue: &Arc<dyn Queue>) {
    eventually(world, "a queue that holds nothing", || async {
        queue.depth().await.is_ok_and(|held| held == 0)
    })
    .await;
}

/// First sends of as many new jobs.
pub fn envelopes(kind: JobKind, count: usize) -> Vec<Envelope> {
    static MADE: AtomicUsize = AtomicUsize::new(1);
    let from = MADE.fetch_add(count, Ordering::Relaxed);
    (from..from + count)
        .map(|n| Envelope {
            version: Envelope::VERSION,
            kind,
            job: JobId(Uuid::from_u128(n as u128)),
            run: RunId(Uuid::from_u128(7)),
            batch: (kind != JobKind::Report).then(|| BatchId(Uuid::from_u128(n as u128))),
            send: 1,
            rescues: 0,
            traceparent: None,
        })
        .collect()
}

/// Names of sends, to compare what came with what was sent in any order.
pub fn names(envelopes: &[Envelope]) -> BTreeSet<String> {
    envelopes.iter().map(Envelope::send_name).collect()
}

/// A handler that remembers, counts who is inside, and can hold everybody at its gate.
pub struct Probe {
    world: Arc<dyn QueueWorld>,
    open: AtomicBool,
    inside: AtomicUsize,
    most_inside: AtomicUsize,
    jobs: Mutex<Vec<Envelope>>,
    undecodable: Mutex<Vec<(Vec<u8>, String)>>,
}

impl Probe {
    /// Lets every delivery through immediately.
    pub fn open(world: &Arc<dyn QueueWorld>) -> Arc<Self> {
        Arc::new(Probe {
            world: world.clone(),
            open: AtomicBool::new(true),
            inside: AtomicUsize::new(0),
            most_inside: AtomicUsize::new(0),
            jobs: Mutex::default(),
            undecodable: Mutex::default(),
        })
    }

    /// Holds everybody until [`Probe::let_through`].
    pub fn closed(world: &Arc<dyn QueueWorld>) -> Arc<Self> {
        let probe = Self::open(world);
        probe.open.store(false, Ordering::SeqCst);
        probe
    }

    /// Opens the gate for good.
    pub fn let_through(&self) {
        self.open.store(true, Ordering::SeqCst);
    }

    /// Deliveries being worked on now.
    pub fn inside(&self) -> usize {
        self.inside.load(Ordering::SeqCst)
    }

    /// The most that were ever inside at the same time.
    pub fn most_inside(&self) -> usize {
        self.most_inside.load(Ordering::SeqCst)
    }

    /// Jobs finished, in order, repeats included.
    pub fn jobs(&self) -> Vec<Envelope> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What could not be read, with the reason given.
    pub fn undecodable(&self) -> Vec<(Vec<u8>, String)> {
        self.undecodable.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Handler for Probe {
    async fn deliver(&self, delivery: Delivery) {
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_inside.fetch_max(inside, Ordering::SeqCst);
        while !self.open.load(Ordering::SeqCst) {
            self.world.sleep(LOOK).await;
        }
        match delivery {
            Delivery::Job(envelope) => {
                self.jobs.lock().unwrap_or_else(PoisonError::into_inner).push(envelope);
            }
            Delivery::Undecodable { payload, reason, .. } => {
                self.undecodable.lock().unwrap_or_else(PoisonError::into_inner).push((payload, reason));
            }
        }
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A consumer at work; stopped by [`Crew::stop`], otherwise it goes on with the test.
pub struct Crew {
    stop: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
}

impl Crew {
    /// Starts one consumer of a kind's usual queue.
    pub fn start(
        world: &Arc<dyn QueueWorld>,
        kind: JobKind,
        slots: usize,
        handler: Arc<dyn Handler>,
    ) -> Self {
        Self::of(world, (kind, Lane::Usual), slots, handler)
    }

    /// Starts one consumer of any queue.
    pub fn of(
        world: &Arc<dyn QueueWorld>,
        (kind, lane): (JobKind, Lane),
        slots: usize,
        handler: Arc<dyn Handler>,
    ) -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(1);
        let worker = WorkerId(Uuid::from_u128(MADE.fetch_add(1, Ordering::Relaxed) as u128));
        let crew = Crew { stop: Arc::default(), ended: Arc::default() };
        let (stop, ended, queue, clock) =
            (crew.stop.clone(), crew.ended.clone(), world.queue(), world.clone());
        let stopped = async move {
            while !stop.load(Ordering::SeqCst) {
                clock.sleep(LOOK).await;
            }
        };
        world.spawn(Box::pin(async move {
            queue.consume(Consumer { worker, kind, lane, slots }, handler, Box::pin(stopped)).await;
            ended.store(true, Ordering::SeqCst);
        }));
        crew
    }

    /// Asks the consumer to end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Whether it returned.
    pub fn ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Stops and waits for the return.
    pub async fn end(&self, world: &dyn QueueWorld) {
        self.stop();
        eventually(world, "a consumer that returns after its stop", || async { self.ended() }).await;
    }
}

/// Makes a test of every case for one adapter; see [`crate::queue`].
#[macro_export]
macro_rules! queue_suite {
    ($(#[$attribute:meta])+ $world:path) => {
        $crate::queue_suite!(@each [$(#[$attribute])+] $world;
            pushes_are_delivered_once_and_acknowledged
            a_full_window_refuses
            a_repeated_push_of_one_send_is_one_delivery
            missing_knows_waiting_and_in_flight_and_forgets_finished
            slots_run_side_by_side_and_never_more
            stop_finishes_what_runs_and_takes_no_more
            a_stopped_consumer_of_several_leaves_the_others_their_work
            a_panicking_handler_does_not_end_the_consumer
            kinds_are_separate
            the_rescued_do_not_wait_for_the_others_slots
            five_thousand_pass_through_a_window_of_three_hundred
        );
    };
    (@each $attributes:tt $world:path; $($case:ident)+) => {
        $($crate::queue_suite!(@one $attributes $world; $case);)+
    };
    (@one [$(#[$attribute:meta])+] $world:path; $case:ident) => {
        $(#[$attribute])+
        async fn $case() {
            if let Some(world) = $world().await {
                $crate::queue::cases::$case(&world).await;
                world.close().await;
            }
        }
    };
}
