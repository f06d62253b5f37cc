//! How many rows go into one transaction, where the application's triggers are slow, and by which
//! statement, where it holds rows locked.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{Group, How};

/// Faster than this, and twice as many rows are tried.
const QUICK: Duration = Duration::from_secs(1);
/// A part that took too long is divided by this.
const PARTS: usize = 4;

/// An application that holds a row of ours locked holds others soon: for this time rows are written by
/// the statement that waits for none. A lock that is gone at the second look was no row's: the
/// server takes some itself, for instance while a table grows.
const AFTER_A_LOCK: Duration = Duration::from_secs(5);

/// What the application's table was like lately.
pub(crate) struct Pace {
    /// Rows at once; all of them until a statement took too long.
    rows: AtomicUsize,
    /// When a lock was met last.
    lock: Mutex<Option<Instant>>,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { rows: AtomicUsize::new(usize::MAX), lock: Mutex::default() }
    }
}

impl Pace {
    /// How the next rows are written at first.
    pub(crate) fn how(&self) -> How {
        let met = *self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = met.is_some_and(|at| at.elapsed() < AFTER_A_LOCK);
        How::Rows(if lately { Group::Whole } else { Group::Quick })
    }

    /// Others held rows locked.
    pub(crate) fn met_a_lock(&self) {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Parts of a group, the last one first.
    pub(crate) fn parts<'r, T>(&self, group: &'r [T]) -> Vec<&'r [T]> {
        let mut parts: Vec<&[T]> = group.chunks(self.rows.load(Ordering::Relaxed).max(1)).collect();
        if parts.is_empty() {
            parts.push(group); // nothing to write is a write too: it checks the lease
        }
        parts.reverse();
        parts
    }

    /// This many rows took too long.
    pub(crate) fn too_slow(&self, rows: usize) {
        self.rows.store((rows / PARTS).max(1), Ordering::Relaxed);
    }

    /// This many rows took this long.
    pub(crate) fn took(&self, rows: usize, time: Duration) {
        let most = self.rows.load(Ordering::Relaxed);
        if most != usize::MAX && rows >= most && time < QUICK {
            self.rows.store(most.saturating_mul(2), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_table_gets_fewer_rows_at_once_until_it_is_quick_again() {
        let (pace, group) = (Pace::default(), [0; 40]);
        let sizes = |pace: &Pace| pace.parts(&group).iter().map(|part| part.len()).collect::<Vec<_>>();
        assert_eq!(sizes(&pace), [40]);
        assert_eq!(pace.parts::<i32>(&[]).len(), 1);
        pace.too_slow(40);
        assert_eq!(sizes(&pace), [10, 10, 10, 10]);
        pace.too_slow(10);
        pace.too_slow(2);
        assert_eq!(sizes(&pace).len(), 40);
        pace.took(1, QUICK);
        assert_eq!(sizes(&pace).len(), 40);
        pace.took(1, QUICK / 2);
        assert_eq!(sizes(&pace).len(), 20);
    }
}
