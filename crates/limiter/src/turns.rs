//! Who goes first where moving users and reading them back take from one bucket.
//!
//! Requests that move users go first, and reading back takes what they leave: an application
//! waits for its users to be there, and nobody waits for the comparison. So that reading back
//! never stands still, one request in [`EVERY`] is its own, 5 % of the limit, however
//! many others wait. While no other request waits, it has the whole limit.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use ferry_domain::ports::Group;

/// One of this number of requests may read back although others wait.
pub(crate) const EVERY: u32 = 20;

/// Groups with buckets of their own, in the order of buckets.
pub(crate) const WITH_BUCKETS: [Group; 3] = [Group::UserWrites, Group::UserReads, Group::Rest];

/// The place of a group's bucket among those of groups.
pub(crate) fn bucket_of(group: Group) -> usize {
    match group {
        Group::UserWrites => 0,
        Group::UserReads | Group::ReadBack => 1,
        Group::Rest => 2,
    }
}

/// Counts requests that went first since the last that read back.
#[derive(Debug, Default)]
pub(crate) struct Turns(AtomicU32);

impl Turns {
    /// Whether the next request is one that reads back, if any waits.
    pub(crate) fn read_back_is_due(&self) -> bool {
        self.0.load(Relaxed) >= EVERY - 1
    }

    /// Takes note of a request that was sent.
    pub(crate) fn note(&self, group: Group) {
        match group {
            Group::ReadBack => self.0.store(0, Relaxed),
            _ => _ = self.0.fetch_update(Relaxed, Relaxed, |count| Some((count + 1).min(EVERY - 1))),
        }
    }
}
