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
/// A shorter look says too little: those of reading back count together when their batch is read.
const LEAST: Duration = Duration::from_secs(10);

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

/// Requests of the last half minute. Measured from one rise of the count to another, since a worker
/// tells of several requests at once: what was sent until the first rise began before anybody looked.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// The last count, and the looks at which it had risen.
    last: Option<i64>,
    rises: VecDeque<(Duration, i64)>,
    at: Duration,
}

impl Requests {
    pub(super) fn seen(&mut self, at: Duration, requests: i64, sending: bool) {
        if !sending {
            *self = Requests::default();
            return;
        }
        self.at = at;
        if self.last.replace(requests).is_some_and(|last| last < requests) {
            self.rises.push_back((at, requests));
        }
        while self.rises.get(1).is_some_and(|(second, _)| at.saturating_sub(*second) >= WINDOW) {
            self.rises.pop_front();
        }
    }

    pub(super) fn per_second(&self) -> Option<f64> {
        let ((from, before), (to, now)) = (self.rises.front()?, self.rises.back()?);
        // Where nothing is told for long, nothing is sent.
        let to = if self.at.saturating_sub(*to) < LEAST { *to } else { self.at };
        let time = to.saturating_sub(*from);
        (time >= LEAST).then(|| (now - before).max(0) as f64 / time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use ferry_domain::{RunState, Tally};

    use super::*;
    use crate::views::tests::run_view;

    /// What is said after each of these looks at a run that sends.
    fn said(looks: impl IntoIterator<Item = (u64, i64)>) -> Vec<Option<f64>> {
        let mut requests = Requests::default();
        let said = |(at, count)| {
            requests.seen(Duration::from_secs(at), count, true);
            requests.per_second()
        };
        looks.into_iter().map(said).collect()
    }

    #[test]
    fn requests_are_those_of_the_last_half_minute() {
        let looks = [(0, 0), (10, 1_000), (40, 1_060), (50, 1_080)];
        assert_eq!(said(looks), [None, None, Some(2.0), Some(2.0)], "one rise says nothing");
        let mut requests = Requests::default();
        looks.into_iter().for_each(|(at, count)| requests.seen(Duration::from_secs(at), count, true));
        requests.seen(Duration::from_secs(51), 1_080, false);
        assert_eq!(requests.per_second(), None, "a paused run sends nothing");
    }

    #[test]
    fn requests_that_are_told_a_batch_at_a_time_are_not_called_slow() {
        // Ten a second, told of every five seconds; nobody looked before the third second.
        let told = said((3..60).map(|at| (at, 50 * (at as i64 / 5))));
        let wrong: Vec<_> = told.iter().flatten().filter(|speed| **speed != 10.0).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        assert_eq!(told.iter().position(Option::is_some), Some(15 - 3));
    }

    #[test]
    fn requests_stop_when_nothing_is_told_of_them_any_more() {
        let sent = (0..=20).map(|at| (at, 10 * at as i64));
        let told = said(sent.chain((21..90).map(|at| (at, 200))));
        assert_eq!(told[20], Some(10.0));
        assert_eq!(told[29], Some(10.0), "a worker may tell of them later");
        assert!(told[30].unwrap() < 7.0, "{:?}", told[30]);
        assert_eq!(told.last().unwrap(), &Some(0.0));
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
