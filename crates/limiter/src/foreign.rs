//! Foreign use: what others use of the tenant's limit, as the server's headers show.
//!
//! The server's `remaining` is set against what our model says should remain. A
//! single difference means little: answers are late, and a server that refills in
//! steps is behind a steady model by up to a step, every step. Both vanish for a
//! moment once in each step; foreign use does not. So the **smallest** difference
//! of a second is what others took, and it is paid from our bucket like requests
//! of our own. The rate stays as it is.
//!
//! Rejected: believing each answer (under a fixed window half the rate was lost);
//! a tolerance of a whole step (the bucket runs dry before anything is noticed).

use std::time::Duration;

/// How long differences are gathered: at least one refill step of the server.
pub(crate) const WINDOW: Duration = Duration::from_secs(1);
/// Fewer answers in a window may all have missed the moment with the smallest difference.
pub(crate) const ENOUGH: u32 = 4;

/// Differences of the window under way.
#[derive(Debug)]
pub(crate) struct Foreign {
    /// Requests that a difference may have without meaning anything.
    tolerance: f64,
    start: Duration,
    seen: u32,
    smallest: f64,
}

impl Foreign {
    /// `tolerance` in requests.
    pub(crate) fn new(tolerance: f64) -> Foreign {
        Foreign { tolerance, start: Duration::ZERO, seen: 0, smallest: f64::INFINITY }
    }

    /// Takes in how many requests the server has less than the model; returns the number
    /// of requests that others made.
    pub(crate) fn note(&mut self, now: Duration, difference: f64) -> u32 {
        if now.saturating_sub(self.start) < WINDOW || self.seen < ENOUGH {
            if self.seen == 0 {
                self.start = now;
            }
            self.seen += 1;
            self.smallest = self.smallest.min(difference);
            return 0;
        }
        let excess = (self.smallest - self.tolerance).max(0.0).floor();
        *self = Foreign::new(self.tolerance);
        excess as u32
    }
}
