//! The tenant's rate limit, kept by one process.
//!
//! Each bucket of the plan is a governor limiter, a hard ceiling that nothing in
//! this crate can raise. Everything else is expressed as a **price** in that
//! bucket's units: a rate lowered to 80 % makes each request cost 1.25 permits,
//! and foreign use seen in the server's headers is paid like requests of our own.
//! So the rate changes while running and the bucket never starts anew.
//!
//! Rejected: a new governor limiter for each change of the rate (it starts with
//! a full bucket, so every 429 would be answered by a new burst); an own pacer in
//! front of governor (two clocks that both think they know the rate); governor's
//! `until_ready` (it waits by a timer of its own, and wakes all waiters at once).
//!
//! Two things of the server are unknown (FACTS §12.1): whether it refills all the
//! time or in steps, and what else uses the tenant. Hence:
//!
//! - **A full bucket is not spent at once.** `rate × refill step` is held back, so
//!   that a server which tops up only at the end of a step never sees us ask for
//!   what it has not added yet. The step is 1 s for every plan: the policy page says
//!   per-minute limits are refilled second by second, and one step a minute can't be
//!   meant where the bucket (20) is smaller than a minute's refill (200).
//! - **Only a 429 lowers the rate**; see `brake`. Headers cost permits; see `foreign`.
//! - A quarter of a percent of the rate is left over, so that two clocks that differ
//!   a little don't add up to a 429 now and then.
//!
//! Fairness: one caller per bucket stands at the counter, the others queue behind it
//! in order of arrival (tokio's mutex is fair). The global bucket is asked first, then
//! the group's, as the server does; a caller waiting for its group holds one global
//! permit. No published plan has both.

mod brake;
mod bucket;
mod foreign;
#[cfg(test)]
mod tests;
mod time;

use std::time::Duration;

use async_trait::async_trait;
use ferry_domain::{
    limits::LimitPlan,
    ports::{Group, Limiter, Observed},
};

use crate::{brake::Brake, bucket::Bucket, time::Time};

/// A [`Limiter`] for one process alone. Share it behind an `Arc`: two of them would
/// use the limit twice.
pub struct LocalLimiter {
    global: Option<Bucket>,
    user_writes: Option<Bucket>,
    user_reads: Option<Bucket>,
    rest: Option<Bucket>,
    brake: Brake,
    planned: Option<f64>,
}

impl LocalLimiter {
    /// Keeps to the plan. Under the plan `off` nothing waits, except after a 429.
    pub fn new(plan: &LimitPlan) -> LocalLimiter {
        LocalLimiter::at(plan, Time::start())
    }

    fn at(plan: &LimitPlan, time: Time) -> LocalLimiter {
        let bucket = |figures: Option<_>| figures.map(|figures| Bucket::new(figures, time.clone()));
        LocalLimiter {
            global: bucket(plan.global),
            user_writes: bucket(plan.user_writes),
            user_reads: bucket(plan.user_reads),
            rest: bucket(plan.rest),
            brake: Brake::new(time.clone()),
            planned: plan.creates_per_second(),
        }
    }

    /// Users per second that may be created at present: the plan's figure, less while
    /// recovering from a 429. `None` without a limit.
    pub fn rate(&self) -> Option<f64> {
        self.planned.map(|rate| rate * self.brake.factor())
    }

    fn group(&self, group: Group) -> Option<&Bucket> {
        match group {
            Group::UserWrites => self.user_writes.as_ref(),
            Group::UserReads => self.user_reads.as_ref(),
            Group::Rest => self.rest.as_ref(),
        }
    }

    /// The buckets a request has to pass, in the server's order.
    fn way(&self, group: Group) -> impl Iterator<Item = &Bucket> {
        [self.global.as_ref(), self.group(group)].into_iter().flatten()
    }
}

#[async_trait]
impl Limiter for LocalLimiter {
    async fn acquire(&self, group: Group) {
        let mut limited = false;
        for bucket in self.way(group) {
            bucket.pass(&self.brake).await;
            limited = true;
        }
        if !limited {
            while let Some(pause) = self.brake.pause_left() {
                tokio::time::sleep(pause).await;
            }
        }
    }

    fn observe(&self, group: Group, observed: Observed) {
        // The headers describe one bucket and don't say which (FACTS §12.4): the one of
        // that size, else the narrowest.
        let of_that_size = self.way(group).find(|bucket| bucket.size() == observed.limit);
        if let Some(bucket) = of_that_size.or_else(|| self.way(group).last()) {
            bucket.observe(observed);
        }
    }

    fn throttled(&self, group: Group, retry_after: Option<Duration>) {
        if let Some(pause) = self.brake.pull(retry_after) {
            self.way(group).for_each(Bucket::drain);
            tracing::warn!(
                ?group,
                pause_ms = pause.as_millis() as u64,
                factor = self.brake.factor(),
                "the server answered 429: all requests pause, then go slower for a while"
            );
        }
    }

    fn waiting(&self) -> Option<Duration> {
        let buckets = [&self.global, &self.user_writes, &self.user_reads, &self.rest];
        let longest = buckets.into_iter().flatten().filter_map(|bucket| bucket.wait(&self.brake)).max();
        longest.max(self.brake.pause_left())
    }
}
