//! What relay, rescue and janitor ask of the ledger.

use std::time::Duration;

use async_trait::async_trait;

use super::Result;
use crate::{
    code::Code,
    ids::{BatchId, JobId, RunId, WorkerId},
    job::{Envelope, JobKind},
    tally::Tally,
};

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
    /// Why its work waits, for people (`waiting for the limit: user writes 200/min`).
    pub waits: Option<String>,
}

/// A worker process as operators see it.
#[derive(Clone, Debug)]
pub struct WorkerView {
    /// What it says of itself.
    pub record: WorkerRecord,
    /// Whether its death is seen at once.
    pub watched: bool,
    /// Since it said that it lives.
    pub silent_for: Duration,
    /// Leases it holds.
    pub leases: i64,
}

/// A job taken back from a holder that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rescued {
    /// The job; `ready` again.
    pub job: JobId,
    /// What it does.
    pub kind: JobKind,
    /// Who held it.
    pub holder: WorkerId,
    /// How often that has happened to it since its batch last got on, this time included.
    pub rescues: i32,
    /// Items of its batch still pending; 0 for other kinds than provision.
    pub pending: i64,
    /// How it is known.
    pub because: Loss,
}

/// How it is known that a holder is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Its registration is free: the process died, or lost its connection.
    Dead,
    /// Its lease ran out.
    Expired,
}

/// Why a delivery could not be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unclaimed {
    /// Sent before, taken or ended: harmless.
    Stale,
    /// The ledger has no such job.
    Unknown,
    /// The ledger's job is of another kind, run or batch.
    Mismatch,
    /// It carries a send number that this ledger has not given yet.
    Ahead,
}

impl Unclaimed {
    /// The code for a dead letter; `None` for a stale delivery, which is nobody's fault.
    pub const fn code(self) -> Option<Code> {
        match self {
            Unclaimed::Stale => None,
            Unclaimed::Unknown => Some(Code::JobUnknown),
            Unclaimed::Mismatch => Some(Code::JobMismatch),
            Unclaimed::Ahead => Some(Code::SendAhead),
        }
    }
}

/// A payload that no version of Ferry wrote.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The queue it came from.
    pub queue: String,
    /// What came, at most the first 4 KiB.
    pub payload: Vec<u8>,
    /// `Undecodable`, or what [`Unclaimed`] says.
    pub code: Code,
    /// Why it could not be read or claimed.
    pub reason: String,
    /// Worker that buried it, `host/pid`.
    pub by: String,
}

/// What relay, rescue and janitor ask.
#[async_trait]
pub trait Relaying: Send + Sync {
    /// Takes or keeps a role that only one process may have, for `ttl`. Says whether it
    /// is the holder's. A holder that is known to be dead is followed at once.
    async fn lead(&self, role: &'static str, holder: WorkerId, ttl: Duration) -> Result<bool>;

    /// Gives the role up, so that another takes it at once.
    async fn step_down(&self, role: &'static str, holder: WorkerId) -> Result<()>;

    /// Slots of all workers seen within `fresh`, together.
    async fn live_slots(&self, fresh: Duration) -> Result<i64>;

    /// `ready → queued` under a new send counter for up to `most` due jobs of
    /// running (or sealing) runs, in order of priority and age.
    async fn take_ready(&self, most: i64) -> Result<Vec<Envelope>>;

    /// As [`take_ready`](Self::take_ready), but only jobs taken back from holders that are gone
    /// ([`crate::Lane::Rescued`]): they are sent whatever the window holds.
    async fn take_rescued(&self, most: i64) -> Result<Vec<Envelope>>;

    /// Jobs in state `queued`, all kinds.
    async fn queued(&self) -> Result<i64>;

    /// Sends that have been `queued` for longer than `age`, oldest first.
    async fn queued_longer_than(&self, age: Duration, most: i64) -> Result<Vec<Envelope>>;

    /// `queued → ready` for sends that were not pushed or got lost. Sends that moved on are left alone.
    async fn unsend(&self, sends: &[Envelope]) -> Result<u64>;

    /// `leased → ready`, with one more rescue, for leases of registered processes that are
    /// dead, whatever is left of the lease, and (`expired`) for leases that ran out; `me` is
    /// the process that asks. Registrations of the dead go too. Processes whose death can't
    /// be seen ([`crate::ports::Presence::unwatched`]) are taken for dead only when their leases run out.
    async fn rescue(&self, me: WorkerId, expired: bool) -> Result<Vec<Rescued>>;

    /// Halves the batch of a provision job that nobody holds (`ready` or `queued`), after
    /// [`crate::poison`]: the second half of its pending items goes into the batch `into`
    /// of the same round with a job of its own, and both start with fewer rescues. Says how
    /// many items went; 0 when the job moved on meanwhile.
    async fn halve(&self, job: JobId, into: BatchId) -> Result<i64>;

    /// Gives up a job that nobody holds, as `Discard` of its holder would, with a dead
    /// letter. Says whether it did: the job may have moved on meanwhile.
    async fn give_up(&self, job: JobId, code: Code, by: &str) -> Result<bool>;

    /// Running runs with limits on failures, and what workers ended in them (items that
    /// rules settled at planning, and those failed before the last resume, are not counted).
    async fn watched_runs(&self) -> Result<Vec<(RunId, crate::threshold::StopAfter, Tally)>>;

    /// Makes the report job of every running run that has nothing open and none yet. Says how many.
    async fn seal_finished(&self) -> Result<u64>;

    /// Keeps a payload that could not be read.
    async fn bury(&self, letter: &DeadLetter) -> Result<()>;
}
