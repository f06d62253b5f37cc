//! The port to the transport of jobs. The ledger is the truth: a queue may
//! forget, repeat or delay, and nothing is lost or doubled.

use std::{future::Future, pin::Pin, sync::Arc};

use async_trait::async_trait;

use crate::{
    ids::WorkerId,
    job::{Envelope, JobKind, Lane},
};

/// The transport can't be reached or refuses.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the queue {doing}: {reason}")]
pub struct QueueError {
    /// What was being done, for a person.
    pub doing: &'static str,
    /// What the server said; no credentials, no payload.
    pub reason: String,
    /// Whether it may pass by itself: a server that restarts or is out of reach.
    pub passes: bool,
}

/// A message as a consumer gets it.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// A job to do; perhaps stale, perhaps repeated: the ledger decides.
    Job(Envelope),
    /// Something no version of Ferry wrote. It goes to the dead letters.
    Undecodable {
        /// The queue it came from.
        queue: String,
        /// What came.
        payload: Vec<u8>,
        /// Why it could not be read.
        reason: String,
    },
}

/// Who works on what is delivered. Never fails outward: the ledger carries the outcome.
#[async_trait]
pub trait Handler: Send + Sync {
    /// Works on one delivery until its verdict is in the ledger.
    async fn deliver(&self, delivery: Delivery);
}

/// Resolves when consuming should end: take nothing new, finish what runs.
pub type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One consumer of one queue.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// The process it belongs to; transports add a restart counter to their own names.
    pub worker: WorkerId,
    /// Which kind it takes.
    pub kind: JobKind,
    /// From which of the kind's queues.
    pub lane: Lane,
    /// Number of jobs it works on at the same time, at least 1.
    pub slots: usize,
}

/// What a janitor's pass removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Ids whose payload was gone.
    pub without_payload: u64,
    /// Finished jobs' leftovers.
    pub finished: u64,
}

/// Transport of envelopes from the relay to the workers.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Pushes envelopes from the front until the transport holds `window` jobs
    /// of all kinds together; returns the number pushed. Fewer than all is no error.
    async fn push(&self, envelopes: &[Envelope], window: usize) -> Result<usize, QueueError>;

    /// Which of these sends the transport no longer holds, neither waiting nor in flight.
    async fn missing(&self, sends: &[Envelope]) -> Result<Vec<Envelope>, QueueError>;

    /// Delivers again what was delivered to these processes, which are dead, and not
    /// finished: first of all, to others. Returns the number. What they had claimed comes once
    /// more under the old send, with nothing to do.
    async fn deliver_again(&self, dead: &[WorkerId]) -> Result<usize, QueueError>;

    /// Jobs it holds, waiting and in flight, of all kinds.
    async fn depth(&self) -> Result<usize, QueueError>;

    /// Does with the transport what a relay and a worker do, and leaves nothing behind: whether
    /// jobs could move now. A server may answer questions and refuse all of that.
    async fn probe(&self) -> Result<(), QueueError>;

    /// Removes what a loss left half, and leftovers of finished jobs.
    async fn sweep(&self) -> Result<Swept, QueueError>;

    /// Delivers until `stop`, whatever happens to the transport meanwhile;
    /// returns when the deliveries under way are through.
    async fn consume(&self, consumer: Consumer, handler: Arc<dyn Handler>, stop: Stop);
}
