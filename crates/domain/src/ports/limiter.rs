//! The port to the tenant's rate limit.

use std::{fmt, time::Duration};

use async_trait::async_trait;

use crate::limits::{Group, LimitPlan};

/// What an answer's headers said about a bucket (FACTS §2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// `x-ratelimit-limit`: size of the bucket.
    pub limit: u32,
    /// `x-ratelimit-remaining`: requests left in it.
    pub remaining: u32,
}

/// What the next request would wait for. Its text is for progress lines:
/// "waiting for the limit: user writes 3.3/s".
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Waiting {
    /// Whose requests wait.
    pub group: Group,
    /// How long the next request would wait.
    pub wait: Duration,
    /// What the group may use at present, in requests per minute, over all processes;
    /// `None` where no limit is known and only a pause after a 429 is waited out.
    pub per_minute: Option<f64>,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "waiting for the limit: {}", self.group)?;
        match self.per_minute {
            Some(rate) => write!(f, " {}/s", digits(rate / 60.0)),
            None => f.write_str(", after a 429"),
        }
    }
}

/// With a digit after the point only where it says something.
fn digits(rate: f64) -> String {
    let text = format!("{rate:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// One group's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GroupFigures {
    /// Permits given to callers since the start, by this process.
    pub granted: u64,
    /// What the group may use at present, in requests per second, over all processes;
    /// `None` without a limit.
    pub allowed_per_second: Option<f64>,
}

/// What a limiter counts, for metrics. Counters start at 0 and only rise.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LimiterFigures {
    /// In the order of [`Group::ALL`].
    pub groups: [GroupFigures; 4],
    /// 429s that this process was told of.
    pub throttled: u64,
    /// Share of the plan's rate that is used at present, above 0 up to 1.
    pub factor: f64,
    /// Seconds that callers have waited for permits, summed over callers.
    pub waited_seconds: f64,
    /// Callers that wait now.
    pub waiters: u64,
    /// Whether the shared store answers; `None` for a limiter that has none.
    pub shared_reachable: Option<bool>,
    /// Processes that share the limit as last seen, this one included; at least 1.
    pub processes: u64,
    /// Requests of others, as the server's headers told.
    pub foreign: u64,
    /// The plan that the tenant's headers name, where it is smaller than the one asked for.
    pub named: Option<LimitPlan>,
}

/// Gives permits for requests, in order of asking. Requests of [`Group::ReadBack`] come after all
/// others that take from the same bucket, but for a small share, so that they never stand still.
#[async_trait]
pub trait Limiter: Send + Sync {
    /// Waits until one request of the group may be sent.
    async fn acquire(&self, group: Group);

    /// Takes what an answer said into account.
    fn observe(&self, group: Group, observed: Observed);

    /// A 429 came back: all callers slow down. `retry_after` is what the server
    /// said about when to come back, if it said anything.
    fn throttled(&self, group: Group, retry_after: Option<Duration>);

    /// What the next request would wait for, for progress lines that say why they
    /// wait; `None` when it would not.
    fn waiting(&self) -> Option<Waiting>;

    /// Keeps to another plan from now on. What is left of the limit stays as it is:
    /// no fresh burst comes with it. What 429s taught under the old plan is forgotten, but
    /// for a pause that is under way.
    fn set_plan(&self, plan: &LimitPlan);

    /// The numbers at present.
    fn figures(&self) -> LimiterFigures;

    /// Gives permits back that were taken ahead and not used. To be called once, when
    /// the process stops; callers that acquire afterwards still get permits.
    async fn give_back(&self);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_said_in_words() {
        let wait = Duration::from_millis(300);
        let waiting = Waiting { group: Group::UserWrites, wait, per_minute: Some(199.7) };
        assert_eq!(waiting.to_string(), "waiting for the limit: user writes 3.3/s");
        let waiting = Waiting { group: Group::Rest, wait, per_minute: None };
        assert_eq!(waiting.to_string(), "waiting for the limit: other requests, after a 429");
    }
}
