//! Time and randomness, passed in so that tests control them.

use time::OffsetDateTime;

/// The time of day, in UTC.
pub trait Clock: Send + Sync {
    /// The present time.
    fn now(&self) -> OffsetDateTime;
}

/// Randomness. Must be fit for secrets.
pub trait Random: Send + Sync {
    /// Fills the slice with random bytes.
    fn fill(&self, bytes: &mut [u8]);

    /// A number drawn evenly from 0 up to, not including, `end`; 0 when `end` is 0.
    fn below(&self, end: u64) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        if end == 0 { 0 } else { u64::from_le_bytes(bytes) % end }
    }
}
