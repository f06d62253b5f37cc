//! The tenant's own limit counts: a plan that is larger than what its headers name is not kept.
//!
//! Operators name a plan, and may name the wrong one. Under a plan of 500 a second on a tenant
//! that allows two, 429s lowered the rate, but never below a share of the wrong plan, and each
//! cost a pause: 0.3 users a second came through. The headers of each answer name the size of
//! the tenant's bucket, so the plan that has it is kept instead, until they name a larger one.
//!
//! Around any limiter, since all of it is a matter of which plan that one is told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ferry_domain::{
    limits::LimitPlan,
    ports::{Group, Limiter, LimiterFigures, Observed, Waiting},
};

/// Number of answers in a row that have to name the same limit: a single one may come from a
/// cache or a proxy.
const ENOUGH: u32 = 3;

/// A [`Limiter`] that keeps to the smaller of the plan it is told and the one that the
/// tenant's headers name.
pub struct TenantLimiter {
    inner: Arc<dyn Limiter>,
    state: Mutex<State>,
}

struct State {
    /// What settings or a person ask for.
    asked: LimitPlan,
    /// What is kept.
    kept: LimitPlan,
    /// What the last answer named; `None` where that is the plan that is asked for.
    named: Option<LimitPlan>,
    /// Answers in a row that named it.
    answers: u32,
}

impl TenantLimiter {
    /// Around a limiter that keeps to this plan.
    pub fn new(inner: Arc<dyn Limiter>, plan: &LimitPlan) -> TenantLimiter {
        let state = State { asked: plan.clone(), kept: plan.clone(), named: None, answers: 0 };
        TenantLimiter { inner, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes in what an answer named; the plan to keep from now on, where that changes.
    fn note(&mut self, group: Group, size: u32) -> Option<LimitPlan> {
        let named = self.asked.as_named(group, size);
        if self.named != named {
            (self.named, self.answers) = (named, 0);
        }
        self.answers = self.answers.saturating_add(1);
        let wanted = self.named.as_ref().unwrap_or(&self.asked);
        if self.answers < ENOUGH || *wanted == self.kept {
            return None;
        }
        self.kept = wanted.clone();
        Some(self.kept.clone())
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
            state.note(group, observed.limit).map(|kept| (kept, state.asked.name().to_owned()))
        };
        if let Some((kept, asked)) = changed {
            if kept.name() == asked {
                tracing::info!(plan = asked, "the tenant allows what the plan says again");
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
            *state = State { asked: plan.clone(), kept: plan.clone(), named: None, answers: 0 };
        }
        self.inner.set_plan(plan);
    }

    fn figures(&self) -> LimiterFigures {
        LimiterFigures { named: self.state().named.clone(), ..self.inner.figures() }
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
        assert_eq!(limiter.figures().named, Some(plan("free")), "but they are told");
        answers(&limiter, Group::UserWrites, 2, 1);
        assert_eq!(allowed(&limiter), Some(2.0));
        // The tenant was given a larger plan meanwhile.
        answers(&limiter, Group::UserWrites, 250, 3);
        assert_eq!((allowed(&limiter), limiter.figures().named), (Some(250.0), None));
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
    async fn the_same_plan_again_undoes_nothing() {
        let limiter = limiter("private-500");
        answers(&limiter, Group::UserWrites, 2, 3);
        limiter.set_plan(&plan("private-500")); // workers repeat what is ordered
        assert_eq!(allowed(&limiter), Some(2.0));
    }
}
