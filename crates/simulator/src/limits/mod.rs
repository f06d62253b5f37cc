//! Rate limits: a named plan and its buckets, pure functions of the time that is passed in.
//!
//! A request is checked against the bucket of the whole API first, then against the bucket of its
//! group of endpoints. The headers describe the bucket with fewer requests left.

mod bucket;
mod plan;

pub use bucket::{Bucket, Rate, Reading, Refill, RefillError};
pub use plan::{Plan, PlanError};

/// Which bucket of its own a request falls into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// `POST` and `PATCH` of users.
    UserWrites,
    /// `DELETE` of users.
    UserDeletes,
    /// Reading users.
    UserReads,
    /// Reading connections.
    ConnectionReads,
    /// All other endpoints of the Management API.
    Rest,
    /// The token endpoint; it has nothing to do with the bucket of the Management API.
    Token,
}

/// The buckets of one tenant.
pub struct Limits {
    refill: Refill,
    global: Option<Bucket>,
    user_writes: Option<Bucket>,
    user_deletes: Option<Bucket>,
    user_reads: Option<Bucket>,
    connection_reads: Option<Bucket>,
    rest: Option<Bucket>,
    token: Option<Bucket>,
}

impl Limits {
    /// Full buckets for a plan.
    #[must_use]
    pub fn new(plan: &Plan, refill: Refill) -> Self {
        let bucket = |rate: Option<Rate>| rate.map(|rate| Bucket::new(rate, refill));
        Self {
            refill,
            global: bucket(plan.global),
            user_writes: bucket(plan.user_writes),
            user_deletes: bucket(plan.user_deletes),
            user_reads: bucket(plan.user_reads),
            connection_reads: bucket(plan.connection_reads),
            rest: bucket(plan.rest),
            token: bucket(plan.token),
        }
    }

    /// Follows another plan from `now_ms` on. Buckets that both plans have keep what was
    /// left, as far as it fits; new ones start full.
    pub fn change(&mut self, plan: &Plan, now_ms: u64) {
        let refill = self.refill;
        for (bucket, rate) in [
            (&mut self.global, plan.global),
            (&mut self.user_writes, plan.user_writes),
            (&mut self.user_deletes, plan.user_deletes),
            (&mut self.user_reads, plan.user_reads),
            (&mut self.connection_reads, plan.connection_reads),
            (&mut self.rest, plan.rest),
            (&mut self.token, plan.token),
        ] {
            match (bucket.as_mut(), rate) {
                (Some(bucket), Some(rate)) => bucket.change(rate, now_ms),
                (_, rate) => *bucket = rate.map(|rate| Bucket::new(rate, refill)),
            }
        }
    }

    /// Takes one request at `now_ms` (UNIX milliseconds). `None` when no limit applies.
    ///
    /// A request that the endpoint bucket refuses has already spent a token of the global one.
    pub fn take(&mut self, group: Group, now_ms: u64) -> Option<Reading> {
        let global = match group {
            Group::Token => None,
            _ => self.global.as_mut().map(|bucket| bucket.take(now_ms)),
        };
        if let Some(refused) = global.filter(|reading| !reading.admitted) {
            return Some(refused);
        }
        let own = self.of(group).map(|bucket| bucket.take(now_ms));
        match (global, own) {
            (Some(global), Some(own)) if own.admitted && global.remaining < own.remaining => Some(global),
            (global, own) => own.or(global),
        }
    }

    fn of(&mut self, group: Group) -> Option<&mut Bucket> {
        match group {
            Group::UserWrites => self.user_writes.as_mut(),
            Group::UserDeletes => self.user_deletes.as_mut(),
            Group::UserReads => self.user_reads.as_mut(),
            Group::ConnectionReads => self.connection_reads.as_mut(),
            Group::Rest => self.rest.as_mut(),
            Group::Token => self.token.as_mut(),
        }
    }
}
