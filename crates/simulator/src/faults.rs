//! Injected faults: those that a long run sees at a real tenant, at configured rates.
//!
//! Which request gets a fault depends on the seed and on its number among its kind, so the same
//! sequence of requests gets the same faults. Each fault is counted where it happens: a test can
//! check that it took place, not only that it was configured.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use serde::Serialize;

use crate::ids::mix;

/// Faults to inject. The default injects none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// Latency of every answer of the Management API, in milliseconds: half of it before the
    /// request is handled, half after.
    pub latency_ms: u64,
    /// Random extra latency, from 0 up to this number of milliseconds, evenly spread.
    pub jitter_ms: u64,
    /// Answers take as long as recorders of real tenants saw (p50 399 ms, p90 1,045 ms and at
    /// most 3.8 s for writes; 302, 475 and 1,236 ms for reads), on top of the two above.
    pub recorded_latency: bool,
    /// Share (0 to 1) of user creations whose user is stored but whose connection is then cut
    /// without an answer.
    pub lost_answers: f64,
    /// Share (0 to 1) of Management API requests answered 500 or 503 before anything is done.
    pub server_errors: f64,
    /// Share (0 to 1) of Management API requests answered 429 although the limits would allow them.
    pub storm_429: f64,
    /// A token expires after this number of requests, whatever its lifetime.
    pub expire_tokens_after: Option<u64>,
    /// Answers carry no rate-limit headers: a client has to learn a limit from its 429s.
    pub mute_limits: bool,
}

impl Faults {
    /// The names of shares that are not between 0 and 1.
    pub(crate) fn out_of_range(&self) -> Vec<&'static str> {
        [
            ("lost_answers", self.lost_answers),
            ("server_errors", self.server_errors),
            ("storm_429", self.storm_429),
        ]
        .into_iter()
        .filter(|(_, share)| !(0.0..=1.0).contains(share))
        .map(|(name, _)| name)
        .collect()
    }
}

/// The number of injected faults of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FaultCounts {
    /// Users stored whose answer was cut off.
    pub lost_answers: u64,
    /// Requests answered 500 or 503.
    pub server_errors: u64,
    /// Requests answered 429 although the limits would have allowed them.
    pub storm_429: u64,
    /// Requests answered 401 because their token was used up.
    pub expired_tokens: u64,
}

/// One kind of fault: draws so far, and how many of them hit.
#[derive(Default)]
struct Kind {
    drawn: AtomicU64,
    hit: AtomicU64,
}

impl Kind {
    fn hits(&self, seed: u64, share: f64) -> bool {
        if share <= 0.0 {
            return false;
        }
        let position = self.drawn.fetch_add(1, Ordering::Relaxed);
        // 53 bits fill an f64 exactly, so the result lies in [0, 1) and a share of 1 always hits.
        let chance = (mix(seed, position) >> 11) as f64 / (1_u64 << 53) as f64;
        let hit = chance < share;
        if hit {
            self.hit.fetch_add(1, Ordering::Relaxed);
        }
        hit
    }

    fn count(&self) -> u64 {
        self.hit.load(Ordering::Relaxed)
    }
}

/// The running injector.
pub(crate) struct Injector {
    faults: RwLock<Faults>,
    seed: u64,
    lost_answers: Kind,
    server_errors: Kind,
    storm_429: Kind,
    expired_tokens: AtomicU64,
    jitters: AtomicU64,
}

impl Injector {
    pub(crate) fn new(faults: Faults, seed: u64) -> Self {
        Self {
            faults: RwLock::new(faults),
            seed,
            lost_answers: Kind::default(),
            server_errors: Kind::default(),
            storm_429: Kind::default(),
            expired_tokens: AtomicU64::new(0),
            jitters: AtomicU64::new(0),
        }
    }

    /// Injects other faults from now on; the counts stay.
    pub(crate) fn set(&self, faults: Faults) {
        *self.faults.write().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    fn faults(&self) -> RwLockReadGuard<'_, Faults> {
        self.faults.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether answers leave the rate-limit headers out.
    pub(crate) fn mutes_limits(&self) -> bool {
        self.faults().mute_limits
    }

    /// The pause on each side of the work of one request.
    pub(crate) fn pause(&self, writes: bool) -> Duration {
        let faults = self.faults();
        let jitter_us = match faults.jitter_ms.saturating_mul(1000) {
            0 => 0,
            span => mix(!self.seed, self.jitters.fetch_add(1, Ordering::Relaxed)) % (span + 1),
        };
        let recorded_us = match faults.recorded_latency {
            false => 0,
            true => {
                let position = self.jitters.fetch_add(1, Ordering::Relaxed);
                recorded_us(writes, (mix(self.seed, position) >> 11) as f64 / (1_u64 << 53) as f64)
            }
        };
        Duration::from_micros((faults.latency_ms.saturating_mul(1000) + jitter_us + recorded_us) / 2)
    }

    /// Whether the answer to this creation is to be lost.
    pub(crate) fn loses_answer(&self) -> bool {
        self.lost_answers.hits(self.seed ^ 0x105e, self.faults().lost_answers)
    }

    /// Whether this request fails before anything is done.
    pub(crate) fn breaks(&self) -> bool {
        self.server_errors.hits(self.seed ^ 0x5e17, self.faults().server_errors)
    }

    /// Whether this request is to be answered 429 regardless of the limits.
    pub(crate) fn storms(&self) -> bool {
        self.storm_429.hits(self.seed ^ 0x0429, self.faults().storm_429)
    }

    /// Whether a token is used up; `uses` counts this use.
    pub(crate) fn wears_out(&self, uses: u64) -> bool {
        let worn = self.faults().expire_tokens_after.is_some_and(|most| uses > most);
        if worn {
            self.expired_tokens.fetch_add(1, Ordering::Relaxed);
        }
        worn
    }

    /// The number of server errors injected so far; decides between 500 and 503.
    pub(crate) fn broken(&self) -> u64 {
        self.server_errors.count()
    }

    pub(crate) fn counts(&self) -> FaultCounts {
        FaultCounts {
            lost_answers: self.lost_answers.count(),
            server_errors: self.server_errors.count(),
            storm_429: self.storm_429.count(),
            expired_tokens: self.expired_tokens.load(Ordering::Relaxed),
        }
    }
}

/// A latency from what was recorded, in microseconds, for a `chance` from 0 up to 1. Between the
/// known quantiles it is interpolated by its logarithm; the smallest is assumed.
pub fn recorded_us(writes: bool, chance: f64) -> u64 {
    let quantiles = match writes {
        true => [(0.0, 195.0), (0.5, 399.0), (0.9, 1_045.0), (1.0, 3_800.0)],
        false => [(0.0, 150.0), (0.5, 302.0), (0.9, 475.0), (1.0, 1_236.0)],
    };
    let above = quantiles.iter().position(|(share, _)| *share > chance).unwrap_or(quantiles.len() - 1);
    let ((from, low), (to, high)) = (quantiles[above - 1], quantiles[above]);
    let between: f64 = (chance - from) / (to - from);
    (low * f64::powf(high / low, between) * 1_000.0) as u64
}
