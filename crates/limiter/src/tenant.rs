//! The tenant's own limit counts: a plan that is larger than what its headers name is not kept.
//!
//! Operators name a plan, and may name the wrong one. Under a plan of 500 a second on a tenant
//! that allows two, 429s lowered the rate, but never below a share of the wrong plan, and each
//! cost a pause: 0.3 users a second came through. The headers of each answer name the size of
//! the tenant's buckets, so the plan that has them is kept instead, until they name larger ones.
//! Groups may have buckets of their own, and one size may fit two plans: what all groups' answers
//! name together decides, so that the plan does not change with each answer.
//!
//! Around any limiter, since all of it is a matter of which plan that one is told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ferry_domain::{
    limits::LimitPlan,
    ports::{Group, Limiter, LimiterFigures, Observed, Waiting},
};

/// Number of a group's answers in a row that have to name the same size: a single one may come
/// from a cache or a proxy.
const ENOUGH: u32 = 3;

/// A [`Limiter`] that keeps to the smaller of the plan it is told and the one that the
/// tenant's headers name.
pub struct TenantLimiter {
    inner: Arc<dyn Limiter>,
    /// What is known of the tenant: a person may ask for more, and headers do not tell a refill.
    settings: LimitPlan,
    state: Mutex<State>,
}

struct State {
    /// What settings or a person ask for.
    asked: LimitPlan,
    /// What is kept.
    kept: LimitPlan,
    /// What the last answers of each group named.
    sizes: Vec<Size>,
}

/// The size of a bucket, as answers named it.
struct Size {
    group: Group,
    /// What the last answer named, and how many in a row.
    last: (u32, u32),
    /// The last one that was named often enough.
    sure: Option<u32>,
}

impl TenantLimiter {
    /// Around a limiter that keeps to this plan, the settings' own.
    pub fn new(inner: Arc<dyn Limiter>, plan: &LimitPlan) -> TenantLimiter {
        TenantLimiter { inner, settings: plan.clone(), state: Mutex::new(State::of(plan)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn of(plan: &LimitPlan) -> State {
        State { asked: plan.clone(), kept: plan.clone(), sizes: Vec::new() }
    }

    /// Takes in what an answer named; the plan to keep from now on, where that changes.
    fn note(&mut self, group: Group, size: u32, settings: &LimitPlan) -> Option<LimitPlan> {
        // Other endpoints have several buckets among them, and none of those is the users'.
        if group == Group::Rest {
            return None;
        }
        // Both take from the same bucket.
        let group = if group == Group::ReadBack { Group::UserReads } else { group };
        let place = self.sizes.iter().position(|known| known.group == group).unwrap_or_else(|| {
            self.sizes.push(Size { group, last: (size, 0), sure: None });
            self.sizes.len() - 1
        });
        let known = &mut self.sizes[place]; // it was found or pushed just now
        let before = if known.last.0 == size { known.last.1 } else { 0 };
        known.last = (size, before.saturating_add(1));
        if known.last.1 < ENOUGH || known.sure == Some(size) {
            return None;
        }
        // The tenant has another plan now: what the other groups' answers named is of the old one.
        if known.sure.replace(size).is_some() {
            self.sizes.retain(|known| known.group == group);
        }
        let sure: Vec<(Group, u32)> =
            self.sizes.iter().filter_map(|known| Some((known.group, known.sure?))).collect();
        let wanted = self.asked.as_named(&sure, settings).unwrap_or_else(|| self.asked.clone());
        (wanted != self.kept).then(|| {
            self.kept = wanted.clone();
            wanted
        })
    }

    /// The plan that the last answers name, also where they are too few to keep it.
    fn named(&self, settings: &LimitPlan) -> Option<LimitPlan> {
        let last: Vec<(Group, u32)> = self.sizes.iter().map(|known| (known.group, known.last.0)).collect();
        self.asked.as_named(&last, settings)
    }
}

#[async_trait]
impl Limiter for TenantLimiter {
    async fn acquire(&self, group: Group) {
        self.inner.acquire(group).await;
    }

    fn observe(&self, group: Group, observed: Observed) {
        let changed = {
            let mut state = self.state();
            state
                .note(group, observed.limit, &self.settings)
                .map(|kept| (kept, state.asked.name().to_owned()))
        };
        if let Some((kept, asked)) = changed {
            if kept.name() == asked {
                tracing::info!(plan = asked, "the tenant allows what the plan says again");
            } else if kept == self.settings {
                tracing::warn!(
                    bucket = observed.limit,
                    asked,
                    kept = kept.name(),
                    "the tenant's headers name a smaller limit than was ordered: that of the settings is kept"
                );
            } else {
                tracing::warn!(
                    bucket = observed.limit,
                    plan = asked,
                    kept = kept.name(),
                    "the tenant's headers name a smaller limit than the plan: it is kept. Correct AUTH0_PLAN"
                );
            }
            self.inner.set_plan(&kept);
        }
        self.inner.observe(group, observed);
    }

    fn throttled(&self, group: Group, retry_after: Option<Duration>) {
        self.inner.throttled(group, retry_after);
    }

    fn waiting(&self) -> Option<Waiting> {
        self.inner.waiting()
    }

    fn set_plan(&self, plan: &LimitPlan) {
        {
            let mut state = self.state();
            if state.asked == *plan {
                return; // what the headers name of it is known
            }
            *state = State::of(plan);
        }
        self.inner.set_plan(plan);
    }

    fn figures(&self) -> LimiterFigures {
        let state = self.state();
        let kept = (state.kept != state.asked).then(|| state.kept.clone());
        LimiterFigures { named: state.named(&self.settings), kept, ..self.inner.figures() }
    }

    async fn give_back(&self) {
        self.inner.give_back().await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::LocalLimiter;

    fn plan(name: &str) -> LimitPlan {
        name.parse().unwrap()
    }

    fn limiter(name: &str) -> TenantLimiter {
        TenantLimiter::new(Arc::new(LocalLimiter::new(&plan(name))), &plan(name))
    }

    fn allowed(limiter: &TenantLimiter) -> Option<f64> {
        limiter.figures().groups[0].allowed_per_second
    }

    fn answers(limiter: &TenantLimiter, group: Group, limit: u32, count: u32) {
        (0..count).for_each(|_| limiter.observe(group, Observed { limit, remaining: limit }));
    }

    #[tokio::test]
    async fn a_smaller_limit_in_the_headers_becomes_the_pace() {
        let limiter = limiter("private-500");
        answers(&limiter, Group::UserReads, 2, 2);
        assert_eq!(allowed(&limiter), Some(250.0), "two answers may be a mistake");
        assert_eq!(
            (limiter.figures().named, limiter.figures().kept),
            (Some(plan("free")), None),
            "but they are told"
        );
        answers(&limiter, Group::ReadBack, 2, 1);
        assert_eq!((allowed(&limiter), limiter.figures().kept), (Some(2.0), Some(plan("free"))));
        answers(&limiter, Group::UserWrites, 2, 3);
        // The tenant was given a larger plan meanwhile.
        answers(&limiter, Group::UserWrites, 250, 3);
        assert_eq!((allowed(&limiter), limiter.figures().named), (Some(250.0), None));
    }

    #[tokio::test]
    async fn answers_of_two_groups_in_turn_name_one_plan() {
        let limiter = limiter("custom:40:80");
        let mut kept = Vec::new();
        for _ in 0..50 {
            answers(&limiter, Group::UserWrites, 20, 4);
            answers(&limiter, Group::ReadBack, 20, 4);
            kept.push(limiter.state().kept.name().to_owned());
        }
        assert!(kept.iter().all(|name| name == "private-20"), "{kept:?}");
        answers(&limiter, Group::UserReads, 3, 1);
        assert_eq!(allowed(&limiter), Some(20.0), "one answer may be a mistake");
    }

    #[tokio::test]
    async fn what_429s_taught_under_a_wrong_plan_is_forgotten() {
        let limiter = limiter("private-500");
        limiter.throttled(Group::UserWrites, Some(Duration::from_millis(100)));
        assert!(limiter.figures().factor < 1.0);
        answers(&limiter, Group::UserWrites, 2, 3);
        assert_eq!(allowed(&limiter), Some(2.0));
        limiter.throttled(Group::UserWrites, Some(Duration::from_millis(100)));
        limiter.set_plan(&plan("enterprise"));
        assert_eq!(limiter.figures().factor, 1.0, "a person's limit starts clean");
    }

    #[tokio::test]
    async fn a_plan_below_the_tenants_limit_stays_what_it_is() {
        let small = limiter("free");
        answers(&small, Group::UserWrites, 250, 10);
        assert_eq!((allowed(&small), small.figures().named), (Some(2.0), None));
        let off = limiter("off");
        answers(&off, Group::UserWrites, 2, 10);
        assert_eq!(allowed(&off), None, "whoever asks for no limit gets none");
    }

    #[tokio::test]
    async fn buckets_of_other_endpoints_say_nothing_of_the_users() {
        let limiter = limiter("essentials");
        answers(&limiter, Group::Rest, 5, 10);
        assert_eq!(limiter.figures().named, None);
        assert_eq!(limiter.state().kept, plan("essentials"));
    }

    /// Two published plans have a bucket of 50, and one of them allows a third of the other.
    #[tokio::test]
    async fn an_order_for_more_than_the_tenant_has_keeps_the_pace_of_the_settings() {
        let limiter = limiter("private-100");
        for order in ["private-500", "custom:60:60"] {
            limiter.set_plan(&plan(order));
            answers(&limiter, Group::UserWrites, 50, 3);
            assert_eq!((allowed(&limiter), limiter.figures().named), (Some(50.0), Some(plan("private-100"))));
        }
        limiter.set_plan(&plan("custom:60:5"));
        answers(&limiter, Group::UserWrites, 50, 3);
        assert_eq!(allowed(&limiter), Some(4.0), "a person's slower pace stays slow");
        limiter.set_plan(&plan("private-100"));
        answers(&limiter, Group::UserWrites, 50, 3);
        assert_eq!((allowed(&limiter), limiter.figures().named), (Some(50.0), None));
    }

    #[tokio::test]
    async fn the_same_plan_again_undoes_nothing() {
        let limiter = limiter("private-500");
        answers(&limiter, Group::UserWrites, 2, 3);
        limiter.set_plan(&plan("private-500")); // workers repeat what is ordered
        assert_eq!(allowed(&limiter), Some(2.0));
    }
}
