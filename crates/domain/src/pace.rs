//! How fast a run goes, and about how long it still takes.
//!
//! A user is two steps: it is made, and it is read back. Both share the tenant's limit on
//! most plans, so what is left is counted in steps. Rejected: users left by users a second,
//! which promises the end when the second half begins.
//!
//! Users count as read back when their whole batch is, so between two such moments nothing seems
//! to move. A time left by the speed of a window then grows and grows while users are read back as
//! they should be. So it is reckoned at these moments, and counts down between them.

mod pauses; // when a run was not to go on

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use time::OffsetDateTime;

pub use self::pauses::Pauses;
use crate::{
    ids::RunId,
    run::{RunState, RunView},
};

/// What is looked at to say how fast it goes now.
const WINDOW: Duration = Duration::from_secs(30);
/// A shorter look says too little.
const LEAST: Duration = Duration::from_secs(5);
/// Number of moves after a standstill before the standstill is left out of the speed: a run that moves
/// every few seconds only is slow.
const MOVES: usize = 5;
/// A shorter look at reading back says too little: batches that are read beside one another end together.
const LEAST_READING: Duration = Duration::from_secs(15);

/// Steps that were done and that are left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Steps {
    /// Users that were sent and have an end.
    settled: i64,
    /// Users that were read back.
    read: i64,
    done: i64,
    left: i64,
    /// Whether everybody who is sent was, and somebody is to be read back still.
    reading_back: bool,
}

impl Steps {
    fn of(run: &RunView) -> Self {
        let sums = &run.tally;
        let read = run.verified + run.discrepancies;
        let unread = (sums.created + sums.adopted - read).max(0);
        let settled = sums.created + sums.adopted + sums.conflict;
        Steps {
            settled,
            read,
            done: settled + read,
            left: 2 * sums.pending + unread,
            reading_back: sums.pending == 0 && unread > 0,
        }
    }

    /// In a second, from `before` on.
    fn per_second(self, before: Steps, time: Duration) -> f64 {
        (self.done - before.done).max(0) as f64 / time.as_secs_f64()
    }

    /// How long what is left takes.
    fn left_at(self, per_second: f64) -> Option<Duration> {
        (per_second > 0.0).then(|| Duration::from_secs_f64((self.left as f64 / per_second).min(1e9)))
    }
}

/// How many of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// How many are done.
    pub done: i64,
    /// How many there are.
    pub total: i64,
}

/// Users that have to be made, and those that have to be read back. Who was settled at planning is
/// no part of it, else a second run would begin half done.
pub fn counted(run: &RunView) -> (Counted, Counted) {
    let sums = &run.tally;
    let at_target = sums.created + sums.adopted;
    let made = at_target + sums.conflict;
    let read = run.verified + run.discrepancies;
    (Counted { done: made, total: made + sums.pending }, Counted { done: read, total: at_target })
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
        let users_per_second = (to.settled - from.settled).max(0) as f64 / time.as_secs_f64();
        Speed { users_per_second, left: to.left_at(to.per_second(from, time)) }
    }
}

/// The speed of a run that is watched: that of the last half minute.
#[derive(Debug, Default)]
pub struct Pace {
    looks: VecDeque<(Duration, Steps)>,
    reading: Option<Reading>,
}

impl Pace {
    /// Takes a look into account; `at` is the time since watching began. What was before a time in which the
    /// run did not go on says nothing of its speed.
    pub fn seen(&mut self, at: Duration, run: &RunView) {
        if run.state != RunState::Running {
            *self = Pace::default();
            return;
        }
        let (now, before) = (Steps::of(run), self.looks.back().copied());
        self.looks.push_back((at, now));
        while self.looks.get(1).is_some_and(|(second, _)| at.saturating_sub(*second) >= WINDOW) {
            self.looks.pop_front();
        }
        if !now.reading_back {
            self.leave_out_idle(now);
            self.leave_out_standstill();
        }
        self.reading = match self.reading.take() {
            _ if !now.reading_back => None,
            Some(reading) => Some(reading.after(at, now)),
            None => Some(Reading {
                began: at,
                from: now,
                begun_in_sight: before.is_some_and(|(_, before)| before.left > 0 && !before.reading_back),
                first: self.window().map(|(from, time)| now.per_second(from, time)),
                counted: (at, now),
            }),
        };
    }

    /// A run that begins late, for want of a worker, is not slow.
    fn leave_out_idle(&mut self, now: Steps) {
        let Some((begin, first)) = self.looks.front().copied().filter(|(_, first)| *first != now) else {
            return;
        };
        let idle = self.looks.iter().take_while(|(_, steps)| *steps == first).count() - 1;
        if self.looks[idle].0.saturating_sub(begin) >= LEAST {
            self.looks.drain(..idle);
        }
    }

    /// Nor is one that stood still, for want of the ledger, of Auth0 or of a worker: only what it does since counts.
    fn leave_out_standstill(&mut self) {
        let (mut still, mut moves, mut from) = (0, 0, None);
        for at in 1..self.looks.len() {
            let ((_, before), (time, steps)) = (self.looks[at - 1], self.looks[at]); // `at` is one of them
            if before == steps {
                continue;
            }
            moves += 1;
            if time.saturating_sub(self.looks[still].0) >= LEAST {
                (from, moves) = (Some(at), 0);
            }
            still = at;
        }
        if moves >= MOVES {
            self.looks.drain(..from.unwrap_or_default());
        }
    }

    /// Where the window begins, and how long it is; `None` where that says too little.
    fn window(&self) -> Option<(Steps, Duration)> {
        let ((from, before), (to, _)) = (self.looks.front()?, self.looks.back()?);
        let time = to.saturating_sub(*from);
        (time >= LEAST).then_some((*before, time))
    }

    /// How fast it goes; `None` while too little was seen, or nothing can move.
    pub fn speed(&self, run: &RunView) -> Option<Speed> {
        let (at, now) = self.looks.back()?;
        let (before, time) = self.window().filter(|_| run.state == RunState::Running)?;
        let speed = Speed::of(before, *now, time);
        Some(match &self.reading {
            // Who was made a moment ago says nothing of now.
            Some(reading) => Speed { users_per_second: 0.0, left: reading.left(*at) },
            None => speed,
        })
    }
}

/// Speeds of the runs of a ledger, which all are looked at together.
#[derive(Debug, Default)]
pub struct Paces(HashMap<RunId, Pace>);

impl Paces {
    /// Takes a look at these runs into account, and forgets all others. Returns how long each still
    /// takes, in the same order; `None` where that is not known. `all_stopped` is whether all sending is.
    pub fn left(&mut self, at: Duration, runs: &[&RunView], all_stopped: bool) -> Vec<Option<Duration>> {
        self.0.retain(|id, _| runs.iter().any(|run| run.id == *id));
        let left = |run: &&RunView| {
            let run = RunView { state: run.state.seen_by_holder(all_stopped), ..(*run).clone() };
            let pace = self.0.entry(run.id).or_default();
            pace.seen(at, &run);
            pace.speed(&run)?.left
        };
        runs.iter().map(left).collect()
    }
}

/// A run that only reads back.
#[derive(Clone, Copy, Debug)]
struct Reading {
    began: Duration,
    from: Steps,
    /// Else the first users that are counted were read before, too.
    begun_in_sight: bool,
    /// Steps in a second until it began, where that was seen.
    first: Option<f64>,
    /// The last time that the count of those read rose.
    counted: (Duration, Steps),
}

impl Reading {
    fn after(self, at: Duration, now: Steps) -> Self {
        match now.read > self.counted.1.read {
            false => self,
            true if self.begun_in_sight => Reading { counted: (at, now), ..self },
            true => Reading { began: at, from: now, begun_in_sight: true, counted: (at, now), ..self },
        }
    }

    /// From what was known when the count last rose, less the time since; `None` where that was
    /// wrong, or nothing is known.
    fn left(&self, at: Duration) -> Option<Duration> {
        let (counted, steps) = self.counted;
        let time = counted.saturating_sub(self.began);
        let measured = (time >= LEAST_READING).then(|| steps.per_second(self.from, time));
        let left = steps.left_at(measured.or(self.first)?)?;
        left.checked_sub(at.saturating_sub(counted)).filter(|left| !left.is_zero())
    }
}

/// The speed of a run since it was started, without its pauses: for one look. A later round counts from the
/// first start as well, so it has none; nor has a run that is not to go on now.
pub fn average(run: &RunView, pauses: &Pauses, now: OffsetDateTime) -> Option<Speed> {
    let worked = |to| worked(run, pauses, to).filter(|time| *time >= LEAST);
    if run.state != RunState::Running || run.round != 1 || pauses.is_now() {
        return None;
    }
    let (time, steps) = (worked(now)?, Steps::of(run));
    let speed = Speed::of(Steps::default(), steps, time);
    if !steps.reading_back {
        return Some(speed);
    }
    // As fast as they were made, which does not change while nobody counts as read back.
    let making = run.provisioned_at.and_then(worked);
    let left = making.and_then(|time| steps.left_at(steps.settled as f64 / time.as_secs_f64()));
    Some(Speed { left, ..speed })
}

/// From the start of a run to `to`, without its pauses.
fn worked(run: &RunView, pauses: &Pauses, to: OffsetDateTime) -> Option<Duration> {
    let begun = run.started_at?;
    Duration::try_from(to - begun).ok()?.checked_sub(pauses.within(begun, to)?)
}

/// From the start of a run to its end, or until now.
pub fn elapsed(run: &RunView, now: OffsetDateTime) -> Option<Duration> {
    (end(run, now) - run.started_at?).try_into().ok()
}

/// How much of that it was not to go on; `None` where that is not known.
pub fn paused(run: &RunView, pauses: &Pauses, now: OffsetDateTime) -> Option<Duration> {
    pauses.within(run.started_at?, end(run, now))
}

fn end(run: &RunView, now: OffsetDateTime) -> OffsetDateTime {
    run.sealed_at.filter(|_| !run.state.is_active()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{tally::Tally, testing::run_view};

    fn run(created: i64, verified: i64, pending: i64) -> RunView {
        let tally = Tally { source: created + pending, created, pending, ..Tally::default() };
        RunView { tally, verified, ..run_view(1, RunState::Running) }
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
        assert_eq!((speed.users_per_second, speed.left), (2.0, Some(Duration::from_secs(90))));
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
        assert_eq!((speed.left, speed.users_per_second), (None, 0.0));
    }

    /// Looks twice a second at a run of 200 users, with batches of 100: 4 users a second are made,
    /// then 4 a second read back.
    fn watched(from: u64, to: u64, pace: &mut Pace) -> Vec<(u64, Option<Duration>)> {
        let at = |half: u64| {
            let second = half as f64 / 2.0;
            let created = (second * 4.0).min(200.0) as i64;
            let verified = ((second - 50.0) / 25.0).clamp(0.0, 2.0) as i64 * 100;
            run(created, verified, 200 - created)
        };
        let mut told = Vec::new();
        for half in from * 2..to * 2 {
            pace.seen(Duration::from_millis(half * 500), &at(half));
            let left = pace.speed(&at(half)).and_then(|speed| speed.left);
            told.push((half / 2, left));
        }
        told
    }

    #[test]
    fn the_time_left_never_grows_while_users_are_read_back() {
        for begin in [0, 40, 55, 70] {
            let told = watched(begin, 100, &mut Pace::default());
            let reading: Vec<_> = told.into_iter().filter(|(second, _)| *second >= 50).collect();
            for pair in reading.windows(2) {
                if let [(second, Some(before)), (_, Some(after))] = pair {
                    assert!(after <= before, "watched from {begin} on: {after:?} at {second} s");
                }
            }
            for (second, left) in reading {
                let truth = 100.0 - second as f64;
                if let Some(left) = left {
                    let off = (left.as_secs_f64() - truth).abs();
                    assert!(off <= 3.0, "watched from {begin} on: {left:?} at {second} s");
                }
            }
        }
        let mut pace = Pace::default();
        watched(0, 60, &mut pace);
        let speed = pace.speed(&run(200, 0, 0)).unwrap();
        assert_eq!(speed.users_per_second, 0.0, "who was made before says nothing of now");
        assert_eq!(speed.left.map(|left| left.as_secs_f64().round()), Some(41.0));
        let told = watched(0, 100, &mut Pace::default());
        assert!(told.iter().skip(20).all(|(_, left)| left.is_some()), "who saw the begin can tell: {told:?}");
    }

    #[test]
    fn reading_back_whose_begin_nobody_saw_says_no_time_before_it_is_known() {
        let mut pace = Pace::default();
        for second in 0..60 {
            pace.seen(Duration::from_secs(second), &run(300, 0, 0));
        }
        let nothing = Speed { users_per_second: 0.0, left: None };
        assert_eq!(pace.speed(&run(300, 0, 0)), Some(nothing));
        pace.seen(Duration::from_secs(60), &run(300, 100, 0));
        assert_eq!(pace.speed(&run(300, 100, 0)).unwrap().left, None, "when these were begun is not known");
        pace.seen(Duration::from_secs(100), &run(300, 200, 0));
        let left = pace.speed(&run(300, 200, 0)).unwrap().left;
        assert_eq!(left, Some(Duration::from_secs(40)), "100 in 40 s");
        pace.seen(Duration::from_secs(110), &run(300, 200, 0));
        let left = pace.speed(&run(300, 200, 0)).unwrap().left;
        assert_eq!(left, Some(Duration::from_secs(30)));
    }

    #[test]
    fn a_run_that_waited_for_a_worker_is_not_called_slow() {
        let mut pace = Pace::default();
        for second in 0..20 {
            pace.seen(Duration::from_secs(second), &run(0, 0, 1_000));
        }
        for second in 20..26 {
            let now = run((second as i64 - 19) * 10, 0, 1_000 - (second as i64 - 19) * 10);
            pace.seen(Duration::from_secs(second), &now);
        }
        assert_eq!(pace.speed(&run(60, 0, 940)).unwrap().users_per_second, 10.0);
        let paused = RunView { state: RunState::Paused, ..run(60, 0, 940) };
        pace.seen(Duration::from_secs(60), &paused);
        pace.seen(Duration::from_secs(61), &run(60, 0, 940));
        pace.seen(Duration::from_secs(66), &run(110, 0, 890));
        assert_eq!(pace.speed(&run(110, 0, 890)).unwrap().users_per_second, 10.0, "a pause is no slowness");
    }

    #[test]
    fn a_run_that_stood_still_is_as_fast_as_since_and_one_that_moves_seldom_is_slow() {
        let speed = |looks: &[(u64, i64)]| {
            let mut pace = Pace::default();
            let seen = |(second, created): &(u64, i64)| {
                pace.seen(Duration::from_secs(*second), &run(*created, 0, 10_000 - created));
            };
            looks.iter().for_each(seen);
            pace.speed(&run(looks[looks.len() - 1].1, 0, 0)).map(|speed| speed.users_per_second)
        };
        let moving =
            |from: u64, to: u64, begin: i64| (from..=to).map(move |at| (at, begin + 50 * (at - from) as i64));
        // Users stood still for 8 s, or nobody could look at them: the ledger was away.
        let silent = moving(0, 10, 0).chain(moving(18, 25, 500)).collect::<Vec<_>>();
        let idle = moving(0, 10, 0).chain((11..18).map(|at| (at, 500))).chain(moving(18, 25, 550));
        assert_eq!(speed(&silent), Some(50.0));
        assert_eq!(speed(&idle.collect::<Vec<_>>()), Some(50.0));
        let seldom = (0..=60).map(|at| (at, at as i64 / 6)).collect::<Vec<_>>();
        let slow = speed(&seldom).unwrap();
        assert!((0.1..0.3).contains(&slow), "one each six seconds: {slow}");
    }

    #[test]
    fn each_run_of_several_has_its_own_time_left_while_it_goes_on() {
        let mut paces = Paces::default();
        let at = Duration::from_secs;
        let second =
            |created| RunView { id: RunId(uuid::Uuid::from_u128(2)), ..run(created, 0, 100 - created) };
        let mut left = |seconds, runs: &[&RunView], stopped| paces.left(at(seconds), runs, stopped);
        assert_eq!(left(0, &[&run(0, 0, 100), &second(0)], false), [None, None], "one look says nothing");
        let both = left(10, &[&second(50), &run(20, 0, 80)], false);
        assert_eq!(both, [Some(at(30)), Some(at(90))], "two steps for each user");
        assert_eq!(left(15, &[&run(20, 0, 80)], true), [None], "all sending is stopped");
        assert_eq!(left(20, &[&run(20, 0, 80)], false), [None], "what was before a stop says nothing");
        assert_eq!(left(30, &[&run(40, 0, 60)], false), [Some(at(80))]);
        assert_eq!(left(40, &[&second(60)], false), [None], "one that was not looked at is forgotten");
    }

    #[test]
    fn one_look_at_reading_back_promises_the_same_time_until_more_are_counted() {
        let begun = OffsetDateTime::UNIX_EPOCH;
        let at = |seconds| begun + Duration::from_secs(seconds);
        let run = RunView { started_at: Some(begun), provisioned_at: Some(at(50)), ..run(200, 0, 0) };
        let left = |run: &RunView, seconds| average(run, &Pauses::default(), at(seconds)).unwrap().left;
        assert_eq!(left(&run, 51), Some(Duration::from_secs(50)));
        assert_eq!(left(&run, 90), left(&run, 51));
        assert_eq!(left(&RunView { verified: 100, ..run }, 90), Some(Duration::from_secs(25)));
    }

    #[test]
    fn a_pause_is_no_slowness_at_one_look_either() {
        let begun = OffsetDateTime::UNIX_EPOCH;
        let at = |seconds| begun + Duration::from_secs(seconds);
        let run = RunView { started_at: Some(begun), ..run(20, 20, 40) };
        let paused = [(5, "pause", Some("paused")), (30, "stop_all", None), (80, "resume", Some("running"))];
        let stopped = pauses::tests::pauses(&paused);
        assert_eq!(average(&run, &stopped, at(105)), None, "all sending is stopped");
        let moves = [&paused[..], &[(90, "resume_all", None)]].concat();
        let speed = average(&run, &pauses::tests::pauses(&moves), at(105)).unwrap();
        assert_eq!(
            (speed.users_per_second, speed.left),
            (1.0, Some(Duration::from_secs(40))),
            "20 users in 20 s"
        );
        let reading = RunView { provisioned_at: Some(at(95)), ..super::tests::run(20, 0, 0) };
        let reading = RunView { started_at: Some(begun), ..reading };
        let left = average(&reading, &pauses::tests::pauses(&moves), at(105)).unwrap().left;
        assert_eq!(left, Some(Duration::from_secs(10)), "20 were made in 10 s");
    }

    #[test]
    fn one_look_shows_the_average_since_the_start() {
        let begun = OffsetDateTime::UNIX_EPOCH;
        let now = begun + Duration::from_secs(20);
        let run = RunView { started_at: Some(begun), ..run(20, 20, 40) };
        let speed = average(&run, &Pauses::default(), now).unwrap();
        assert_eq!((speed.users_per_second, speed.left), (1.0, Some(Duration::from_secs(40))));
        assert_eq!(average(&RunView { round: 2, ..run.clone() }, &Pauses::default(), now), None);
        assert_eq!(elapsed(&run, now), Some(Duration::from_secs(20)));
        let sealed_at = Some(begun + Duration::from_secs(7));
        let sealed = RunView { state: RunState::Sealed, sealed_at, ..run };
        assert_eq!(elapsed(&sealed, now), Some(Duration::from_secs(7)));
    }
}
