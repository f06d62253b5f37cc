//! The limit kept by one process alone, for the embedded form and the demo.
//! Every 429 lowers its rate by 20 %, which differs from the shared limiter; see `brake`.
//!
//! Each bucket of the plan is a governor limiter, a hard ceiling that nothing in
//! this crate can raise. Everything else is expressed as a **price** in that
//! bucket's units: a rate lowered to 80 % makes each request cost 1.25 permits,
//! and foreign use seen in the server's headers is paid like requests of our own.
//! So the rate changes while running and the bucket never starts anew. Another plan
//! means other buckets; they start with what the old ones had left.
//!
//! Rejected: a new governor limiter for each change of the rate (it starts with
//! a full bucket, so a new burst would follow every 429); an own pacer in
//! front of governor (two clocks for one rate); governor's
//! `until_ready` (it waits by a timer of its own, and wakes all waiters together).
//!
//! Fairness: one caller per bucket pays, the others wait for it in order of arrival
//! (tokio's mutex is fair), those that read back in a line of their own (`turns`). The global bucket is asked first, then
//! the group's, as the server does; a caller waiting for its group holds one global
//! permit. No published plan has both.

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use async_trait::async_trait;
use ferry_domain::{
    limits::LimitPlan,
    ports::{Group, GroupFigures, Limiter, LimiterFigures, Observed, Waiting},
};

use crate::{
    brake::Brake,
    bucket::Bucket,
    counts::Counts,
    meter::Meter,
    time::Time,
    turns::{WITH_BUCKETS, bucket_of},
};

/// A [`Limiter`] for one process alone. Share it behind an `Arc`: two of them would
/// use the limit twice.
pub struct LocalLimiter {
    buckets: RwLock<Arc<Buckets>>,
    pub(crate) brake: Brake,
    counts: Counts,
    meter: Mutex<Meter>,
    time: Time,
}

/// The buckets of one plan.
pub(crate) struct Buckets {
    pub(crate) plan: LimitPlan,
    pub(crate) global: Option<Bucket>,
    /// In the order of [`WITH_BUCKETS`].
    pub(crate) groups: [Option<Bucket>; 3],
}

impl Buckets {
    fn new(plan: &LimitPlan, time: &Time) -> Buckets {
        let bucket = |figures: Option<_>| figures.map(|figures| Bucket::new(figures, time.clone()));
        Buckets {
            global: bucket(plan.global),
            groups: WITH_BUCKETS.map(|group| bucket(plan.group(group))),
            plan: plan.clone(),
        }
    }

    /// The buckets a request has to pass, in the server's order.
    pub(crate) fn way(&self, group: Group) -> impl Iterator<Item = &Bucket> {
        [self.global.as_ref(), self.groups[bucket_of(group)].as_ref()].into_iter().flatten()
    }

    fn all(&self) -> impl Iterator<Item = &Bucket> {
        self.global.iter().chain(self.groups.iter().flatten())
    }
}

impl LocalLimiter {
    /// Keeps to the plan. Under the plan `off` nothing waits, except after a 429.
    pub fn new(plan: &LimitPlan) -> LocalLimiter {
        LocalLimiter::at(plan, Time::start())
    }

    pub(crate) fn at(plan: &LimitPlan, time: Time) -> LocalLimiter {
        LocalLimiter {
            buckets: RwLock::new(Arc::new(Buckets::new(plan, &time))),
            brake: Brake::new(time.clone()),
            counts: Counts::default(),
            meter: Mutex::default(),
            time,
        }
    }

    /// Users per second that may be created at present: the plan's figure, less while
    /// recovering from a 429. `None` without a limit.
    pub fn rate(&self) -> Option<f64> {
        self.rate_of(Group::UserWrites)
    }

    fn rate_of(&self, group: Group) -> Option<f64> {
        self.buckets().plan.per_second_of(group).map(|rate| rate * self.brake.factor())
    }

    pub(crate) fn buckets(&self) -> Arc<Buckets> {
        self.buckets.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Passes all buckets of the present plan; false when it changed on the way.
    async fn pass(&self, group: Group) -> bool {
        let buckets = self.buckets();
        let mut limited = false;
        for bucket in buckets.way(group) {
            if !bucket.pass(group, &self.brake).await {
                return false;
            }
            limited = true;
        }
        if !limited {
            while let Some(pause) = self.brake.pause_left() {
                tokio::time::sleep(pause).await;
            }
        }
        true
    }
}

#[async_trait]
impl Limiter for LocalLimiter {
    async fn acquire(&self, group: Group) {
        let waiting = self.counts.wait(group);
        while !self.pass(group).await {}
        self.counts.served(group);
        drop(waiting);
    }

    fn observe(&self, group: Group, observed: Observed) {
        let buckets = self.buckets();
        // The headers describe one bucket and don't say which (FACTS §12.4): the one of
        // that size, else the narrowest.
        let of_that_size = buckets.way(group).find(|bucket| bucket.size() == observed.limit);
        if let Some(bucket) = of_that_size.or_else(|| buckets.way(group).last()) {
            self.counts.foreign(bucket.observe(observed).into());
        }
    }

    fn throttled(&self, group: Group, retry_after: Option<Duration>) {
        self.counts.throttled();
        if let Some(pause) = self.brake.pull(retry_after) {
            self.buckets().way(group).for_each(Bucket::drain);
            tracing::warn!(
                ?group,
                pause_ms = pause.as_millis() as u64,
                factor = self.brake.factor(),
                "the server answered 429: all requests pause, then go slower for a while"
            );
        }
    }

    fn waiting(&self) -> Option<Waiting> {
        let buckets = self.buckets();
        // Also while nobody waits: what a run uses at its begin is part of what it uses.
        let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        meter.note(self.time.now(), self.counts.totals());
        let of = |group: Group| buckets.way(group).filter_map(|bucket| bucket.wait(&self.brake)).max();
        let waits = Group::ALL.into_iter().rev().filter_map(|group| Some((of(group)?, group)));
        // Of groups that wait for one bucket, and so equally long, the one that goes first.
        let longest = waits.max_by_key(|(wait, group)| {
            let rank = self.counts.rank(*group);
            (rank.0, wait.as_millis(), rank)
        });
        let pause = self.brake.pause_left().map(|pause| (pause, self.counts.busiest()));
        let by_wait = |of: &(Duration, Group)| of.0;
        let (wait, group) = longest.into_iter().chain(pause).max_by_key(by_wait)?;
        let per_second = self.rate_of(group);
        Some(Waiting { group, wait, per_second, used: meter.used(group, &buckets.plan, per_second) })
    }

    fn set_plan(&self, plan: &LimitPlan) {
        let mut current = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        if current.plan == *plan {
            return;
        }
        let next = Buckets::new(plan, &self.time);
        let pairs = current.groups.iter().zip(&next.groups).chain([(&current.global, &next.global)]);
        for (old, new) in pairs {
            if let Some(new) = new {
                // Where there was no bucket, nothing is known of what was used.
                new.start_with(old.as_ref().map_or(0.0, Bucket::level));
            }
        }
        current.all().for_each(Bucket::retire);
        self.brake.start_anew();
        *current = Arc::new(next);
    }

    fn figures(&self) -> LimiterFigures {
        let figures = self.counts.figures();
        let group = |group: Group| GroupFigures {
            granted: self.counts.granted(group),
            allowed_per_second: self.rate_of(group),
        };
        let (factor, slowed_by) = (self.brake.factor(), self.brake.answers());
        LimiterFigures { groups: Group::ALL.map(group), factor, slowed_by, ..figures }
    }

    async fn give_back(&self) {}
}
