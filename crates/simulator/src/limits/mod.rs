//! Rate limits: a named plan and its buckets, pure functions of the time that is passed in.
//!
//! A request is checked against the bucket of the whole API first, then against the bucket of its
//! group of endpoints. The headers describe the bucket with fewer requests left.

mod bucket;
mod plan;

pub use bucket::{Bucket, Rate, Reading, Refill};
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
            global: bucket(plan.global),
            user_writes: bucket(plan.user_writes),
            user_deletes: bucket(plan.user_deletes),
            user_reads: bucket(plan.user_reads),
            connection_reads: bucket(plan.connection_reads),
            rest: bucket(plan.rest),
            token: bucket(plan.token),
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
