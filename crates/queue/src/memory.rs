//! The queue for one process with everything in it: no server, nothing stored.
//!
//! What must be stored is in the ledger; after a restart jobs are sent again. Each kind has
//! apalis's in-memory storage over a bounded channel of ours. Rejected:
//! - a file (apalis-sqlite was measured): a second store to keep consistent with the ledger;
//! - apalis's own unbounded channel: it can't report what it holds, and the
//!   window is what keeps a run of a million users out of memory.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

use apalis_core::{
    backend::memory::{MemorySink, MemoryStorage},
    task::{Task, builder::TaskBuilder, task_id::TaskId},
};
use async_trait::async_trait;
use ferry_domain::{
    Envelope, JobKind, Lane, QUEUES, WorkerId,
    ports::{Consumer, Delivery, Handler, Queue, QueueError, Stop, Swept},
};
use futures_util::{FutureExt, SinkExt, StreamExt, sink, stream, stream::BoxStream};
use tokio::sync::mpsc;

use crate::{
    MAX_WINDOW, envelope,
    worker::{End, WorkerPool, build_worker, run_worker, stop_fetching},
};

type Message = Task<Vec<u8>>;

/// One queue's channel. Several consumers take turns at the receiving end: the
/// consumer with the lock waits for the next message, the others wait for the lock.
struct Channel {
    of: (JobKind, Lane),
    sender: mpsc::Sender<Message>,
    receiver: Arc<tokio::sync::Mutex<mpsc::Receiver<Message>>>,
}

/// The queue in memory; see the module.
pub struct MemoryQueue {
    channels: [Channel; QUEUES.len()],
    held: Held,
}

/// Names of sends waiting or in flight.
#[derive(Clone, Default)]
struct Held(Arc<Mutex<HashSet<String>>>);

impl Held {
    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryQueue {
    /// An empty queue.
    pub fn new() -> Self {
        let channels = QUEUES.map(|of| {
            let (sender, receiver) = mpsc::channel(MAX_WINDOW);
            Channel { of, sender, receiver: Arc::new(tokio::sync::Mutex::new(receiver)) }
        });
        MemoryQueue { channels, held: Held::default() }
    }

    fn channel(&self, kind: JobKind, lane: Lane) -> &Channel {
        // Can't fail: every kind and lane of a send or a consumer is in the list.
        self.channels.iter().find(|channel| channel.of == (kind, lane)).unwrap_or(&self.channels[0])
    }
}

/// A consumer's place among those that wait for a channel's lock, given up at the stop:
/// a worker that drains no longer polls, and would block the others behind it.
#[derive(Clone)]
struct Place(Arc<Mutex<Option<BoxStream<'static, Message>>>>);

impl Place {
    fn in_line(channel: &Channel) -> Self {
        let turns = stream::unfold(channel.receiver.clone(), |receiver| async move {
            let message = receiver.lock().await.recv().await?;
            Some((message, receiver))
        });
        Place(Arc::new(Mutex::new(Some(turns.boxed()))))
    }

    fn give_up(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// apalis's storage over this place.
    fn storage(&self) -> MemoryStorage<Vec<u8>> {
        let place = self.clone();
        let messages = stream::poll_fn(move |cx| {
            let mut turns = place.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.as_mut().map_or(Poll::Ready(None), |turns| turns.poll_next_unpin(cx))
        });
        // Pushes don't go through the worker. Its side of the sink must always
        // be ready: apalis asks it before every fetch.
        let unused = sink::drain().sink_map_err(|never| match never {});
        let unused = MemorySink::new(Arc::new(futures_util::lock::Mutex::new(Box::new(unused))));
        MemoryStorage::new_with(unused, messages.boxed())
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn push(&self, envelopes: &[Envelope], window: usize) -> Result<usize, QueueError> {
        let mut held = self.held.lock();
        for (taken, envelope) in envelopes.iter().enumerate() {
            let name = envelope.send_name();
            if held.contains(&name) {
                continue;
            }
            if held.len() >= window.min(MAX_WINDOW) {
                return Ok(taken);
            }
            let message = TaskBuilder::new(envelope::encode(envelope))
                .task_id(TaskId::from_string(name.clone()))
                .build();
            // Can't be full or closed: the channel takes MAX_WINDOW, and both ends are ours.
            if self.channel(envelope.kind, envelope.lane()).sender.try_send(message).is_err() {
                return Ok(taken);
            }
            held.insert(name);
        }
        Ok(envelopes.len())
    }

    async fn missing(&self, sends: &[Envelope]) -> Result<Vec<Envelope>, QueueError> {
        let held = self.held.lock();
        Ok(sends.iter().filter(|send| !held.contains(&send.send_name())).cloned().collect())
    }

    /// The queue is gone with its process, so no other one's deliveries are in it.
    async fn deliver_again(&self, _dead: &[WorkerId]) -> Result<usize, QueueError> {
        Ok(0)
    }

    async fn probe(&self) -> Result<(), QueueError> {
        Ok(())
    }

    async fn depth(&self) -> Result<usize, QueueError> {
        Ok(self.held.lock().len())
    }

    async fn sweep(&self) -> Result<Swept, QueueError> {
        Ok(Swept::default())
    }

    async fn consume(&self, consumer: Consumer, handler: Arc<dyn Handler>, stop: Stop) {
        let stop = stop.shared();
        let handler = Arc::new(Forgetting { handler, held: self.held.clone() });
        let pool = WorkerPool::new(consumer.kind.as_str(), &consumer, handler);
        loop {
            let place = Place::in_line(self.channel(consumer.kind, consumer.lane));
            let name = format!("{}-{}", consumer.kind, consumer.worker);
            let (context, worker) = build_worker!(&name, place.storage(), pool);
            let fetch_no_more = || {
                place.give_up();
                stop_fetching(&context);
                std::future::ready(())
            };
            match run_worker(worker, &pool, stop.clone(), fetch_no_more).await {
                End::Stopped => return,
                End::WorkerEnded(reason) => {
                    tracing::warn!(worker = name, reason, "a worker ended; starting another")
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Passes a delivery on to the handler; afterwards, panic or not, the queue no longer holds
/// the send.
struct Forgetting {
    handler: Arc<dyn Handler>,
    held: Held,
}

#[async_trait]
impl Handler for Forgetting {
    async fn deliver(&self, delivery: Delivery) {
        struct Forget<'a>(&'a Held, Option<String>);
        impl Drop for Forget<'_> {
            fn drop(&mut self) {
                if let Some(name) = &self.1 {
                    self.0.lock().remove(name);
                }
            }
        }
        let name = match &delivery {
            Delivery::Job(envelope) => Some(envelope.send_name()),
            Delivery::Undecodable { .. } => None,
        };
        let _forget = Forget(&self.held, name);
        self.handler.deliver(delivery).await;
    }
}
