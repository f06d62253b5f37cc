//! One bucket, in whole numbers.
//!
//! The level is counted in parts: a request costs `period_ms` parts and `amount` parts flow in per
//! millisecond, so 200 per minute is exact and nothing is lost to rounding. Auth0's two pages on
//! refilling disagree, so both models exist: by the millisecond, and in one step at the start of
//! each window.

/// A burst and a sustained rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests that a full bucket holds; at least 1.
    pub burst: u32,
    /// Requests that flow in per period; at least 1.
    pub amount: u32,
    /// Length of the period in milliseconds.
    pub period_ms: u64,
}

impl Rate {
    /// `amount` requests per second on top of a burst.
    #[must_use]
    pub const fn per_second(burst: u32, amount: u32) -> Self {
        Self { burst, amount, period_ms: 1_000 }
    }

    /// `amount` requests per minute on top of a burst.
    #[must_use]
    pub const fn per_minute(burst: u32, amount: u32) -> Self {
        Self { burst, amount, period_ms: 60_000 }
    }
}

/// How a spent bucket fills again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refill {
    /// Steadily, by the millisecond.
    #[default]
    TokenBucket,
    /// In one step at the start of each second. Limits per minute too: 200 in one step
    /// would not fit into their bucket of 20, so a step per minute can't be what is meant.
    FixedWindow,
}

/// A word that names no model of refilling.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown refill model {0:?}; known: token-bucket, fixed-window")]
pub struct RefillError(String);

impl std::str::FromStr for Refill {
    type Err = RefillError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "token-bucket" => Ok(Self::TokenBucket),
            "fixed-window" => Ok(Self::FixedWindow),
            _ => Err(RefillError(text.to_owned())),
        }
    }
}

/// A bucket's answer for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Whether the request may pass.
    pub admitted: bool,
    /// Size of the bucket.
    pub limit: u32,
    /// Whole requests left after this one.
    pub remaining: u32,
    /// UNIX second at which the bucket is full again.
    pub reset: u64,
}

/// A bucket that starts full.
pub struct Bucket {
    rate: Rate,
    refill: Refill,
    parts: u64,
    at_ms: u64,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn new(rate: Rate, refill: Refill) -> Self {
        Self { rate, refill, parts: u64::from(rate.burst) * rate.period_ms, at_ms: 0 }
    }

    /// Follows another rate from `now_ms` on. What was left stays, as far as it fits.
    pub fn change(&mut self, rate: Rate, now_ms: u64) {
        self.fill(now_ms);
        let left = self.parts * rate.period_ms / self.rate.period_ms;
        self.rate = rate;
        self.parts = left.min(self.capacity());
    }

    /// Takes one request at `now_ms` (UNIX milliseconds) if one is left. A refusal costs nothing.
    pub fn take(&mut self, now_ms: u64) -> Reading {
        self.fill(now_ms);
        let cost = self.rate.period_ms;
        let admitted = self.parts >= cost;
        if admitted {
            self.parts -= cost;
        }
        Reading {
            admitted,
            limit: self.rate.burst,
            remaining: u32::try_from(self.parts / cost).unwrap_or(u32::MAX),
            reset: self.full_at_ms(now_ms).div_ceil(1_000),
        }
    }

    fn capacity(&self) -> u64 {
        u64::from(self.rate.burst) * self.rate.period_ms
    }

    fn step_ms(&self) -> u64 {
        self.rate.period_ms.min(1_000)
    }

    fn fill(&mut self, now_ms: u64) {
        // A clock set back fills nothing, and takes nothing away.
        let now_ms = now_ms.max(self.at_ms);
        let step = self.step_ms();
        let elapsed_ms = match self.refill {
            Refill::TokenBucket => now_ms - self.at_ms,
            Refill::FixedWindow => (now_ms / step - self.at_ms / step) * step,
        };
        let inflow = elapsed_ms.saturating_mul(u64::from(self.rate.amount));
        self.parts = self.parts.saturating_add(inflow).min(self.capacity());
        self.at_ms = now_ms;
    }

    fn full_at_ms(&self, now_ms: u64) -> u64 {
        let missing = self.capacity() - self.parts;
        let amount = u64::from(self.rate.amount);
        match self.refill {
            _ if missing == 0 => now_ms,
            Refill::TokenBucket => now_ms + missing.div_ceil(amount),
            Refill::FixedWindow => {
                let step = self.step_ms();
                (now_ms / step + missing.div_ceil(amount * step)) * step
            }
        }
    }
}
