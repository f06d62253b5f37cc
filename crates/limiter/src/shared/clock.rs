//! The store's clock, seen from here.
//!
//! A slot is a moment by the store's clock. Taking the moment of an answer's arrival
//! for the moment it was given would shift slots by what each answer took, and two
//! requests that belong 500 ms apart would come 490 ms apart. So the fastest answer
//! counts: no answer arrives before it was given, so the earliest arrival is the best
//! measure of the difference. It is forgotten slowly, since clocks drift.

use std::time::Duration;

use tokio::time::Instant;

/// Tolerated drift of two clocks, as a share of the time passed.
const DRIFT: f64 = 50e-6;
/// An answer that is later than this means that the store's clock was set back.
const SET_BACK: Duration = Duration::from_secs(1);

/// Where on our clock a moment of the store's clock lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoreClock {
    here: Instant,
    there: i64,
}

impl StoreClock {
    /// An answer given at `there` (microseconds) arrived at `here`.
    pub(crate) fn first(here: Instant, there: i64) -> StoreClock {
        StoreClock { here, there }
    }

    /// One more answer.
    pub(crate) fn note(&mut self, here: Instant, there: i64) {
        let expected = self.at(there);
        let drift = here.saturating_duration_since(self.here).mul_f64(DRIFT);
        let late = here.saturating_duration_since(expected);
        if here <= expected + drift || late > SET_BACK {
            *self = StoreClock { here, there };
        }
    }

    /// Our clock at a moment of the store's.
    pub(crate) fn at(&self, there: i64) -> Instant {
        let apart = Duration::from_micros(there.abs_diff(self.there));
        match there >= self.there {
            true => self.here + apart,
            false => self.here.checked_sub(apart).unwrap_or(self.here),
        }
    }
}
