//! What was logged: a cause that stays is said once, and then each minute.

use std::{collections::HashMap, time::Duration};

/// A cause that is still there is said again after this.
const AGAIN: Duration = Duration::from_secs(60);

/// Causes that were said lately, and when.
#[derive(Debug, Default)]
pub struct Told(HashMap<String, Duration>);

impl Told {
    /// Whether a cause is to be said now: a time since some moment that stays the same.
    pub fn is_new(&mut self, cause: &str, now: Duration) -> bool {
        self.0.retain(|_, at| now.saturating_sub(*at) < AGAIN);
        if self.0.contains_key(cause) {
            return false;
        }
        self.0.insert(cause.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once_and_then_each_minute() {
        let mut told = Told::default();
        let mut at = |cause, seconds| told.is_new(cause, Duration::from_secs(seconds));
        assert!(at("full", 0) && !at("full", 59));
        assert!(at("replica", 59) && !at("full", 59), "each for itself");
        assert!(at("full", 60) && !at("full", 61) && !at("replica", 61));
    }
}
