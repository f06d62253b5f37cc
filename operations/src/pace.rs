//! How fast a run goes, and about how long it still takes.
//!
//! A user is two steps: it is made, and it is read back. Both share the tenant's limit on
//! most plans, so what is left is counted in steps. Rejected: users left by users a second,
//! which promises the end when the second half begins.

use std::{collections::VecDeque, time::Duration};

use ferry_domain::{RunState, RunView};
use time::OffsetDateTime;

use crate::units;

/// What is looked at to say how fast it goes now.
const WINDOW: Duration = Duration::from_secs(30);
/// A shorter look says too little.
const LEAST: Duration = Duration::from_secs(5);

/// Steps that were done and that are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Steps {
    /// Users that were sent and have an end.
    settled: i64,
    done: i64,
    left: i64,
}

impl Steps {
    fn of(run: &RunView) -> Self {
        let sums = &run.tally;
        let read = run.verified + run.discrepancies;
        let unread = (sums.created + sums.adopted - read).max(0);
        let settled = sums.created + sums.adopted + sums.conflict;
        Steps { settled, done: settled + read, left: 2 * sums.pending + unread }
    }
}

/// A speed, and what is left at it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// Users made or adopted in a second.
    pub users_per_second: f64,
    /// Until everybody is read back, if it goes on like this; `None` while nothing moves.
    pub left: Option<Duration>,
}

impl Speed {
    fn of(from: Steps, to: Steps, time: Duration) -> Self {
        let seconds = time.as_secs_f64();
        let rate = |before: i64, after: i64| (after - before).max(0) as f64 / seconds;
        let steps = rate(from.done, to.done);
        let left = (steps > 0.0).then(|| Duration::from_secs_f64((to.left as f64 / steps).min(1e9)));
        Speed { users_per_second: rate(from.settled, to.settled), left }
    }

    /// `12.3 users/s, about 4 min left`; the time left alone where nobody is made any more.
    pub fn told(&self) -> Option<String> {
        let speed = (self.users_per_second > 0.0).then(|| format!("{:.1} users/s", self.users_per_second));
        let left = self.left.map(|left| format!("about {} left", units::rounded(left)));
        match (speed, left) {
            (Some(speed), Some(left)) => Some(format!("{speed}, {left}")),
            (speed, left) => speed.or(left),
        }
    }
}

/// The speed of a run that is watched: that of the last half minute.
#[derive(Debug, Default)]
pub struct Pace(VecDeque<(Duration, Steps)>);

impl Pace {
    /// Takes a look into account; `at` is the time since watching began.
    pub fn seen(&mut self, at: Duration, run: &RunView) {
        self.0.push_back((at, Steps::of(run)));
        while self.0.get(1).is_some_and(|(second, _)| at.saturating_sub(*second) >= WINDOW) {
            self.0.pop_front();
        }
    }

    /// How fast it goes; `None` while too little was seen, or nothing can move.
    pub fn speed(&self, run: &RunView) -> Option<Speed> {
        let ((from, before), (to, now)) = (self.0.front()?, self.0.back()?);
        let time = to.saturating_sub(*from);
        (run.state == RunState::Running && time >= LEAST).then(|| Speed::of(*before, *now, time))
    }
}

/// The speed of a run since it was started: for one look. A later round counts from the
/// first start as well, so it has none.
pub fn average(run: &RunView, now: OffsetDateTime) -> Option<Speed> {
    let time = elapsed(run, now)?;
    let nothing = Steps { settled: 0, done: 0, left: 0 };
    (run.state == RunState::Running && run.round == 1 && time >= LEAST)
        .then(|| Speed::of(nothing, Steps::of(run), time))
}

/// From the start of a run to its end, or until now.
pub fn elapsed(run: &RunView, now: OffsetDateTime) -> Option<Duration> {
    let end = run.sealed_at.filter(|_| !run.state.is_active()).unwrap_or(now);
    (end - run.started_at?).try_into().ok()
}

#[cfg(test)]
mod tests {
    use ferry_domain::Tally;

    use super::*;
    use crate::views::tests::run_view;

    fn run(created: i64, verified: i64, pending: i64) -> RunView {
        let tally = Tally { source: created + pending, created, pending, ..Tally::default() };
        RunView { tally, verified, ..run_view(RunState::Running) }
    }

    #[test]
    fn the_time_left_counts_reading_back_as_well() {
        let mut pace = Pace::default();
        pace.seen(Duration::ZERO, &run(0, 0, 100));
        assert_eq!(pace.speed(&run(0, 0, 100)), None, "one look says nothing");
        let now = run(20, 0, 80);
        pace.seen(Duration::from_secs(10), &now);
        let speed = pace.speed(&now).unwrap();
        assert_eq!((speed.users_per_second, speed.left), (2.0, Some(Duration::from_secs(90))));
        assert_eq!(speed.told().as_deref(), Some("2.0 users/s, about 90 s left"));
        assert_eq!(pace.speed(&RunView { state: RunState::Paused, ..now }), None);
    }

    #[test]
    fn only_the_last_half_minute_counts() {
        let mut pace = Pace::default();
        for (at, created) in [(0, 0), (40, 4_000), (71, 4_031)] {
            pace.seen(Duration::from_secs(at), &run(created, 0, 1_000));
        }
        let speed = pace.speed(&run(4_031, 0, 1_000)).unwrap();
        assert_eq!(speed.users_per_second, 1.0);
    }

    #[test]
    fn a_run_in_which_nothing_moves_promises_no_end() {
        let mut pace = Pace::default();
        let run = run(20, 0, 80);
        pace.seen(Duration::ZERO, &run);
        pace.seen(Duration::from_secs(10), &run);
        let speed = pace.speed(&run).unwrap();
        assert_eq!((speed.left, speed.told()), (None, None));
    }

    #[test]
    fn one_look_shows_the_average_since_the_start() {
        let begun = OffsetDateTime::UNIX_EPOCH;
        let now = begun + Duration::from_secs(20);
        let run = RunView { started_at: Some(begun), ..run(20, 20, 40) };
        let speed = average(&run, now).unwrap();
        assert_eq!((speed.users_per_second, speed.left), (1.0, Some(Duration::from_secs(40))));
        assert_eq!(average(&RunView { round: 2, ..run.clone() }, now), None);
        assert_eq!(elapsed(&run, now), Some(Duration::from_secs(20)));
        let sealed_at = Some(begun + Duration::from_secs(7));
        let sealed = RunView { state: RunState::Sealed, sealed_at, ..run };
        assert_eq!(elapsed(&sealed, now), Some(Duration::from_secs(7)));
    }
}
