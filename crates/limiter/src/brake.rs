//! The brake of a process alone: what a 429 does. All requests pause, then the rate is
//! lower, then it climbs back.
//!
//! **Every** 429 outside a pause lowers the rate by 20 %. The brake that processes share
//! has another policy: one stray 429 costs 2 %, and only three within 5 s lower the rate by
//! 20 % (`shared`, its rules in `exchange.lua`). Without Redis a process uses this one.
//!
//! Multiplicative decrease, additive increase, as TCP does it: processes that share a
//! tenant without knowing of one another get even shares that way. All requests that
//! were on their way when the first 429 came back have the same cause, so 429s that come
//! back during the pause lower nothing more.
//!
//! The pause is as long as the server asks, up to an hour, for both brakes alike ([`named`]).

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::time::Time;

/// One 429 lowers the rate to this share of what it was.
pub(crate) const LOWERED: f64 = 0.8;
/// Never below this share of the plan: some requests must pass to notice that the limit is free again.
pub(crate) const FLOOR: f64 = 0.05;
/// Share of the plan regained each second.
pub(crate) const REGAINED: f64 = 0.02;
/// First pause where the server names none; doubles with each 429 that follows soon.
pub(crate) const PAUSE: Duration = Duration::from_millis(250);
/// No pause is longer, whatever a header says. Auth0 names no longest wait; its limits are
/// refilled within minutes, its quotas within an hour or a day (FACTS §12.4). Up to an hour
/// the server is asked no earlier than it said. Beyond that one request an hour is no
/// burden for it, and a wrong header can't stop a migration for a day.
pub(crate) const LONGEST: Duration = Duration::from_secs(3_600);
/// No pause is shorter, or answers under way would count twice.
const SHORTEST: Duration = Duration::from_millis(100);
/// Doublings of the pause: 250 ms × 2⁵ = 8 s.
pub(crate) const DOUBLINGS: u32 = 5;
/// A 429 within this time after a pause has the same cause, and doubles the next pause.
pub(crate) const SOON: Duration = Duration::from_secs(5);

/// The wait that the server named, as both brakes take it in: within their bounds. Zero names none.
pub(crate) fn named(retry_after: Option<Duration>) -> Option<Duration> {
    retry_after.filter(|wait| !wait.is_zero()).map(|wait| wait.clamp(SHORTEST, LONGEST))
}

pub(crate) struct Brake {
    time: Time,
    /// Nanoseconds of `time`; an atomic, so that no lock is needed to see that there is no pause.
    paused_until: AtomicU64,
    speed: Mutex<Speed>,
}

struct Speed {
    /// Share of the plan at `since`.
    factor: f64,
    /// End of the last pause, from which the rate climbs.
    since: Duration,
    /// 429s in close succession.
    streak: u32,
    /// 429s since the rate was last the plan's.
    answers: u64,
}

impl Brake {
    pub(crate) fn new(time: Time) -> Brake {
        let speed = Speed { factor: 1.0, since: Duration::ZERO, streak: 0, answers: 0 };
        Brake { time, paused_until: AtomicU64::new(0), speed: Mutex::new(speed) }
    }

    /// Time until requests may be sent again; `None` outside a pause.
    pub(crate) fn pause_left(&self) -> Option<Duration> {
        match self.paused_until.load(Ordering::Acquire) {
            0 => None,
            until => Duration::from_nanos(until).checked_sub(self.time.now()).filter(|left| !left.is_zero()),
        }
    }

    /// Share of the plan's rate that is used at present, in 0.05..=1.
    pub(crate) fn factor(&self) -> f64 {
        self.speed().at(self.time.now())
    }

    /// Answers with 429 since the rate was last the plan's; 0 while it is.
    pub(crate) fn answers(&self) -> u64 {
        let speed = self.speed();
        if speed.at(self.time.now()) < 1.0 { speed.answers } else { 0 }
    }

    /// Takes in a 429. Returns the pause when this was a new one, `None` when it belongs
    /// to the present pause.
    pub(crate) fn pull(&self, retry_after: Option<Duration>) -> Option<Duration> {
        let mut speed = self.speed();
        let now = self.time.now();
        let asked = named(retry_after);
        speed.answers = if speed.at(now) < 1.0 { speed.answers + 1 } else { 1 };
        if now < speed.since {
            // The longest wait that the server asked for counts, nothing else.
            if let Some(until) = asked.map(|pause| now + pause).filter(|until| *until > speed.since) {
                self.pause_until(&mut speed, until);
            }
            return None;
        }
        let soon = speed.since > Duration::ZERO && now - speed.since < SOON;
        speed.streak = if soon { (speed.streak + 1).min(DOUBLINGS) } else { 0 };
        speed.factor = (speed.at(now) * LOWERED).max(FLOOR);
        let pause = asked.unwrap_or_else(|| (PAUSE * 2u32.pow(speed.streak)).mul_f64(0.75 + chance() / 2.0));
        self.pause_until(&mut speed, now + pause);
        Some(pause)
    }

    /// Forgets what was learnt of another rate; a pause that is under way stays.
    pub(crate) fn start_anew(&self) {
        let mut speed = self.speed();
        (speed.factor, speed.streak, speed.answers) = (1.0, 0, 0);
    }

    fn pause_until(&self, speed: &mut Speed, until: Duration) {
        speed.since = until;
        self.paused_until.store(until.as_nanos() as u64, Ordering::Release);
    }

    fn speed(&self) -> std::sync::MutexGuard<'_, Speed> {
        self.speed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Speed {
    fn at(&self, now: Duration) -> f64 {
        (self.factor + REGAINED * now.saturating_sub(self.since).as_secs_f64()).min(1.0)
    }
}

/// A number from 0 up to 1. A hasher's random keys are random enough to keep processes
/// from coming back at the same moment.
pub(crate) fn chance() -> f64 {
    (RandomState::new().hash_one(0) >> 11) as f64 / (1u64 << 53) as f64
}
