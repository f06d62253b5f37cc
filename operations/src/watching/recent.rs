//! How fast it went in the last moments.

use std::{collections::VecDeque, time::Duration};

use ferry_domain::RunView;

use crate::pace::counted;

/// Time that one value of the recent speeds is of.
pub const STEP: Duration = Duration::from_secs(2);
/// Number of recent speeds.
const STEPS: usize = 60;
/// What is looked at to say how many requests are sent.
const WINDOW: Duration = Duration::from_secs(30);
/// A shorter look says too little.
const LEAST: Duration = Duration::from_secs(5);

/// Speeds of late. A run that stands has them too: they show since when.
#[derive(Debug, Default)]
pub(super) struct Recent {
    speeds: VecDeque<f64>,
    before: Option<(Duration, i64)>,
}

impl Recent {
    pub(super) fn speeds(&self) -> Vec<f64> {
        self.speeds.iter().copied().collect()
    }

    pub(super) fn seen(&mut self, at: Duration, run: &RunView) {
        let made = counted(run).0.done;
        let Some((from, before)) = self.before else {
            self.before = Some((at, made));
            return;
        };
        let time = at.saturating_sub(from);
        if time < STEP {
            return;
        }
        // A step that nobody looked at, while the ledger was silent, has its share.
        let speed = (made - before).max(0) as f64 / time.as_secs_f64();
        for _ in 0..(time.as_secs() / STEP.as_secs()).min(STEPS as u64) {
            self.speeds.push_back(speed);
        }
        while self.speeds.len() > STEPS {
            self.speeds.pop_front();
        }
        self.before = Some((at, made));
    }
}

/// Requests of the last half minute.
#[derive(Debug, Default)]
pub(super) struct Requests(VecDeque<(Duration, i64)>);

impl Requests {
    pub(super) fn seen(&mut self, at: Duration, requests: i64, sending: bool) {
        if !sending {
            self.0.clear();
            return;
        }
        self.0.push_back((at, requests));
        while self.0.get(1).is_some_and(|(second, _)| at.saturating_sub(*second) >= WINDOW) {
            self.0.pop_front();
        }
    }

    pub(super) fn per_second(&self) -> Option<f64> {
        let ((from, before), (to, now)) = (self.0.front()?, self.0.back()?);
        let time = to.saturating_sub(*from);
        (time >= LEAST).then(|| (now - before).max(0) as f64 / time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use ferry_domain::{RunState, Tally};

    use super::*;
    use crate::views::tests::run_view;

    #[test]
    fn requests_are_those_of_the_last_half_minute() {
        let mut requests = Requests::default();
        requests.seen(Duration::ZERO, 0, true);
        assert_eq!(requests.per_second(), None, "one look says nothing");
        for (at, count) in [(10, 1_000), (40, 1_060), (50, 1_080)] {
            requests.seen(Duration::from_secs(at), count, true);
        }
        assert_eq!(requests.per_second(), Some(2.0));
        requests.seen(Duration::from_secs(51), 1_080, false);
        assert_eq!(requests.per_second(), None, "a paused run sends nothing");
    }

    #[test]
    fn recent_speeds_are_of_steps_of_one_length() {
        let mut recent = Recent::default();
        let mut seen = |at, created| {
            let run = RunView { tally: Tally { created, ..Tally::default() }, ..run_view(RunState::Running) };
            recent.seen(Duration::from_millis(at), &run);
            recent.speeds()
        };
        assert!(seen(0, 0).is_empty() && seen(1_500, 9).is_empty());
        assert_eq!(seen(2_000, 10), [5.0]);
        assert_eq!(seen(8_000, 16), [5.0, 1.0, 1.0, 1.0], "the ledger was silent for a while");
        assert_eq!(seen(500_000, 16), [0.0; STEPS]);
    }
}
