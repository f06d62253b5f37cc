//! A failure that lasts is told of when it begins, then now and then: whoever looks at the end of
//! the log finds it, and it does not fill the log.

use std::time::Duration;

use tokio::time::Instant;

/// Time between two lines about one failure.
const TOLD_EVERY: Duration = Duration::from_secs(30);

/// What one loop tells of its tries.
#[derive(Debug, Default)]
pub(crate) struct Lasting(Option<Instant>);

impl Lasting {
    /// Another try failed: whether that is told.
    pub(crate) fn is_told(&mut self) -> bool {
        let told = self.0.is_none_or(|at| at.elapsed() >= TOLD_EVERY);
        if told {
            self.0 = Some(Instant::now());
        }
        told
    }

    /// A try succeeded: the next failure is another one.
    pub(crate) fn is_over(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_lasts_is_told_of_twice_a_minute_and_a_new_one_immediately() {
        let mut lasting = Lasting::default();
        let mut told = 0;
        for _ in 0..120 {
            told += u32::from(lasting.is_told());
            tokio::time::advance(Duration::from_millis(500)).await;
        }
        assert_eq!(told, 2);
        lasting.is_over();
        assert!(lasting.is_told() && !lasting.is_told());
    }
}
