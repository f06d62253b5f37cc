//! Leases: claimed, ended by a verdict, taken back from holders that are gone.

use std::time::Duration;

use async_trait::async_trait;

use super::Result;
use crate::{
    code::Code,
    ids::{JobId, WorkerId},
    job::{Attempt, Envelope, Job, JobKind, Lease, Verdict},
};

/// A job taken back from a holder that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rescued {
    /// The job; `ready` again.
    pub job: JobId,
    /// What it does.
    pub kind: JobKind,
    /// Who held it.
    pub holder: WorkerId,
    /// Rescues since its batch last made progress, this one included.
    pub rescues: i32,
    /// Items of its batch still pending; 0 for other kinds than provision.
    pub pending: i64,
    /// Why the holder is taken for gone.
    pub because: Loss,
}

/// Why a holder is taken for gone.
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
    /// The code for a dead letter; `None` for a stale delivery, which is no fault.
    pub const fn code(self) -> Option<Code> {
        match self {
            Unclaimed::Stale => None,
            Unclaimed::Unknown => Some(Code::JobUnknown),
            Unclaimed::Mismatch => Some(Code::JobMismatch),
            Unclaimed::Ahead => Some(Code::SendAhead),
        }
    }
}

/// How jobs get a holder and lose it.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Takes a job by id **and** send counter; `None` for a stale delivery.
    async fn claim(
        &self,
        job: JobId,
        send: i32,
        holder: WorkerId,
        lease: Duration,
    ) -> Result<Option<Lease<Job>>>;

    /// Why a delivery could not be claimed, after `claim` gave `None`.
    async fn why_unclaimed(&self, envelope: &Envelope) -> Result<Unclaimed>;

    /// Ends the lease with a verdict, as [`crate::ending`] says. `Done` is for a batch found
    /// complete; other jobs end well by a transaction of their handler's own.
    async fn conclude(&self, lease: &Lease<Job>, verdict: &Verdict, attempt: Option<&Attempt>) -> Result<()>;

    /// `leased → ready`, with one more rescue, for leases of registered processes that are
    /// dead, whatever is left of the lease, and (`expired`) for leases that ran out; `me` is
    /// the process that asks. Registrations of the dead go too. Processes whose death can't
    /// be seen ([`crate::ports::Presence::unwatched`]) are taken for dead only when their leases run out.
    async fn rescue(&self, me: WorkerId, expired: bool) -> Result<Vec<Rescued>>;

    /// Undoes one rescue of each of these jobs: they were taken from a process that had only
    /// lost its registration, and none of them killed it.
    async fn undo_rescue(&self, jobs: &[JobId]) -> Result<()>;
}
