//! What both limiters count, without a lock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ferry_domain::ports::{Group, LimiterFigures};

use crate::meter::Totals;

/// Counters; per group in the order of [`Group::ALL`].
#[derive(Default)]
pub(crate) struct Counts {
    granted: [AtomicU64; 4],
    waiting: [AtomicU64; 4],
    throttled: AtomicU64,
    foreign: AtomicU64,
}

impl Counts {
    /// Counts one more waiting caller, until the returned guard is dropped.
    pub(crate) fn wait(&self, group: Group) -> Waiter<'_> {
        self.waiting[group as usize].fetch_add(1, Relaxed);
        Waiter(&self.waiting[group as usize])
    }

    pub(crate) fn served(&self, group: Group) {
        self.granted[group as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn throttled(&self) {
        self.throttled.fetch_add(1, Relaxed);
    }

    pub(crate) fn foreign(&self, requests: u64) {
        self.foreign.fetch_add(requests, Relaxed);
    }

    pub(crate) fn granted(&self, group: Group) -> u64 {
        self.granted[group as usize].load(Relaxed)
    }

    pub(crate) fn waiting(&self, group: Group) -> u64 {
        self.waiting[group as usize].load(Relaxed)
    }

    /// Permits given so far, in the order of [`Group::ALL`].
    pub(crate) fn totals(&self) -> Totals {
        Group::ALL.map(|group| self.granted(group))
    }

    /// The group to name as the one that waits: of those with waiting callers one that goes
    /// first, with most of them; writes if there are none.
    pub(crate) fn busiest(&self) -> Group {
        Group::ALL.into_iter().rev().max_by_key(|group| self.rank(*group)).unwrap_or(Group::UserWrites)
    }

    /// How much a group is the one to name.
    pub(crate) fn rank(&self, group: Group) -> (bool, bool, u64) {
        let waiting = self.waiting(group);
        (waiting > 0, group != Group::ReadBack, waiting)
    }

    /// The figures that are the same for both limiters.
    pub(crate) fn figures(&self) -> LimiterFigures {
        LimiterFigures {
            throttled: self.throttled.load(Relaxed),
            factor: 1.0,
            waiters: Group::ALL.map(|group| self.waiting(group)).iter().sum(),
            processes: 1,
            foreign: self.foreign.load(Relaxed),
            ..LimiterFigures::default()
        }
    }
}

/// A caller that waits; leaves when dropped, served or not.
pub(crate) struct Waiter<'a>(&'a AtomicU64);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
