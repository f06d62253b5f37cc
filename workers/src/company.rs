//! Who may begin beside whom in this process, so that a death is charged to few.
//!
//! A suspect, over which holders died without getting on, begins alone: nothing else is
//! beginning in its process, and nothing begins until it gets on or ends. What has got on
//! already goes on beside it: a death costs that one count, which is cleared when it gets
//! on again, before the next suspect begins. Rejected: a process of its own until its end. It
//! held up all other work for as long as a batch lasts, and a worker killed each second cost
//! the others more than half of their throughput.
//!
//! Verifications don't get on before their end. They don't wait here, and much more deaths are
//! granted to them (`ferry_domain::poison`).

use ferry_domain::{JobKind, poison};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

#[derive(Default)]
pub(crate) struct Company(RwLock<()>);

/// A job's place until it gets on or ends.
#[expect(dead_code, reason = "guards are held, not read")]
pub(crate) enum Seat<'a> {
    Free,
    Beginning(RwLockReadGuard<'a, ()>),
    Alone(RwLockWriteGuard<'a, ()>),
}

impl Company {
    /// Waits for a place for a job over which holders died so often.
    pub(crate) async fn seat(&self, kind: JobKind, deaths: i32) -> Seat<'_> {
        if poison::is_suspect(kind, deaths) {
            return Seat::Alone(self.0.write().await);
        }
        match kind {
            JobKind::Provision => Seat::Beginning(self.0.read().await),
            JobKind::Verify | JobKind::Report => Seat::Free,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_suspect_begins_when_nobody_else_does_and_nobody_begins_beside_it() {
        let company = Company::default();
        let provision = |deaths| company.seat(JobKind::Provision, deaths).now_or_never();
        let beginning = provision(1).expect("one death is nothing");
        assert!(provision(2).is_none(), "somebody has just begun");
        drop(beginning); // it got on
        let suspect = provision(2).expect("nobody is beginning");
        assert!(provision(0).is_none() && provision(2).is_none(), "a suspect begins alone");
        assert!(company.seat(JobKind::Verify, 2).now_or_never().is_some(), "verifications go on");
        drop(suspect);
        assert!(provision(0).is_some());
    }
}
