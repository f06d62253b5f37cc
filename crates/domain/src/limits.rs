//! Named plans of tenants' rate limits. Figures: FACTS §12.2, state of 2026-08.

use std::{fmt, str::FromStr};

/// Groups of requests: endpoints with a bucket of their own (FACTS §12.2), and of the user reads
/// those apart that may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// `POST`, `PATCH` and `DELETE` of users.
    UserWrites,
    /// `GET` of users.
    UserReads,
    /// All other endpoints.
    Rest,
    /// `GET` of users that reads them back. It takes from the bucket of [`Group::UserReads`], and
    /// goes after all others that take from it.
    ReadBack,
}

impl Group {
    /// Every group, in the order of [`crate::ports::LimiterFigures::groups`].
    pub const ALL: [Group; 4] = [Group::UserWrites, Group::UserReads, Group::Rest, Group::ReadBack];
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Group::UserWrites => "user writes",
            Group::UserReads | Group::ReadBack => "user reads",
            Group::Rest => "other requests",
        })
    }
}

/// Share of a plan's rate that is used.
const USED: f64 = 0.9975;
/// Refill step of the server, in seconds: the policy page says that limits are refilled second by second.
const STEP: f64 = 1.0;

/// One token bucket: `burst` requests immediately, then `per_minute` each minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Size of the bucket, at least 1.
    pub burst: u32,
    /// Refill, in requests per minute, at least 1.
    pub per_minute: u32,
}

impl Bucket {
    const fn per_second(burst: u32, per_second: u32) -> Self {
        Bucket { burst, per_minute: per_second * 60 }
    }

    const fn per_minute(burst: u32, per_minute: u32) -> Self {
        Bucket { burst, per_minute }
    }

    /// Refill, in requests per second.
    pub fn rate(self) -> f64 {
        f64::from(self.per_minute) / 60.0
    }

    /// What is used of the refill, in requests per second: two clocks that differ a little must not add up to
    /// a 429 now and then.
    pub fn rate_used(self) -> f64 {
        self.rate() * USED
    }

    /// What is used of a full bucket in one burst, at least 1 request: the refill of one step is held back,
    /// since a server may top up at the end of a step only (FACTS §12.1).
    pub fn burst_used(self) -> f64 {
        f64::from(self.burst) - (self.rate_used() * STEP).min(f64::from(self.burst) - 1.0)
    }
}

/// What a tenant allows: a bucket for everything, and one per endpoint group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitPlan {
    name: String,
    /// Checked first, for every request; `None` where none is published.
    pub global: Option<Bucket>,
    /// `POST`, `PATCH`, `DELETE` of users.
    pub user_writes: Option<Bucket>,
    /// `GET` of users.
    pub user_reads: Option<Bucket>,
    /// All other endpoints together.
    pub rest: Option<Bucket>,
}

/// Names that [`LimitPlan::from_str`] takes.
pub const NAMES: &[&str] = &[
    "off",
    "free",
    "essentials",
    "professional",
    "enterprise",
    "enterprise-dev",
    "private-20",
    "private-100",
    "private-500",
    "private-1500",
    "private-3000",
    "private-6000",
    "private-10000",
    "custom:BURST:PER_SECOND",
];

/// No such plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown limits {0:?}: take one of {known}{form}", known = NAMES.join(", "), form = figures(.0))]
pub struct UnknownPlan(pub String);

/// What is wrong with a name that has the form with figures.
fn figures(name: &str) -> &'static str {
    match name.starts_with("custom:") {
        true => "; BURST and PER_SECOND are whole numbers from 1 to 100000",
        false => "",
    }
}

impl LimitPlan {
    fn global(name: &str, bucket: Option<Bucket>) -> Self {
        LimitPlan { name: name.to_owned(), global: bucket, user_writes: None, user_reads: None, rest: None }
    }

    /// No limits at all.
    pub fn off() -> Self {
        Self::global("off", None)
    }

    /// The name it was made by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The bucket of a group, besides the global one.
    pub fn group(&self, group: Group) -> Option<Bucket> {
        match group {
            Group::UserWrites => self.user_writes,
            Group::UserReads | Group::ReadBack => self.user_reads,
            Group::Rest => self.rest,
        }
    }

    /// The buckets a request of the group has to pass, in the server's order.
    pub fn way(&self, group: Group) -> impl Iterator<Item = Bucket> {
        [self.global, self.group(group)].into_iter().flatten()
    }

    /// Requests of the group per second in the long run; `None` without a limit.
    pub fn per_second_of(&self, group: Group) -> Option<f64> {
        self.way(group).map(Bucket::rate).reduce(f64::min)
    }

    /// Whether requests of the two groups take from the same buckets.
    pub fn share_buckets(&self, one: Group, other: Group) -> bool {
        let alike = |a: Group, b: Group| {
            a == b
                || matches!((a, b), (Group::UserReads, Group::ReadBack) | (Group::ReadBack, Group::UserReads))
        };
        let without_own = |group: Group| self.group(group).is_none();
        alike(one, other) || self.global.is_some() && without_own(one) && without_own(other)
    }

    /// Users that may be created per second in the long run; `None` without a limit.
    pub fn creates_per_second(&self) -> Option<f64> {
        self.per_second_of(Group::UserWrites)
    }
}

impl LimitPlan {
    /// The plan to keep to where the tenant's headers name a smaller bucket than this plan has, given
    /// the sizes that they name for groups. Headers tell a bucket's size and not its refill (FACTS
    /// §2.4), so it is `settings`, the plan that the settings name, where it has buckets of all these
    /// sizes; else the published plan that has them, of several the slowest; where none has them,
    /// this plan's refill in proportion. `None` where no bucket is smaller than planned, and under a
    /// plan without limits.
    pub fn as_named(&self, sizes: &[(Group, u32)], settings: &LimitPlan) -> Option<LimitPlan> {
        let size_of = |plan: &LimitPlan, group| plan.way(group).map(|bucket| bucket.burst).min();
        let share = |&(group, size): &(Group, u32)| {
            let own = size_of(self, group).filter(|own| size > 0 && size < *own)?;
            Some((size, f64::from(size) / f64::from(own)))
        };
        let (size, share) = sizes.iter().filter_map(share).min_by(|(_, a), (_, b)| a.total_cmp(b))?;
        // With these buckets, and no faster than what is asked for.
        let fits = |plan: &LimitPlan| {
            let slower = |group: Group| plan.per_second_of(group) <= self.per_second_of(group);
            sizes.iter().all(|&(group, size)| size_of(plan, group) == Some(size) && slower(group))
        };
        if fits(settings) {
            return Some(settings.clone());
        }
        let published = NAMES.iter().filter_map(|name| name.parse::<LimitPlan>().ok());
        let of_these_sizes = published.filter(fits);
        let slowest = |plan: &LimitPlan| {
            let rates = sizes.iter().filter_map(|(group, _)| plan.per_second_of(*group));
            rates.fold(f64::INFINITY, f64::min)
        };
        of_these_sizes.min_by(|a, b| slowest(a).total_cmp(&slowest(b))).or_else(|| {
            let own = sizes.iter().filter_map(|(group, _)| self.per_second_of(*group));
            let rate = own.fold(f64::INFINITY, f64::min) * share;
            format!("custom:{size}:{}", rate.floor().max(1.0)).parse().ok()
        })
    }
}

impl fmt::Display for LimitPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl FromStr for LimitPlan {
    type Err = UnknownPlan;

    fn from_str(name: &str) -> Result<Self, UnknownPlan> {
        let global = |burst, rate| Ok(LimitPlan::global(name, Some(Bucket::per_second(burst, rate))));
        match name {
            "off" => Ok(LimitPlan::off()),
            "free" => global(2, 2),
            "essentials" | "professional" => Ok(LimitPlan {
                user_writes: Some(Bucket::per_minute(20, 200)),
                user_reads: Some(Bucket::per_minute(40, 500)),
                rest: Some(Bucket::per_minute(10, 150)),
                ..LimitPlan::global(name, None)
            }),
            "enterprise" => global(50, 16),
            "enterprise-dev" => global(10, 2),
            "private-20" => global(20, 20),
            "private-100" => global(50, 50),
            "private-500" => global(250, 250),
            "private-1500" => global(750, 750),
            "private-3000" => global(1_500, 1_500),
            "private-6000" => global(3_000, 3_000),
            "private-10000" => global(5_000, 5_000),
            _ => {
                let figures = name.strip_prefix("custom:").and_then(|rest| rest.split_once(':'));
                match figures.map(|(burst, rate)| (burst.parse::<u32>(), rate.parse::<u32>())) {
                    Some((Ok(burst @ 1..=100_000), Ok(rate @ 1..=100_000))) => global(burst, rate),
                    _ => Err(UnknownPlan(name.to_owned())),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_name_is_a_plan_and_others_are_refused_with_the_list() {
        for name in NAMES.iter().filter(|n| !n.starts_with("custom")) {
            assert_eq!(&name.parse::<LimitPlan>().unwrap().name(), name);
        }
        for wrong in ["", "gold", "custom", "custom:0:1", "custom:1", "custom:x:1", "OFF"] {
            let error = wrong.parse::<LimitPlan>().unwrap_err().to_string();
            assert!(error.contains("private-500"), "{error}");
            let says_figures = error.contains("from 1 to 100000");
            assert_eq!(says_figures, wrong.starts_with("custom:"), "{error}");
        }
    }

    #[test]
    fn a_smaller_bucket_names_the_plan_that_has_it() {
        let named = |plan: &str, sizes: &[(Group, u32)]| {
            let named = plan.parse::<LimitPlan>().unwrap().as_named(sizes, &LimitPlan::off());
            named.map(|plan| plan.name().to_owned())
        };
        let writes = |plan, size| named(plan, &[(Group::UserWrites, size)]);
        assert_eq!(writes("private-500", 2).as_deref(), Some("free"));
        assert_eq!(writes("private-500", 10).as_deref(), Some("enterprise-dev"));
        assert_eq!(writes("private-500", 20).as_deref(), Some("essentials"), "slower than private-20");
        assert_eq!(named("private-500", &[(Group::UserReads, 40)]).as_deref(), Some("essentials"));
        assert_eq!(writes("private-500", 50).as_deref(), Some("enterprise"), "slower than private-100");
        assert_eq!(writes("private-500", 125).as_deref(), Some("custom:125:125"));
        assert_eq!(writes("custom:10:1", 3).as_deref(), Some("custom:3:1"), "never nothing");
        for (plan, size) in [("private-500", 250), ("free", 250), ("free", 2), ("off", 2), ("free", 0)] {
            assert_eq!(writes(plan, size), None, "{plan} {size}");
        }
    }

    #[test]
    fn the_sizes_of_several_groups_name_one_plan() {
        let named = |sizes: &[(Group, u32)]| {
            let named = "private-500".parse::<LimitPlan>().unwrap().as_named(sizes, &LimitPlan::off());
            named.map(|plan| plan.name().to_owned())
        };
        let (writes, reads) = (|size| (Group::UserWrites, size), |size| (Group::UserReads, size));
        assert_eq!(named(&[writes(20), reads(20)]).as_deref(), Some("private-20"));
        assert_eq!(named(&[writes(20), reads(40), (Group::Rest, 10)]).as_deref(), Some("essentials"));
        assert_eq!(named(&[writes(20), reads(50)]).as_deref(), Some("custom:20:20"), "no plan has both");
        assert_eq!(named(&[writes(250), reads(250)]), None);
        assert_eq!(named(&[]), None);
    }

    #[test]
    fn groups_share_buckets_where_neither_has_one_of_its_own() {
        let share = |name: &str, one, other| name.parse::<LimitPlan>().unwrap().share_buckets(one, other);
        assert!(share("private-100", Group::UserWrites, Group::ReadBack));
        assert!(!share("essentials", Group::UserWrites, Group::ReadBack));
        assert!(share("essentials", Group::UserReads, Group::ReadBack));
        assert!(!share("off", Group::UserWrites, Group::ReadBack), "nothing is shared");
    }

    #[test]
    fn creation_goes_at_the_narrower_bucket() {
        let rate = |name: &str| name.parse::<LimitPlan>().unwrap().creates_per_second();
        assert_eq!(rate("off"), None);
        assert_eq!(rate("enterprise"), Some(16.0));
        assert_eq!(rate("custom:5:40"), Some(40.0));
        assert!((rate("essentials").unwrap() - 200.0 / 60.0).abs() < 1e-9);
    }
}
