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
/// "waiting for the limit: user writes, 16 requests/s allowed, 15.8 used: 9.8 creating, 6 reading back".
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Waiting {
    /// Whose requests wait.
    pub group: Group,
    /// How long the next request would wait.
    pub wait: Duration,
    /// What is allowed at present of the buckets that the group takes from, in requests per second, to
    /// all processes that share them; `None` where no limit is known and only a pause after a 429
    /// is waited out.
    pub per_second: Option<f64>,
    /// What was used of it lately; `None` while that is not known.
    pub used: Option<Used>,
}

/// What was used lately, in requests per second, by all processes that share the limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Used {
    /// By requests that move users.
    pub moving: f64,
    /// By those that read them back.
    pub reading_back: f64,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "waiting for the limit: {}", self.group)?;
        let Some(rate) = self.per_second else { return f.write_str(", after a 429") };
        write!(f, ", {} requests/s allowed", digits(rate))?;
        let Some(Used { moving, reading_back }) = self.used else { return Ok(()) };
        write!(f, ", {} used", digits(moving + reading_back))?;
        let shown = |rate: f64| digits(rate) != "0";
        if shown(moving) && shown(reading_back) {
            write!(f, ": {} creating, {} reading back", digits(moving), digits(reading_back))?;
        }
        Ok(())
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
    /// The plan that is kept instead of the one asked for, once enough answers named it.
    pub kept: Option<LimitPlan>,
    /// Answers with 429 since the rate was last the plan's, to all processes that share it as far
    /// as this one knows; 0 while `factor` is 1.
    pub slowed_by: u64,
    /// How the limit is kept while the shared store is of no help; `None` while it is.
    pub alone: Option<Alone>,
}

/// A process that keeps to a part of the limit, since it can't share it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alone {
    /// Its part of the plan's rate, above 0 up to 1.
    pub share: f64,
    /// Whether the store answers, and refuses what the limiter asks.
    pub refused: bool,
}

impl LimiterFigures {
    /// Which plan is kept instead of the one asked for, in words.
    pub fn kept_remark(&self) -> Option<String> {
        let plan = self.kept.as_ref()?;
        Some(format!("the tenant's answers name a smaller limit than was asked for, so {plan} is kept"))
    }

    /// Why the pace is not the plan's, in words: "slowed to 34 % after 398 answers 429".
    pub fn remark(&self) -> Option<String> {
        let percent = |share: f64| (share * 100.0).round() as u64;
        let slowed =
            Some(percent(self.factor)).filter(|percent| *percent < 100).map(|percent| match self.slowed_by {
                0 => format!("slowed to {percent} % after answers 429"),
                1 => format!("slowed to {percent} % after 1 answer 429"),
                answers => format!("slowed to {percent} % after {answers} answers 429"),
            });
        let alone = self.alone.map(|Alone { share, refused }| {
            let why = if refused { "refuses the limiter's script" } else { "does not answer the limiter" };
            format!("Redis {why}, so this worker keeps to {} % of the limit", percent(share).max(1))
        });
        let remarks: Vec<String> = alone.into_iter().chain(slowed).collect();
        (!remarks.is_empty()).then(|| remarks.join("; "))
    }
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
        let waiting = Waiting { group: Group::UserWrites, wait, per_second: Some(3.33), used: None };
        let said = |waiting: Waiting| waiting.to_string().split_off("waiting for the limit: ".len());
        assert_eq!(said(waiting), "user writes, 3.3 requests/s allowed");
        let used = |moving, reading_back| Some(Used { moving, reading_back });
        let both = Waiting { per_second: Some(16.0), used: used(9.8, 6.0), ..waiting };
        assert_eq!(said(both), "user writes, 16 requests/s allowed, 15.8 used: 9.8 creating, 6 reading back");
        let back = Waiting { group: Group::ReadBack, used: used(0.01, 15.9), ..both };
        assert_eq!(said(back), "user reads, 16 requests/s allowed, 15.9 used");
        let waiting = Waiting { group: Group::Rest, per_second: None, ..both };
        assert_eq!(said(waiting), "other requests, after a 429");
    }

    #[test]
    fn what_lowers_the_pace_is_said_while_it_does() {
        let of = |factor, slowed_by, alone| {
            LimiterFigures { factor, slowed_by, alone, ..LimiterFigures::default() }.remark()
        };
        assert_eq!(of(1.0, 0, None), None);
        assert_eq!(of(0.34, 398, None).as_deref(), Some("slowed to 34 % after 398 answers 429"));
        assert_eq!(of(0.98, 1, None).as_deref(), Some("slowed to 98 % after 1 answer 429"));
        let alone = |refused| Some(Alone { share: 0.1, refused });
        assert_eq!(
            of(1.0, 0, alone(true)).as_deref(),
            Some("Redis refuses the limiter's script, so this worker keeps to 10 % of the limit")
        );
        let kept = LimiterFigures { factor: 1.0, kept: "free".parse().ok(), ..LimiterFigures::default() };
        assert!(
            kept.kept_remark().unwrap().ends_with("so free is kept") && kept.remark().is_none(),
            "{kept:?}"
        );
        let both = of(0.8, 2, alone(false)).unwrap();
        assert!(
            both.contains("Redis does not answer the limiter") && both.ends_with("after 2 answers 429"),
            "{both}"
        );
    }
}
