//! The leases this process holds, so that one heartbeat renews them all and a
//! handler whose lease is gone is told at once.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use ferry_domain::JobId;
use tokio_util::sync::CancellationToken;

#[derive(Default)]
pub(crate) struct Held {
    jobs: Mutex<Jobs>,
}

#[derive(Default)]
struct Jobs {
    /// Counts heartbeats, to tell leases claimed before one from those claimed during it.
    round: u64,
    held: HashMap<JobId, (u64, CancellationToken)>,
}

impl Held {
    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a lease; the token is cancelled when it is lost.
    pub(crate) fn take(&self, job: JobId) -> CancellationToken {
        let mut jobs = self.lock();
        let lost = CancellationToken::new();
        let round = jobs.round;
        jobs.held.insert(job, (round, lost.clone()));
        lost
    }

    /// The handler is through.
    pub(crate) fn drop(&self, job: JobId) {
        self.lock().held.remove(&job);
    }

    /// A heartbeat begins: leases claimed from now on may be missing in its answer.
    pub(crate) fn begin_heartbeat(&self) -> u64 {
        let mut jobs = self.lock();
        jobs.round += 1;
        jobs.round
    }

    /// Cancels what the ledger no longer counts as ours. Says how many.
    pub(crate) fn keep_only(&self, round: u64, renewed: &[JobId]) -> usize {
        let renewed: HashSet<&JobId> = renewed.iter().collect();
        let jobs = self.lock();
        let lost = jobs.held.iter().filter(|(job, (since, _))| *since < round && !renewed.contains(job));
        lost.map(|(_, (_, token))| token.cancel()).count()
    }

    /// Cancels everything: the ledger could not be reached for a whole lease.
    pub(crate) fn lose_all(&self) -> usize {
        let jobs = self.lock();
        jobs.held.values().map(|(_, token)| token.cancel()).count()
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().held.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(n: u128) -> JobId {
        JobId(uuid::Uuid::from_u128(n))
    }

    #[test]
    fn only_leases_claimed_before_the_heartbeat_and_not_renewed_are_lost() {
        let held = Held::default();
        let kept = held.take(job(1));
        let lost = held.take(job(2));
        let round = held.begin_heartbeat();
        let fresh = held.take(job(3));
        assert_eq!(held.keep_only(round, &[job(1)]), 1);
        assert!(lost.is_cancelled(), "its lease went to somebody else");
        assert!(!kept.is_cancelled() && !fresh.is_cancelled());
    }
}
