//! Worker processes: who is there, and which of them does what only one may do.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use time::OffsetDateTime;

use super::{Presence, Result};
use crate::ids::{JobId, WorkerId};

/// Why a process's work waits, for people (`waiting for the limit: user writes, 3.3 requests/s allowed`).
/// No personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitReason(pub String);

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A worker process as the others see it.
#[derive(Clone, Debug)]
pub struct WorkerRecord {
    /// One start of one process.
    pub id: WorkerId,
    /// Host name, for people.
    pub host: String,
    /// Process id, for people.
    pub pid: i32,
    /// Jobs it can work on at once, over all its roles.
    pub slots: i32,
    /// Why its work waits; `None` while it does not.
    pub waiting_for: Option<WaitReason>,
}

/// A worker process as operators see it.
#[derive(Clone, Debug)]
pub struct WorkerView {
    /// What it told of itself.
    pub record: WorkerRecord,
    /// Whether the store itself notices its death.
    pub watched: bool,
    /// Time since its last heartbeat.
    pub silent_for: Duration,
    /// Number of leases it holds.
    pub leases: i64,
}

/// Work that one process does for all. Its leader is elected in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Sending due jobs to the queue.
    Relay,
    /// Reading what all processes' metrics need from ledger and queue.
    Exporter,
}

impl Duty {
    /// The word used in databases.
    pub const fn as_str(self) -> &'static str {
        match self {
            Duty::Relay => "relay",
            Duty::Exporter => "exporter",
        }
    }
}

/// Whose death is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// That of the process which leads a duty.
    Leader(Duty),
    /// That of each process.
    Anyone,
}

/// What a process tells of itself, and what it learns of the others.
#[async_trait]
pub trait Processes: Send + Sync {
    /// Registers one start of a process, or a new identity of it, before it claims anything.
    async fn register(&self, worker: &WorkerRecord) -> Result<Presence>;

    /// Tells that the process lives and renews its leases of these jobs, in one statement.
    /// Returns those that are still its own. What it holds without knowing (the answer to a
    /// claim was lost) is not renewed, so that it runs out and goes to another process.
    async fn heartbeat(&self, worker: &WorkerRecord, lease: Duration, held: &[JobId]) -> Result<Vec<JobId>>;

    /// The process leaves: its leases go back to `ready` without an attempt, its row goes.
    /// Returns the number of leases.
    async fn retire(&self, worker: WorkerId) -> Result<u64>;

    /// Worker processes known to the ledger, oldest first.
    async fn workers(&self) -> Result<Vec<WorkerView>>;

    /// Slots of all workers seen within `fresh`, together.
    async fn live_slots(&self, fresh: Duration) -> Result<i64>;

    /// Registered processes other than `me` that are dead now. Cheap, and changes nothing: what
    /// they held is taken back by [`super::Leases::rescue`], which also strikes them off. Names
    /// none whose death can't be seen.
    async fn died(&self, me: WorkerId, whose: Whose) -> Result<Vec<WorkerId>>;

    /// The ledger's clock.
    async fn clock(&self) -> Result<OffsetDateTime>;

    /// Becomes or stays the leader of a duty for `ttl`; returns whether `me` leads. A leader
    /// that is known to be dead is followed immediately.
    async fn lead(&self, duty: Duty, me: WorkerId, ttl: Duration) -> Result<bool>;

    /// Ends the leadership of `me`, so that another process can lead immediately.
    async fn step_down(&self, duty: Duty, me: WorkerId) -> Result<()>;
}
