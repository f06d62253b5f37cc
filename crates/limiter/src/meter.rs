//! How much of the limit was used lately, from totals that are looked at now and then.

use std::{collections::VecDeque, time::Duration};

use ferry_domain::{
    limits::LimitPlan,
    ports::{Group, Used},
};

/// Requests in the order of [`Group::ALL`].
pub(crate) type Totals = [u64; 4];

/// What is looked at.
const SPAN: Duration = Duration::from_secs(5);
/// A shorter look says too little.
const LEAST: Duration = Duration::from_secs(1);
/// Looks that are closer than this are one.
const GRAIN: Duration = Duration::from_millis(250);

/// Totals at moments of the last seconds.
#[derive(Debug, Default)]
pub(crate) struct Meter(VecDeque<(Duration, Totals)>);

impl Meter {
    /// Takes a look into account. Totals that fell belong to a new count, and before a long time without a
    /// look was another run.
    pub(crate) fn note(&mut self, now: Duration, totals: Totals) {
        let fell = |last: &Totals| last.iter().zip(&totals).any(|(last, total)| total < last);
        if self.0.back().is_some_and(|(at, last)| fell(last) || now.saturating_sub(*at) >= SPAN) {
            self.0.clear();
        }
        if self.0.len() > 1 && now.saturating_sub(self.0[self.0.len() - 2].0) < GRAIN {
            self.0.pop_back();
        }
        self.0.push_back((now, totals));
        while self.0.get(1).is_some_and(|(second, _)| now.saturating_sub(*second) >= SPAN) {
            self.0.pop_front();
        }
    }

    /// What was used of the buckets that a group takes from, of which `allowed` is at present;
    /// `None` where too little was seen.
    pub(crate) fn used(&self, of: Group, plan: &LimitPlan, allowed: Option<f64>) -> Option<Used> {
        let ((from, before), (to, after)) = (self.0.get(self.idle(allowed))?, self.0.back()?);
        let time = to.saturating_sub(*from);
        if time < LEAST {
            return None;
        }
        let mut used = Used { moving: 0.0, reading_back: 0.0 };
        for group in Group::ALL.into_iter().filter(|group| plan.share_buckets(of, *group)) {
            let sent = after[group as usize] - before[group as usize];
            let per_second = sent as f64 / time.as_secs_f64();
            match group {
                Group::ReadBack => used.reading_back += per_second,
                _ => used.moving += per_second,
            }
        }
        Some(used)
    }

    /// Looks at the begin in which nobody sent anything, for longer than the limit makes anybody
    /// wait: whoever begins after that does not use the limit less.
    fn idle(&self, allowed: Option<f64>) -> usize {
        let between_two = allowed.filter(|rate| *rate > 0.0).map_or(0.0, |rate| (2.0 / rate).min(1e9));
        let longest = Duration::from_secs_f64(between_two).max(LEAST);
        let Some((begin, first)) = self.0.front() else { return 0 };
        let idle = self.0.iter().take_while(|(_, totals)| totals == first).count() - 1;
        if self.0[idle].0.saturating_sub(*begin) >= longest { idle } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_last_seconds_count_and_only_what_takes_from_the_same_bucket() {
        let (shared, apart) = ("enterprise".parse().unwrap(), "essentials".parse().unwrap());
        let mut meter = Meter::default();
        meter.note(Duration::ZERO, [0, 0, 0, 0]);
        assert_eq!(meter.used(Group::UserWrites, &shared, None), None, "one look says nothing");
        for second in 1..=20 {
            meter.note(Duration::from_secs(second), [second * 10, second, 0, second * 5]);
        }
        let used = |of, plan| meter.used(of, plan, Some(10.0)).unwrap();
        assert_eq!(used(Group::UserWrites, &shared), Used { moving: 11.0, reading_back: 5.0 });
        assert_eq!(used(Group::UserWrites, &apart), Used { moving: 10.0, reading_back: 0.0 });
        assert_eq!(used(Group::ReadBack, &apart), Used { moving: 1.0, reading_back: 5.0 });
        assert!(meter.0.len() <= 7, "nothing is kept that is not looked at");
        meter.note(Duration::from_secs(21), [1, 0, 0, 0]);
        assert_eq!(meter.used(Group::Rest, &shared, None), None, "another count began");
    }

    #[test]
    fn what_a_run_uses_is_told_truly_soon_after_it_began_though_nobody_sent_anything_before() {
        let plan = "enterprise".parse().unwrap();
        // A process alone is looked at while it waits only, one of many every second.
        for looks_while_idle in [false, true] {
            let mut meter = Meter::default();
            let mut used = Vec::new();
            for quarter in 0..400u64 {
                // 10 a second for 20 s, then nobody for a minute, then 10 a second again.
                let sent = (quarter.min(80) + quarter.saturating_sub(320)) * 5 / 2;
                let idle = (81..320).contains(&quarter);
                if !idle || looks_while_idle && quarter % 4 == 0 {
                    meter.note(Duration::from_millis(quarter * 250), [sent, 0, 0, 0]);
                }
                if quarter > 320 {
                    used.extend(meter.used(Group::UserWrites, &plan, Some(10.0)));
                }
            }
            assert!(used.len() > 70, "it is told from the second second on: {}", used.len());
            assert!(used.iter().all(|used| (8.0..=12.0).contains(&used.moving)), "{used:?}");
        }
    }

    #[test]
    fn a_slow_limit_makes_nobody_idle() {
        let plan = "custom:1:1".parse().unwrap();
        let mut meter = Meter::default();
        for quarter in 0..80u64 {
            meter.note(Duration::from_millis(quarter * 250), [quarter / 8, 0, 0, 0]);
        }
        let used = meter.used(Group::UserWrites, &plan, Some(0.5)).unwrap();
        assert!((0.3..=0.7).contains(&used.moving), "{used:?}");
    }
}
