//! The least time that a run takes under a plan of limits: creating its users, and reading them back.

use std::{fmt, time::Duration};

use ferry_domain::{
    estimate::Estimate,
    limits::{Group, LimitPlan},
};

use crate::{rate, units};

/// What a run costs under a plan. Its text is a sentence for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost<'a> {
    plan: &'a LimitPlan,
    estimate: Estimate,
}

impl<'a> Cost<'a> {
    /// For this number of users to create; `None` without a limit.
    pub fn of(users: i64, plan: &'a LimitPlan) -> Option<Cost<'a>> {
        Some(Cost { plan, estimate: Estimate::of(users.try_into().unwrap_or(0), plan)? })
    }
}

/// The least time of reading each of these users twice under a plan, for people; `None` without a
/// limit.
pub fn asking(users: i64, plan: &LimitPlan) -> Option<String> {
    let rate = plan.per_second_of(Group::UserReads)?;
    let took = Duration::from_secs_f64(2.0 * users.max(0) as f64 / rate);
    Some(format!("{} under {plan}", units::rounded(took)))
}

impl fmt::Display for Cost<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let estimate = &self.estimate;
        let (creating, more) = (units::rounded(estimate.creating()), units::rounded(estimate.reading_back()));
        let speed = rate::speed(self.plan).unwrap_or_default();
        write!(f, "Creating them takes at least {creating} under {} ({speed}), ", self.plan)?;
        match (estimate.shared, estimate.reading_back().is_zero()) {
            (true, _) => write!(f, "reading them back about {more} more: both share the limit."),
            (false, true) => f.write_str("and they are read back meanwhile, under a limit of its own."),
            (false, false) => write!(f, "reading them back about {more} more, under a limit of its own."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(users: i64, plan: &str) -> Option<String> {
        Cost::of(users, &plan.parse().unwrap()).map(|cost| cost.to_string())
    }

    #[test]
    fn reading_back_is_named_beside_creating() {
        assert_eq!(
            told(2_900, "private-100").as_deref(),
            Some(
                "Creating them takes at least 58 s under private-100 (50 new users per second), \
                 reading them back about 58 s more: both share the limit."
            )
        );
        let apart = told(2_000, "essentials").unwrap();
        assert!(apart.contains("at least 9 min") && apart.contains("read back meanwhile"), "{apart}");
        assert_eq!(told(10, "off"), None);
        let asked = |users, plan: &str| asking(users, &plan.parse().unwrap());
        assert_eq!(asked(2_900, "private-100").as_deref(), Some("116 s under private-100"));
        assert_eq!(asked(10, "off"), None);
    }
}
