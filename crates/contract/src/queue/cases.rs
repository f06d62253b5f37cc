//! The cases of [`queue_suite!`](crate::queue_suite), one function each.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;

use super::{Crew, Probe, QueueWorld, drained, envelopes, eventually, names};
use ferry_domain::{
    job::{Envelope, JobKind, Lane},
    ports::{Delivery, Handler, Queue},
};

type World = Arc<dyn QueueWorld>;

/// Long enough that what must not happen would have happened.
const A_WHILE: Duration = Duration::from_millis(300);

/// Window of cases that don't care for it.
const WIDE: usize = 1_000;

async fn push(queue: &Arc<dyn Queue>, envelopes: &[Envelope], window: usize) -> usize {
    queue.push(envelopes, window).await.expect("the queue takes a push")
}

async fn missing(queue: &Arc<dyn Queue>, sends: &[Envelope]) -> Vec<Envelope> {
    queue.missing(sends).await.expect("the queue knows its sends")
}

async fn depth(queue: &Arc<dyn Queue>) -> usize {
    queue.depth().await.expect("the queue knows its depth")
}

/// Every send reaches the handler once, as it was pushed, and is then forgotten.
pub async fn pushes_are_delivered_once_and_acknowledged(world: &World) {
    let queue = world.queue();
    let mut sends = envelopes(JobKind::Provision, 50);
    sends[3].traceparent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into());
    sends[4].send = 12;
    assert_eq!(push(&queue, &sends, WIDE).await, 50);
    let probe = Probe::open(world);
    let crew = Crew::start(world, JobKind::Provision, 8, probe.clone());
    drained(&**world, &queue).await;
    world.sleep(A_WHILE).await;
    let came = probe.jobs();
    assert_eq!(came.len(), 50, "each once");
    assert!(sends.iter().all(|send| came.contains(send)), "what came is what was pushed");
    crew.end(&**world).await;
}

/// The window counts all kinds together; what is over it is left with the caller.
pub async fn a_full_window_refuses(world: &World) {
    let queue = world.queue();
    let (batches, reports) = (envelopes(JobKind::Provision, 10), envelopes(JobKind::Report, 3));
    assert_eq!(push(&queue, &batches[..0], 4).await, 0);
    assert_eq!(push(&queue, &batches, 4).await, 4, "taken from the front up to the window");
    assert_eq!(push(&queue, &batches[4..], 4).await, 0);
    assert_eq!(push(&queue, &batches[4..], 2).await, 0, "a smaller window takes nothing back");
    assert_eq!(push(&queue, &reports, 4).await, 0, "the window is one for all kinds");
    assert_eq!(depth(&queue).await, 4);
    assert_eq!(names(&missing(&queue, &batches).await), names(&batches[4..]));
    let probe = Probe::open(world);
    let crew = Crew::start(world, JobKind::Provision, 2, probe.clone());
    drained(&**world, &queue).await;
    assert_eq!(names(&probe.jobs()), names(&batches[..4]));
    assert_eq!(push(&queue, &reports, 4).await, 3, "there is room again");
    crew.end(&**world).await;
}

/// A push whose answer got lost is repeated by the caller; nothing doubles while the first is held.
pub async fn a_repeated_push_of_one_send_is_one_delivery(world: &World) {
    let queue = world.queue();
    let sends = envelopes(JobKind::Verify, 3);
    assert_eq!(push(&queue, &sends, WIDE).await, 3);
    assert_eq!(push(&queue, &sends, WIDE).await, 3, "they are there, as the caller wants");
    assert_eq!(depth(&queue).await, 3);
    let probe = Probe::open(world);
    let crew = Crew::start(world, JobKind::Verify, 2, probe.clone());
    drained(&**world, &queue).await;
    world.sleep(A_WHILE).await;
    assert_eq!(probe.jobs().len(), 3);
    crew.end(&**world).await;
}

/// `missing` is what the reconciler goes by: it must not call a running job lost.
pub async fn missing_knows_waiting_and_in_flight_and_forgets_finished(world: &World) {
    let queue = world.queue();
    let sends = envelopes(JobKind::Provision, 4);
    let never = &sends[3..];
    assert!(missing(&queue, &[]).await.is_empty());
    assert_eq!(push(&queue, &sends[..3], WIDE).await, 3);
    assert_eq!(missing(&queue, &sends).await, never, "waiting is not missing");
    let probe = Probe::closed(world);
    let crew = Crew::start(world, JobKind::Provision, 1, probe.clone());
    eventually(&**world, "a delivery", || async { probe.inside() == 1 }).await;
    assert_eq!(missing(&queue, &sends).await, never, "in flight is not missing");
    assert_eq!(depth(&queue).await, 3, "in flight counts");
    let mut again = sends[0].clone();
    again.send += 1;
    assert_eq!(missing(&queue, &[again.clone()]).await, [again], "another send is another name");
    probe.let_through();
    drained(&**world, &queue).await;
    assert_eq!(missing(&queue, &sends).await, sends, "finished is forgotten, answered in order");
    crew.end(&**world).await;
}

/// All slots are used, none is invented.
pub async fn slots_run_side_by_side_and_never_more(world: &World) {
    let queue = world.queue();
    let sends = envelopes(JobKind::Provision, 12);
    push(&queue, &sends, WIDE).await;
    let probe = Probe::closed(world);
    let crew = Crew::start(world, JobKind::Provision, 3, probe.clone());
    eventually(&**world, "three deliveries side by side", || async { probe.inside() == 3 }).await;
    world.sleep(A_WHILE).await;
    assert_eq!(probe.inside(), 3);
    probe.let_through();
    drained(&**world, &queue).await;
    assert_eq!((probe.jobs().len(), probe.most_inside()), (12, 3));
    crew.end(&**world).await;
}

/// A stop ends nothing that runs and starts nothing new; the rest waits for a successor.
pub async fn stop_finishes_what_runs_and_takes_no_more(world: &World) {
    let queue = world.queue();
    let sends = envelopes(JobKind::Provision, 6);
    push(&queue, &sends, WIDE).await;
    let probe = Probe::closed(world);
    let crew = Crew::start(world, JobKind::Provision, 2, probe.clone());
    eventually(&**world, "two deliveries", || async { probe.inside() == 2 }).await;
    crew.stop();
    world.sleep(A_WHILE).await;
    assert!(!crew.ended(), "it waits for what runs");
    probe.let_through();
    crew.end(&**world).await;
    assert_eq!((probe.jobs().len(), probe.inside()), (2, 0), "it took no more");
    assert_eq!(depth(&queue).await, 4, "and acknowledged those two");
    let next = Crew::start(world, JobKind::Provision, 2, probe.clone());
    drained(&**world, &queue).await;
    assert_eq!(probe.jobs().len(), 6);
    assert_eq!(names(&probe.jobs()), names(&sends));
    next.end(&**world).await;
}

/// One of several consumers drains; the others go on with everything that is left.
pub async fn a_stopped_consumer_of_several_leaves_the_others_their_work(world: &World) {
    let queue = world.queue();
    let (slow, quick) = (Probe::closed(world), Probe::open(world));
    let stopping = Crew::start(world, JobKind::Provision, 2, slow.clone());
    push(&queue, &envelopes(JobKind::Provision, 1), WIDE).await;
    eventually(&**world, "a slow delivery", || async { slow.inside() == 1 }).await;
    let staying = Crew::start(world, JobKind::Provision, 2, quick.clone());
    stopping.stop();
    world.sleep(A_WHILE).await;
    push(&queue, &envelopes(JobKind::Provision, 20), WIDE).await;
    eventually(&**world, "the others' deliveries", || async { quick.jobs().len() >= 20 }).await;
    slow.let_through();
    stopping.end(&**world).await;
    staying.end(&**world).await;
    assert_eq!(slow.jobs().len(), 1);
}

/// Panics on every second delivery.
struct Clumsy {
    deliveries: AtomicUsize,
    probe: Arc<Probe>,
}

#[async_trait]
impl Handler for Clumsy {
    async fn deliver(&self, delivery: Delivery) {
        if self.deliveries.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            panic!("on purpose");
        }
        self.probe.deliver(delivery).await;
    }
}

/// A panic costs its delivery (the ledger's lease brings it back), not the consumer or a slot.
pub async fn a_panicking_handler_does_not_end_the_consumer(world: &World) {
    let queue = world.queue();
    let clumsy = Arc::new(Clumsy { deliveries: AtomicUsize::new(0), probe: Probe::open(world) });
    let crew = Crew::start(world, JobKind::Provision, 2, clumsy.clone());
    push(&queue, &envelopes(JobKind::Provision, 10), WIDE).await;
    drained(&**world, &queue).await;
    assert_eq!(clumsy.probe.jobs().len(), 5);
    assert_eq!(clumsy.deliveries.load(Ordering::SeqCst), 10, "a panicked delivery is acknowledged");
    assert!(!crew.ended());
    crew.end(&**world).await;
}

/// A consumer gets its own kind only, and no kind waits for another.
pub async fn kinds_are_separate(world: &World) {
    let queue = world.queue();
    let per_kind = JobKind::ALL.map(|kind| envelopes(kind, 5));
    let mixed: Vec<Envelope> =
        (0..5).flat_map(|n| per_kind.iter().map(move |sends| sends[n].clone())).collect();
    assert_eq!(push(&queue, &mixed, WIDE).await, 15);
    let verify = Probe::open(world);
    let crew = Crew::start(world, JobKind::Verify, 2, verify.clone());
    eventually(&**world, "the other kinds alone", || async { depth(&queue).await == 10 }).await;
    assert!(verify.jobs().iter().all(|job| job.kind == JobKind::Verify));
    let rest = Probe::open(world);
    let provision = Crew::start(world, JobKind::Provision, 2, rest.clone());
    let report = Crew::start(world, JobKind::Report, 2, rest.clone());
    drained(&**world, &queue).await;
    assert_eq!((verify.jobs().len(), rest.jobs().len()), (5, 10));
    for crew in [crew, provision, report] {
        crew.end(&**world).await;
    }
}

/// Where all usual slots are taken and jobs wait, a rescued one is worked on all the same.
pub async fn the_rescued_do_not_wait_for_the_others_slots(world: &World) {
    let queue = world.queue();
    let usual = envelopes(JobKind::Provision, 5);
    let rescued: Vec<Envelope> =
        envelopes(JobKind::Provision, 2).into_iter().map(|send| Envelope { rescues: 1, ..send }).collect();
    let (held_up, free) = (Probe::closed(world), Probe::open(world));
    let crews = [
        Crew::start(world, JobKind::Provision, 2, held_up.clone()),
        Crew::of(world, (JobKind::Provision, Lane::Rescued), 2, free.clone()),
    ];
    assert_eq!(push(&queue, &usual, WIDE).await, 5);
    eventually(&**world, "two usual jobs at work", || async { held_up.inside() == 2 }).await;
    assert_eq!(push(&queue, &rescued, WIDE).await, 2);
    eventually(&**world, "both rescued jobs done", || async { free.jobs().len() == 2 }).await;
    assert_eq!(missing(&queue, &usual).await, [], "the others wait or are at work");
    eventually(&**world, "an acknowledgement", || async { depth(&queue).await == 5 }).await;
    assert_eq!(missing(&queue, &rescued).await.len(), 2);
    held_up.let_through();
    drained(&**world, &queue).await;
    for crew in crews {
        crew.end(&**world).await;
    }
    assert_eq!(names(&free.jobs()), names(&rescued));
}

/// A small window carries any amount, and is never exceeded.
pub async fn five_thousand_pass_through_a_window_of_three_hundred(world: &World) {
    let queue = world.queue();
    let sends = envelopes(JobKind::Provision, 5_000);
    let probe = Probe::open(world);
    let crews = [3, 5].map(|slots| Crew::start(world, JobKind::Provision, slots, probe.clone()));
    let mut left = &sends[..];
    while !left.is_empty() {
        let taken = push(&queue, &left[..left.len().min(500)], 300).await;
        assert!(depth(&queue).await <= 300);
        left = &left[taken..];
        if taken == 0 {
            world.sleep(Duration::from_millis(2)).await;
        }
    }
    drained(&**world, &queue).await;
    assert_eq!(probe.jobs().len(), 5_000, "each once");
    assert_eq!(names(&probe.jobs()), names(&sends));
    for crew in crews {
        crew.end(&**world).await;
    }
}
