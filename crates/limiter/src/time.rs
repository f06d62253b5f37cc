//! Time since the limiter was made, as governor wants it.

use std::time::Duration;

use governor::clock::Clock;

/// tokio's clock, or in tests one that is moved by hand.
#[derive(Clone, Debug)]
pub(crate) enum Time {
    Tokio(tokio::time::Instant),
    #[cfg(test)]
    Held(std::sync::Arc<std::sync::atomic::AtomicU64>),
}

impl Time {
    pub(crate) fn start() -> Time {
        Time::Tokio(tokio::time::Instant::now())
    }

    pub(crate) fn now(&self) -> Duration {
        match self {
            Time::Tokio(start) => start.elapsed(),
            #[cfg(test)]
            Time::Held(nanos) => Duration::from_nanos(nanos.load(std::sync::atomic::Ordering::SeqCst)),
        }
    }
}

impl Clock for Time {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Time::now(self)
    }
}
