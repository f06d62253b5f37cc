//! What a process counts for its metrics, as plain numbers: an exporter
//! reads them here, and nothing that works depends on how they are exported.

mod store;
mod timings;

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{item::ItemState, job::JobKind, ports::WaitReason};
pub use store::{ENDED_RUNS_STAY, MOST_RUNS, RunFigures, StoreBoard, StoreFigures, shown};
pub use timings::{Answered, JobEnd, LedgerStep, Operation, Timed, Timings};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// One more.
    pub fn one(&self) {
        self.add(1);
    }

    /// Adds to the count.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Level(AtomicI64);

impl Level {
    /// Replaces the value.
    pub fn set(&self, to: i64) {
        self.0.store(to, Ordering::Relaxed);
    }

    /// The present value.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether a store answers this process, and how often it did again after it had not.
#[derive(Debug, Default)]
pub struct Reachable {
    known: AtomicI64,
    again: Count,
}

impl Reachable {
    // 0 where nothing was heard of it yet: its first answer is no return.
    const ANSWERS: i64 = 1;
    const AWAY: i64 = -1;

    /// Takes note of whether it answered.
    pub fn set(&self, answers: bool) {
        let now = if answers { Reachable::ANSWERS } else { Reachable::AWAY };
        // One exchange: of several that hear of it at the same moment only one counts.
        if self.known.swap(now, Ordering::Relaxed) == Reachable::AWAY && answers {
            self.again.one();
        }
    }

    /// Whether it answered the last time.
    pub fn answers(&self) -> bool {
        self.known.load(Ordering::Relaxed) == Reachable::ANSWERS
    }

    /// Number of times that it answered again after it had not.
    pub fn again(&self) -> u64 {
        self.again.get()
    }
}

/// Figures of one worker process since its start.
#[derive(Debug, Default)]
pub struct Figures {
    /// Deliveries that came from the queue.
    pub deliveries: Count,
    /// Deliveries with nothing to do: stale or repeated.
    pub stale_deliveries: Count,
    /// Deliveries that no ledger row of ours explains; dead-lettered.
    pub foreign_deliveries: Count,
    /// Leases taken back from holders known to be dead.
    pub rescues_dead: Count,
    /// Leases taken back because they ran out.
    pub rescues_expired: Count,
    /// Batches halved because workers died over them.
    pub halvings: Count,
    /// Writes refused by the fence: the lease had gone to another.
    pub stale_writes_rejected: Count,
    /// Times this process lost its registration and took a new identity.
    pub identities_lost: Count,
    /// Leases held now.
    pub leases: Level,
    /// Batches worked on at the same time, at most.
    pub slots: Level,
    /// 1 while the breaker of Auth0 lets only probes pass.
    pub auth0_breaker_open: Level,
    /// 1 while the ledger can't take results.
    pub ledger_breaker_open: Level,
    /// 1 when the database frees our lock at our death; 0 when only lease expiry can tell.
    pub watched: Level,
    /// 1 while this process is the relay.
    pub relay: Level,
    /// Milliseconds of the process's monotonic clock at the last renewal of leases.
    pub renewed_at_ms: Level,
    /// Milliseconds of the same clock when the runtime last ran a task that
    /// does nothing else; filled by the server of health checks.
    pub turned_at_ms: Level,
    /// 1 from the registration until the process begins to stop: it takes work.
    pub ready: Level,
    /// Whether the ledger answers, and takes what is written.
    pub ledger_reachable: Reachable,
    /// Whether jobs can move through the queue.
    pub queue_reachable: Reachable,
    /// What the store holds, where this process is the elected exporter.
    pub store: StoreBoard,
    /// In the orders of [`JobKind::ALL`] and [`JobEnd::ALL`].
    jobs_ended: [[Count; JobEnd::ALL.len()]; JobKind::ALL.len()],
    /// In the order of [`JobKind::ALL`].
    jobs_enqueued: [Count; JobKind::ALL.len()],
    /// In the order of [`ItemState::ALL`].
    users_settled: [Count; ItemState::ALL.len()],
    clock_ahead_ms: Mutex<Option<i64>>,
    timings: OnceLock<Arc<dyn Timings>>,
    waiting_for: Mutex<Option<WaitReason>>,
    ledger_lacks: Mutex<Option<String>>,
    queue_lacks: Mutex<Option<String>>,
    token_lacks: Mutex<Option<String>>,
    wrong_tenant: Mutex<Option<String>>,
    not_begun: Mutex<Option<String>>,
}

impl Figures {
    /// One more job that the queue took from this process.
    pub fn job_enqueued(&self, kind: JobKind) {
        self.jobs_enqueued[kind as usize].one();
    }

    /// Jobs of this kind that the queue took from this process.
    pub fn jobs_enqueued(&self, kind: JobKind) -> u64 {
        self.jobs_enqueued[kind as usize].get()
    }

    /// One more try of a job that ended so.
    pub fn job_ended(&self, kind: JobKind, end: JobEnd) {
        self.jobs_ended[kind as usize][end as usize].one();
    }

    /// Tries of jobs that ended so.
    pub fn jobs_ended(&self, kind: JobKind, end: JobEnd) -> u64 {
        self.jobs_ended[kind as usize][end as usize].get()
    }

    /// One more user with this outcome.
    pub fn user_settled(&self, outcome: ItemState) {
        self.users_settled[outcome as usize].one();
    }

    /// Users that this process settled with this outcome.
    pub fn users_settled(&self, outcome: ItemState) -> u64 {
        self.users_settled[outcome as usize].get()
    }

    /// Sets by how many milliseconds the clock of this process is ahead of the ledger's.
    pub fn set_clock_ahead_ms(&self, ahead: i64) {
        *self.clock_ahead_ms.lock().unwrap_or_else(PoisonError::into_inner) = Some(ahead);
    }

    /// By how many milliseconds the clock of this process is ahead of the ledger's, once compared.
    pub fn clock_ahead_ms(&self) -> Option<i64> {
        *self.clock_ahead_ms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on `timings` is told how long things take. Only the first call counts.
    pub fn time_with(&self, timings: Arc<dyn Timings>) {
        let _ = self.timings.set(timings);
    }

    /// Tells how long something took.
    pub fn took(&self, what: Timed, took: Duration) {
        if let Some(timings) = self.timings.get() {
            timings.took(what, took);
        }
    }

    /// Tells how a try of a job ended, and, where no other follows, how many attempts the job had.
    /// `before` are those that counted before this one.
    pub fn tried(&self, kind: JobKind, end: JobEnd, before: i32) {
        self.job_ended(kind, end);
        if let (true, Some(timings)) = (end.is_last(), self.timings.get()) {
            timings.attempts(kind, u32::try_from(before).unwrap_or(0).saturating_add(1));
        }
    }

    /// Sets what the process waits for before it begins to work; `None` once it has begun.
    pub fn set_not_begun(&self, why: Option<String>) {
        *self.not_begun.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// What the process waits for before it begins to work.
    pub fn not_begun(&self) -> Option<String> {
        self.not_begun.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets why this process may ask Auth0 for nothing; `None` when it may.
    pub fn set_token_lacks(&self, why: Option<String>) {
        *self.token_lacks.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// Why this process may ask Auth0 for nothing.
    pub fn token_lacks(&self) -> Option<String> {
        self.token_lacks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets for which other tenant the last job was; `None` when it was for this process's.
    pub fn set_wrong_tenant(&self, tenant: Option<String>) {
        *self.wrong_tenant.lock().unwrap_or_else(PoisonError::into_inner) = tenant;
    }

    /// For which other tenant the last job was.
    pub fn wrong_tenant(&self) -> Option<String> {
        self.wrong_tenant.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets why the ledger takes no results; `None` when it does.
    pub fn set_ledger_lacks(&self, why: Option<String>) {
        self.ledger_reachable.set(why.is_none());
        *self.ledger_lacks.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// Why the ledger takes no results, once it was asked.
    pub fn ledger_lacks(&self) -> Option<String> {
        self.ledger_lacks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets why no job can move through the queue; `None` when they can.
    pub fn set_queue_lacks(&self, why: Option<String>) {
        self.queue_reachable.set(why.is_none());
        *self.queue_lacks.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// Why no job can move through the queue, once it was looked at.
    pub fn queue_lacks(&self) -> Option<String> {
        self.queue_lacks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets why work waits, for people; `None` when it does not.
    pub fn set_waiting_for(&self, why: Option<WaitReason>) {
        *self.waiting_for.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// Why work waits.
    pub fn waiting_for(&self) -> Option<WaitReason> {
        self.waiting_for.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Told(Mutex<Vec<(JobKind, u32)>>);

    impl Timings for Told {
        fn took(&self, _: Timed, _: Duration) {}

        fn attempts(&self, kind: JobKind, attempts: u32) {
            self.0.lock().unwrap().push((kind, attempts));
        }
    }

    #[test]
    fn attempts_are_told_once_a_job_has_ended_and_not_at_each_try() {
        let (figures, told) = (Figures::default(), Arc::new(Told::default()));
        figures.time_with(told.clone());
        figures.tried(JobKind::Provision, JobEnd::Retried, 0);
        figures.tried(JobKind::Provision, JobEnd::Snoozed, 1);
        assert_eq!(*told.0.lock().unwrap(), []);
        figures.tried(JobKind::Provision, JobEnd::Done, 1);
        figures.tried(JobKind::Verify, JobEnd::Dead, 4);
        assert_eq!(*told.0.lock().unwrap(), [(JobKind::Provision, 2), (JobKind::Verify, 5)]);
        assert_eq!(figures.jobs_ended(JobKind::Provision, JobEnd::Snoozed), 1);
    }

    #[test]
    fn a_store_returns_once_for_each_time_that_it_was_away() {
        let store = Reachable::default();
        assert!(!store.answers(), "nobody has asked it yet");
        let after = |answers: &[bool]| {
            answers.iter().for_each(|answer| store.set(*answer));
            (store.answers(), store.again())
        };
        assert_eq!(after(&[true, true]), (true, 0), "the first answer is no return");
        assert_eq!(after(&[false, false]), (false, 0));
        assert_eq!(after(&[true, true]), (true, 1));
        assert_eq!(after(&[false, true]), (true, 2));
    }

    #[test]
    fn a_queue_that_was_away_when_it_was_first_looked_at_returns() {
        let figures = Figures::default();
        figures.set_queue_lacks(Some("Redis does not answer".into()));
        figures.set_queue_lacks(None);
        assert_eq!((figures.queue_reachable.answers(), figures.queue_reachable.again()), (true, 1));
    }
}
