//! The leases this process holds, so that one heartbeat renews them all, a handler
//! whose lease is gone learns it immediately, and nothing is written on a lease that may
//! have ended.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ferry_domain::JobId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// One part in this many of a lease, at its end, in which nothing is sent or written on it:
/// clocks run at different speeds, and a statement takes its time.
const MARGIN: u32 = 8;

/// All leases of this process.
#[derive(Default)]
pub(crate) struct HeldLeases {
    jobs: Mutex<Jobs>,
}

#[derive(Default)]
struct Jobs {
    /// Counts heartbeats, to tell leases claimed before one from those claimed during it.
    round: u64,
    held: HashMap<JobId, (u64, HeldLease)>,
}

/// A lease as its handler sees it.
#[derive(Clone)]
pub(crate) struct HeldLease {
    lost: CancellationToken,
    progress: CancellationToken,
    until: Arc<Mutex<Instant>>,
}

impl HeldLease {
    fn new(until: Instant) -> Self {
        let (lost, progress) = (CancellationToken::new(), CancellationToken::new());
        HeldLease { lost, progress, until: Arc::new(Mutex::new(until)) }
    }

    /// Whether the lease is ours for sure, by this process's own steady clock. A
    /// runtime that was blocked, or a process that was stopped, learns here that it
    /// overslept before it sends or writes anything.
    pub(crate) fn is_ours(&self) -> bool {
        !self.lost.is_cancelled() && Instant::now() < *self.until()
    }

    /// Resolves when the lease is lost.
    pub(crate) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Some results are written back, and more will follow.
    pub(crate) fn note_progress(&self) {
        self.progress.cancel();
    }

    /// Resolves once there was progress.
    pub(crate) async fn progressed(&self) {
        self.progress.cancelled().await;
    }

    fn until(&self) -> MutexGuard<'_, Instant> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a lease asked for at `began` may have ended, less a margin.
fn ends(began: Instant, lease: Duration) -> Instant {
    began + lease - lease / MARGIN
}

impl HeldLeases {
    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a lease that was asked for at `began`.
    pub(crate) fn take(&self, job: JobId, began: Instant, lease: Duration) -> HeldLease {
        let mut jobs = self.lock();
        let hold = HeldLease::new(ends(began, lease));
        let round = jobs.round;
        jobs.held.insert(job, (round, hold.clone()));
        hold
    }

    /// The handler has ended.
    pub(crate) fn drop(&self, job: JobId) {
        self.lock().held.remove(&job);
    }

    /// A heartbeat begins: returns the leases to renew. Those claimed from now on may be
    /// missing in its answer.
    pub(crate) fn begin_heartbeat(&self) -> (u64, Vec<JobId>) {
        let mut jobs = self.lock();
        jobs.round += 1;
        (jobs.round, jobs.held.keys().copied().collect())
    }

    /// Prolongs what the ledger renewed in a heartbeat that began then, and cancels
    /// what it no longer counts as ours. Returns the number of cancelled ones.
    pub(crate) fn keep_only(&self, round: u64, renewed: &[JobId], began: Instant, lease: Duration) -> usize {
        let renewed: HashSet<&JobId> = renewed.iter().collect();
        let mut lost = 0;
        for (job, (since, hold)) in &self.lock().held {
            if renewed.contains(job) {
                let mut until = hold.until();
                *until = (*until).max(ends(began, lease));
            } else if *since < round {
                hold.lost.cancel();
                lost += 1;
            }
        }
        lost
    }

    /// Cancels everything, as the registration is lost or the ledger was silent for a whole
    /// lease. Returns the number of leases.
    pub(crate) fn lose_all(&self) -> usize {
        let jobs = self.lock();
        jobs.held.values().map(|(_, hold)| hold.lost.cancel()).count()
    }

    /// The jobs held, as far as this process knows.
    pub(crate) fn jobs(&self) -> Vec<JobId> {
        self.lock().held.keys().copied().collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().held.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(6);

    fn job(n: u128) -> JobId {
        JobId(uuid::Uuid::from_u128(n))
    }

    #[tokio::test(start_paused = true)]
    async fn only_leases_claimed_before_the_heartbeat_and_not_renewed_are_lost() {
        let held = HeldLeases::default();
        let began = Instant::now();
        let kept = held.take(job(1), began, LEASE);
        let lost = held.take(job(2), began, LEASE);
        let (round, renewing) = held.begin_heartbeat();
        assert_eq!(renewing.len(), 2);
        let fresh = held.take(job(3), began, LEASE);
        assert_eq!(held.keep_only(round, &[job(1)], began, LEASE), 1);
        assert!(!lost.is_ours(), "its lease went to another worker");
        assert!(kept.is_ours() && fresh.is_ours());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_nobody_renewed_is_not_used_to_its_last_moment() {
        let held = HeldLeases::default();
        let hold = held.take(job(1), Instant::now(), LEASE);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(hold.is_ours());
        tokio::time::advance(Duration::from_millis(300)).await;
        assert!(!hold.is_ours(), "the process overslept: nothing is sent on this lease");
        let (round, _) = held.begin_heartbeat();
        held.keep_only(round, &[job(1)], Instant::now(), LEASE);
        assert!(hold.is_ours(), "the ledger says that it is still ours");
    }
}
