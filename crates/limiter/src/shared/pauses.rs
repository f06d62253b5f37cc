//! How long a pause lasts, for both brakes with the same cases: the process alone, and the
//! state in Redis by a clock that the test moves.

#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use ferry_domain::ports::Group;
use tokio::{sync::oneshot::Receiver, time::Instant};

use super::{
    reference::{START, redis, tenant},
    reservations::Reservations,
    script::{EXCHANGE_AT, Reply, Request, keys},
};
use crate::{
    brake::{Brake, LONGEST, chance},
    counts::Counts,
    time::Time,
};

/// What `Retry-After` says, in seconds, and the pause that follows.
const CASES: [(u64, Duration); 7] = [
    (1, Duration::from_secs(1)),
    (60, Duration::from_secs(60)),
    (61, Duration::from_secs(61)),
    (120, Duration::from_secs(120)),
    (3_600, LONGEST),
    (86_400, LONGEST),
    (u64::MAX, LONGEST),
];

const SECOND: i64 = 1_000_000;

fn micros(time: Duration) -> i64 {
    time.as_micros() as i64
}

/// One process on the shared state. Times are microseconds since its start.
struct Process {
    reservations: Reservations,
    start: Instant,
    tenant: String,
    store: redis::Connection,
    /// Difference between the store's clock and ours.
    store_is_ahead: i64,
}

impl Process {
    fn start(test: &str) -> Option<Process> {
        let (store, start) = (redis()?, Instant::now());
        let mut process = Process {
            reservations: fresh(start),
            start,
            tenant: tenant(test, chance()),
            store,
            store_is_ahead: 0,
        };
        process.exchange(0);
        Some(process)
    }

    fn at(&self, time: i64) -> Instant {
        self.start + Duration::from_micros(time.unsigned_abs())
    }

    /// One exchange, if one is due.
    fn exchange(&mut self, time: i64) {
        let now = self.at(time);
        let Some(request) = self.reservations.request(now) else { return };
        let reply = self.ask(&request, time);
        self.reservations.answered(&request, reply, now, now);
    }

    fn ask(&mut self, request: &Request, time: i64) -> Reply {
        let store_time = START + time + self.store_is_ahead;
        let figures: Vec<i64> =
            request.invocation(&EXCHANGE_AT, &self.tenant, store_time).invoke(&mut self.store).unwrap();
        Reply::read(&figures).unwrap()
    }

    fn throttled(&mut self, asked: Option<Duration>, time: i64) {
        let now = self.at(time);
        self.reservations.throttled(asked, now);
    }

    fn caller(&mut self, time: i64) -> Receiver<()> {
        let now = self.at(time);
        self.reservations.enqueue(Group::UserWrites, now).unwrap()
    }

    /// When the caller is served, asking every 250 ms from `from` on; `None` if not by `until`.
    fn served(&mut self, caller: &mut Receiver<()>, from: i64, until: i64) -> Option<i64> {
        let mut time = from;
        while time <= until {
            self.exchange(time);
            self.reservations.serve(self.at(time));
            if caller.try_recv().is_ok() {
                return Some(time);
            }
            time += 250_000;
        }
        None
    }
}

fn fresh(now: Instant) -> Reservations {
    let plan = "private-100".parse().unwrap();
    Reservations::new("m".to_owned(), &plan, 0.1, Arc::new(Counts::default()), now)
}

#[test]
fn alone_a_pause_lasts_as_long_as_the_server_asks_up_to_the_longest() {
    for (asked, pause) in CASES {
        let brake = Brake::new(Time::Held(Arc::default()));
        assert_eq!(brake.pull(Some(Duration::from_secs(asked))), Some(pause), "asked {asked} s");
        assert_eq!(brake.pause_left(), Some(pause), "asked {asked} s");
    }
}

#[test]
fn shared_a_pause_lasts_as_long_as_the_server_asks_up_to_the_longest() {
    for (asked, pause) in CASES {
        let Some(mut process) = Process::start("pause") else { return };
        process.throttled(Some(Duration::from_secs(asked)), 0);
        process.exchange(0);
        let mut caller = process.caller(0);
        let end = micros(pause);
        let early = process.served(&mut caller, 250_000, end.min(5 * SECOND) - 1);
        assert_eq!(early, None, "asked {asked} s");
        let served = process.served(&mut caller, end.max(5 * SECOND) - 5 * SECOND, end + 5 * SECOND);
        assert!(served.is_some_and(|at| at >= end && at <= end + SECOND), "asked {asked} s: {served:?} µs");
    }
}

#[test]
fn a_wait_of_zero_names_none() {
    let brake = Brake::new(Time::Held(Arc::default()));
    let pause = brake.pull(Some(Duration::ZERO)).unwrap();
    assert!(pause >= Duration::from_millis(187), "{pause:?}");

    let Some(mut process) = Process::start("zero") else { return };
    process.throttled(Some(Duration::ZERO), 0);
    process.exchange(0);
    assert!(process.reservations.figures().factor > 0.9, "one stray 429");
}

#[test]
fn a_longer_wait_makes_slots_void_that_were_given_for_the_end_of_the_shorter() {
    let Some(mut process) = Process::start("longer") else { return };
    process.throttled(Some(Duration::from_secs(1)), 0);
    process.exchange(0);
    let mut caller = process.caller(0);
    process.exchange(250_000);
    process.throttled(Some(Duration::from_secs(120)), 500_000);
    let served = process.served(&mut caller, 500_000, 130 * SECOND);
    assert!(served.is_some_and(|at| at >= 120_500_000), "{served:?} µs");
}

/// Less than a second can't be told from a slow answer; see `clock`.
#[test]
fn a_clock_that_is_set_back_makes_no_pause_longer_or_shorter() {
    for asked in [10u32, 120, 3_000] {
        let end = i64::from(asked) * SECOND;
        for back in [2, 30, 600, 100_000] {
            let Some(mut process) = Process::start("back") else { return };
            process.throttled(Some(Duration::from_secs(asked.into())), 0);
            process.exchange(0);
            process.exchange(5 * SECOND);
            process.store_is_ahead = -back * SECOND;
            let mut caller = process.caller(5 * SECOND);
            let early = process.served(&mut caller, 5_250_000, 9 * SECOND);
            assert_eq!(early, None, "{asked} s, {back} s back");
            let served = process.served(&mut caller, end - SECOND, end + 10 * SECOND);
            let expected = end..=end + 2 * SECOND;
            assert!(
                served.is_some_and(|at| expected.contains(&at)),
                "{asked} s, {back} s back: {served:?} µs"
            );
        }
    }
}

#[test]
fn the_state_is_kept_as_long_as_the_pause() {
    let Some(mut process) = Process::start("kept") else { return };
    process.throttled(Some(Duration::from_secs(3_000)), 0);
    process.exchange(0);
    for key in keys(&process.tenant) {
        let left: u64 = redis::cmd("TTL").arg(key).query(&mut process.store).unwrap();
        assert!(left >= 3_000, "{left} s");
    }
}

#[test]
fn a_pause_outlasts_the_loss_of_redis_and_its_return() {
    let Some(mut process) = Process::start("outage") else { return };
    let minutes = Some(Duration::from_secs(120));
    let fail = |process: &mut Process, time: i64| {
        let now = process.at(time);
        if let Some(request) = process.reservations.request(now) {
            process.reservations.failed(&request, false, now);
        }
    };
    // Braked by all, then alone.
    process.throttled(minutes, 0);
    process.exchange(0);
    let mut caller = process.caller(0);
    for time in (SECOND..119 * SECOND).step_by(SECOND as usize) {
        fail(&mut process, time);
        process.reservations.serve(process.at(time));
        assert!(caller.try_recv().is_err(), "sent after {time} µs of 120 s");
    }
    drop(caller);

    // Braked alone, then with all.
    let Some(mut process) = Process::start("outage") else { return };
    process.exchange(0);
    fail(&mut process, 2 * SECOND);
    process.throttled(minutes, 2 * SECOND);
    let mut caller = process.caller(2 * SECOND);
    let served = process.served(&mut caller, 4 * SECOND, 130 * SECOND);
    assert!(served.is_some_and(|at| (122 * SECOND..124 * SECOND).contains(&at)), "{served:?} µs");

    // Braked alone while the store's answer was under way.
    let Some(mut process) = Process::start("outage") else { return };
    fail(&mut process, 2 * SECOND);
    let now = process.at(4 * SECOND);
    let request = process.reservations.request(now).unwrap();
    process.throttled(minutes, 4 * SECOND);
    let reply = process.ask(&request, 4 * SECOND);
    process.reservations.answered(&request, reply, now, now);
    let mut caller = process.caller(4 * SECOND);
    let served = process.served(&mut caller, 4 * SECOND, 130 * SECOND);
    assert!(served.is_some_and(|at| (124 * SECOND..126 * SECOND).contains(&at)), "{served:?} µs");
}
