//! What moving users takes of a tenant's limits, said before a run and compared after it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::limits::{Bucket, Group, LimitPlan};

/// What creating a number of new users and reading each of them back takes at least. Who has an account
/// already, and each try after a failure, takes requests more.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Estimate {
    /// Requests that create users.
    pub user_writes: u64,
    /// Requests that read them back.
    pub user_reads: u64,
    /// Seconds until all are created.
    pub creating_seconds: f64,
    /// Seconds until all are read back.
    pub total_seconds: f64,
    /// Whether both take from one limit.
    #[serde(skip)]
    pub shared: bool,
}

impl Estimate {
    /// For this number of users; `None` without a limit of creating them.
    pub fn of(users: u64, plan: &LimitPlan) -> Option<Estimate> {
        plan.way(Group::UserWrites).next()?;
        let shared = plan.share_buckets(Group::UserWrites, Group::ReadBack);
        let creating_seconds = seconds(users, plan, Group::UserWrites);
        let total_seconds = match shared {
            true => seconds(2 * users, plan, Group::UserWrites),
            // Users are read back while others are created.
            false => creating_seconds.max(seconds(users, plan, Group::ReadBack)),
        };
        Some(Estimate { user_writes: users, user_reads: users, creating_seconds, total_seconds, shared })
    }

    /// Until all are created.
    pub fn creating(&self) -> Duration {
        Duration::from_secs_f64(self.creating_seconds)
    }

    /// From the last creation until all are read back.
    pub fn reading_back(&self) -> Duration {
        Duration::from_secs_f64((self.total_seconds - self.creating_seconds).max(0.0))
    }
}

/// Through the slowest bucket on the way, to a tenth.
fn seconds(requests: u64, plan: &LimitPlan, group: Group) -> f64 {
    let through = |bucket: Bucket| (requests as f64 - bucket.burst_used()).max(0.0) / bucket.rate_used();
    (plan.way(group).map(through).fold(0.0, f64::max) * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(users: u64, plan: &str) -> Estimate {
        Estimate::of(users, &plan.parse().unwrap()).unwrap()
    }

    #[test]
    fn what_shares_a_limit_takes_the_time_of_both() {
        let estimate = of(3_000, "private-100");
        assert_eq!((estimate.user_writes, estimate.user_reads, estimate.shared), (3_000, 3_000, true));
        assert!((60.0..60.5).contains(&estimate.creating_seconds), "{estimate:?}");
        assert!((120.0..120.5).contains(&estimate.total_seconds), "{estimate:?}");
        assert!(estimate.reading_back() > Duration::from_secs(59), "{estimate:?}");
    }

    #[test]
    fn a_full_bucket_is_spent_but_for_a_second_of_its_refill() {
        // 50 at once, less the 16 of a second; 16 a second, less a quarter of a percent.
        let estimate = of(500, "enterprise");
        assert!((60.4..60.6).contains(&estimate.total_seconds), "{estimate:?}");
        assert_eq!(of(10, "enterprise").total_seconds, 0.0, "from the full bucket");
    }

    #[test]
    fn limits_of_their_own_go_beside_one_another() {
        let estimate = of(2_000, "essentials");
        assert!(!estimate.shared && estimate.reading_back().is_zero(), "{estimate:?}");
        assert!((590.0..600.0).contains(&estimate.total_seconds), "{estimate:?}");
        assert_eq!(Estimate::of(10, &LimitPlan::off()), None);
    }
}
