//! How a bucket of the server is used: the figures that both limiters keep to.

use ferry_domain::limits;

/// Timers wake up to a millisecond late, and later under load. What was missed may be
/// caught up with if it is less than this, in seconds.
const CATCH_UP: f64 = 0.01;
/// An answer may be this late, in seconds, before its `remaining` looks like foreign use.
const LATE: f64 = 0.1;

/// One bucket, in requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Model {
    /// Size of the server's bucket.
    pub(crate) size: f64,
    /// Requests per second.
    pub(crate) rate: f64,
    /// Requests of the server's bucket that are never spent.
    pub(crate) held_back: f64,
    /// The most that may be spent in one burst, at least 1.
    pub(crate) room: f64,
    /// By how much the server may have less than the model without meaning anything.
    pub(crate) tolerance: f64,
}

impl Model {
    pub(crate) fn of(figures: limits::Bucket) -> Model {
        let size = f64::from(figures.burst);
        let rate = figures.rate_used();
        let held_back = size - figures.burst_used();
        let room = (size - held_back + rate * CATCH_UP).min(size);
        Model { size, rate, held_back, room, tolerance: rate * LATE }
    }
}
