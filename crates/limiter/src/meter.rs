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
    /// Takes a look into account. Totals that fell belong to a new count.
    pub(crate) fn note(&mut self, now: Duration, totals: Totals) {
        let fell = |last: &Totals| last.iter().zip(&totals).any(|(last, total)| total < last);
        if self.0.back().is_some_and(|(_, last)| fell(last)) {
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

    /// What was used of the buckets that a group takes from; `None` where too little was seen.
    pub(crate) fn used(&self, of: Group, plan: &LimitPlan) -> Option<Used> {
        let ((from, before), (to, after)) = (self.0.front()?, self.0.back()?);
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
        assert_eq!(meter.used(Group::UserWrites, &shared), None, "one look says nothing");
        for second in 1..=20 {
            meter.note(Duration::from_secs(second), [second * 10, second, 0, second * 5]);
        }
        let used = |of, plan| meter.used(of, plan).unwrap();
        assert_eq!(used(Group::UserWrites, &shared), Used { moving: 11.0, reading_back: 5.0 });
        assert_eq!(used(Group::UserWrites, &apart), Used { moving: 10.0, reading_back: 0.0 });
        assert_eq!(used(Group::ReadBack, &apart), Used { moving: 1.0, reading_back: 5.0 });
        assert!(meter.0.len() <= 7, "nothing is kept that is not looked at");
        meter.note(Duration::from_secs(21), [1, 0, 0, 0]);
        assert_eq!(meter.used(Group::Rest, &shared), None, "another count began");
    }
}
