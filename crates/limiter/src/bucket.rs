//! One bucket of the plan, its queue of callers and what they owe, for a process alone.

use std::{
    num::NonZeroU32,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use ferry_domain::{
    limits,
    ports::{Group, Observed},
};
use governor::{
    Quota, RateLimiter,
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed},
};

use tokio::sync::Notify;

use crate::{brake::Brake, foreign::Foreign, model::Model, time::Time, turns::Turns};

/// A request is this many units of the governor bucket: prices are fractions of a request.
const UNITS: u32 = 16;
/// How often a waiting caller looks whether the plan has changed.
const POLL_EVERY: Duration = Duration::from_millis(250);

/// One bucket of the plan with its waiting callers.
pub(crate) struct Bucket {
    governor: RateLimiter<NotKeyed, InMemoryState, Time, StateInformationMiddleware>,
    time: Time,
    /// Size of the server's bucket, in requests.
    size: u32,
    /// Requests of the server's bucket that are never spent.
    held_back: f64,
    /// Units that fit into our bucket.
    room: f64,
    /// Units per second.
    refill: f64,
    /// Held by the caller that pays.
    turn: tokio::sync::Mutex<()>,
    /// In order of arrival: those that go first, and those that read back. The first of each
    /// line waits for its turn.
    first_line: tokio::sync::Mutex<()>,
    last_line: tokio::sync::Mutex<()>,
    /// Callers in the first line.
    firsts: AtomicU32,
    turns: Turns,
    /// Wakes the first of the last line: it may go.
    left: Notify,
    /// The plan has changed: no caller is served here any more.
    retired: AtomicBool,
    waiting: AtomicU32,
    balance: Mutex<Balance>,
}

/// What is left in the bucket, and what is owed.
struct Balance {
    /// Units left after the last payment, at `at`.
    left: f64,
    at: Duration,
    /// Units that the next caller pays for others.
    debt: u32,
    /// Part of a unit that the last price was rounded down by.
    fraction: f64,
    foreign: Foreign,
}

impl Bucket {
    pub(crate) fn new(figures: limits::Bucket, time: Time) -> Bucket {
        let Model { rate, held_back, room, tolerance, .. } = Model::of(figures);
        let room = (room * f64::from(UNITS)).floor().max(1.0);
        let refill = rate * f64::from(UNITS);
        // Can't fail: the rate is positive and below 2³⁰ units a second, the room at least 16.
        #[expect(clippy::unwrap_used, reason = "see above")]
        let quota = Quota::with_period(Duration::from_secs_f64(1.0 / refill))
            .unwrap()
            .allow_burst(NonZeroU32::new(room as u32).unwrap());
        Bucket {
            governor: RateLimiter::direct_with_clock(quota, time.clone()).with_middleware(),
            balance: Mutex::new(Balance {
                left: room,
                at: time.now(),
                debt: 0,
                fraction: 0.0,
                foreign: Foreign::new(tolerance),
            }),
            time,
            size: figures.burst,
            held_back,
            room,
            refill,
            turn: tokio::sync::Mutex::default(),
            first_line: tokio::sync::Mutex::default(),
            last_line: tokio::sync::Mutex::default(),
            firsts: AtomicU32::new(0),
            turns: Turns::default(),
            left: Notify::new(),
            retired: AtomicBool::new(false),
            waiting: AtomicU32::new(0),
        }
    }

    /// Size of the server's bucket, in requests.
    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    /// Waits for its turn and for the permit; false when the bucket was retired first.
    pub(crate) async fn pass(&self, group: Group, brake: &Brake) -> bool {
        let _queued = Queued::up(&self.waiting);
        let passed = match group {
            Group::ReadBack => self.pass_last(brake).await,
            _ => self.pass_first(brake).await,
        };
        if passed {
            self.turns.note(group);
        }
        if self.may_read_back() {
            self.left.notify_one();
        }
        passed
    }

    async fn pass_first(&self, brake: &Brake) -> bool {
        let _first = Queued::up(&self.firsts);
        let _line = self.first_line.lock().await;
        let _turn = self.turn.lock().await;
        self.pay_all(brake).await
    }

    /// Waits until nobody waits in the first line, or for the share of those that read back.
    async fn pass_last(&self, brake: &Brake) -> bool {
        let _line = self.last_line.lock().await;
        while !self.retired.load(Ordering::Acquire) {
            if self.may_read_back() {
                let _turn = self.turn.lock().await;
                // Others may have come meanwhile.
                if self.may_read_back() {
                    return self.pay_all(brake).await;
                }
            }
            // A caller that gives up wakes nobody, so this one looks by itself as well.
            let _ = tokio::time::timeout(POLL_EVERY, self.left.notified()).await;
        }
        false
    }

    fn may_read_back(&self) -> bool {
        self.firsts.load(Ordering::Relaxed) == 0 || self.turns.read_back_is_due()
    }

    async fn pay_all(&self, brake: &Brake) -> bool {
        let mut due = None;
        while !self.retired.load(Ordering::Acquire) {
            let Some(wait) = self.pay(&mut due, brake) else { return true };
            tokio::time::sleep(wait.min(POLL_EVERY)).await;
        }
        false
    }

    /// Sends the callers that wait here to the bucket of the new plan.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
        self.left.notify_one();
    }

    /// Requests left at present; negative while something is owed.
    pub(crate) fn level(&self) -> f64 {
        self.left(&self.balance(), self.time.now()) / f64::from(UNITS)
    }

    /// Takes all but this number of requests out of a new bucket.
    pub(crate) fn start_with(&self, requests: f64) {
        let units = self.room - requests * f64::from(UNITS);
        self.balance().debt += units.max(0.0) as u32;
    }

    /// Pays what can be paid now; returns the wait for more, `None` once the
    /// request may be sent. `due` is what the caller still has to pay.
    pub(crate) fn pay(&self, due: &mut Option<u32>, brake: &Brake) -> Option<Duration> {
        loop {
            if let Some(pause) = brake.pause_left() {
                return Some(pause);
            }
            let mut balance = self.balance();
            let open =
                due.unwrap_or_else(|| balance.price(brake.factor())) + std::mem::take(&mut balance.debt);
            *due = Some(open);
            let part = NonZeroU32::new(open.min(UNITS))?; // nothing open: all is paid
            match self.governor.check_n(part) {
                Ok(Ok(paid)) => {
                    balance.left = f64::from(paid.remaining_burst_capacity());
                    balance.at = self.time.now();
                    *due = Some(open - part.get());
                }
                Ok(Err(not_until)) => return Some(not_until.wait_time_from(self.time.now())),
                // Can't be: a part is at most one request, and the room is at least one.
                Err(_too_much) => return None,
            }
        }
    }

    /// Takes in what the server says remains in its bucket; returns what others took.
    pub(crate) fn observe(&self, observed: Observed) -> u32 {
        let now = self.time.now();
        let mut balance = self.balance();
        let ours = self.left(&balance, now) / f64::from(UNITS);
        let mut expected = (self.held_back + ours).min(f64::from(self.size));
        if observed.limit < self.size {
            // A smaller bucket than planned: what was used is still comparable.
            expected -= f64::from(self.size - observed.limit);
        }
        let taken = balance.foreign.note(now, expected - f64::from(observed.remaining));
        if taken > 0 {
            balance.debt += taken.min(self.size) * UNITS;
            tracing::debug!(requests = taken, "others use the tenant's limit too");
        }
        taken
    }

    /// The server's bucket is empty, so ours is.
    pub(crate) fn drain(&self) {
        let mut balance = self.balance();
        balance.debt += self.left(&balance, self.time.now()).max(0.0) as u32;
    }

    /// The time that one more request would wait.
    pub(crate) fn wait(&self, brake: &Brake) -> Option<Duration> {
        let ahead = f64::from(self.waiting.load(Ordering::Relaxed));
        let price = f64::from(UNITS) / brake.factor();
        let missing = (ahead + 1.0) * price - self.left(&self.balance(), self.time.now());
        (missing > 0.0).then(|| Duration::from_secs_f64(missing / self.refill))
    }

    /// Units in the bucket, less what is owed.
    fn left(&self, balance: &Balance, now: Duration) -> f64 {
        let refilled = self.refill * now.saturating_sub(balance.at).as_secs_f64();
        (balance.left + refilled).min(self.room) - f64::from(balance.debt)
    }

    fn balance(&self) -> MutexGuard<'_, Balance> {
        self.balance.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Balance {
    /// Units that one request costs while the rate is at `factor` of the plan.
    fn price(&mut self, factor: f64) -> u32 {
        let exact = f64::from(UNITS) / factor + self.fraction;
        self.fraction = exact.fract();
        exact as u32
    }
}

/// One caller in the queue; leaves it when dropped, served or not.
struct Queued<'a>(&'a AtomicU32);

impl<'a> Queued<'a> {
    fn up(waiting: &'a AtomicU32) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Queued(waiting)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
