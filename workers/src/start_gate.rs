//! The start gate: which jobs may start at the same time in this process, so that the
//! death of the process is charged to few of them.
//!
//! A suspect job, which was rescued from dead holders without having made progress, starts
//! while no other job is starting, and nothing else starts until it makes progress or ends.
//! Jobs that have made progress go on beside it: a death costs them one rescue, which is
//! cleared when they make progress again, before the next suspect starts. Rejected: a
//! process of its own until its end. It held up all other work for as long as a batch lasts,
//! and a worker killed each second cost the others more than half of their throughput.
//!
//! Verifications make no progress before their end. They don't wait here, and many more
//! rescues are allowed to them (`ferry_domain::poison`).

use ferry_domain::{JobKind, poison};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Shared by jobs that start beside one another, held exclusively by a suspect.
#[derive(Default)]
pub(crate) struct StartGate(RwLock<()>);

/// A job's permission to start, held until it makes progress or ends.
#[expect(dead_code, reason = "guards are held, not read")]
pub(crate) enum Permit<'a> {
    /// Of a kind that does not wait for others.
    Free,
    /// Others may start beside it, suspects not.
    Shared(RwLockReadGuard<'a, ()>),
    /// Of a suspect: nothing starts beside it.
    Alone(RwLockWriteGuard<'a, ()>),
}

impl StartGate {
    /// Waits until a job with this number of rescues may start.
    pub(crate) async fn permit(&self, kind: JobKind, rescues: i32) -> Permit<'_> {
        if poison::is_suspect(kind, rescues) {
            return Permit::Alone(self.0.write().await);
        }
        match kind {
            JobKind::Provision => Permit::Shared(self.0.read().await),
            JobKind::Verify | JobKind::Report => Permit::Free,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_suspect_starts_when_nothing_else_does_and_nothing_starts_beside_it() {
        let gate = StartGate::default();
        let provision = |rescues| gate.permit(JobKind::Provision, rescues).now_or_never();
        let starting = provision(2).expect("two rescues make no suspect");
        assert!(provision(3).is_none(), "another job is starting");
        drop(starting); // it made progress
        let suspect = provision(3).expect("nothing is starting");
        assert!(provision(0).is_none() && provision(3).is_none(), "a suspect starts alone");
        assert!(gate.permit(JobKind::Verify, 3).now_or_never().is_some(), "verifications don't wait");
        drop(suspect);
        assert!(provision(0).is_some());
    }
}
