//! When a run stops by itself: too many users failed. Resumable, since the cause
//! may be mended in minutes while a thousand failed users are a morning's work.

use serde::{Deserialize, Serialize};

use crate::{code::Code, tally::Tally};

/// Users that must have ended before a share of them says anything.
pub const FEWEST: i64 = 50;

/// Limits on failures, decided when a run starts. Conflicts count as failures;
/// records that a rule refused at planning do not: those were known before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopAfter {
    /// More failures than this stop the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<i64>,
    /// A larger share than this, in hundredths of a percent (0 to 10,000), of the
    /// users that ended stops the run, once [`FEWEST`] have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
}

impl StopAfter {
    /// Why the run has to stop, if it has to. `ended` counts what workers did since the
    /// run was started or resumed, not what rules settled.
    pub fn exceeded(&self, ended: &Tally) -> Option<Code> {
        let failures = ended.failed + ended.conflict;
        if self.failures.is_some_and(|most| failures > most) {
            return Some(Code::TooManyFailures);
        }
        let all = ended.finished();
        let over = |rate: u32| all >= FEWEST && failures * 10_000 > i64::from(rate) * all;
        self.rate.is_some_and(over).then_some(Code::FailureRate)
    }
}

/// What counts against the limits of a run since it was started or resumed. Failures and
/// conflicts are both `failed`, everything else that ended is `created`: limits ask for no
/// more. `failed` and `ended` are differences of sums, so a retry, which takes items back to
/// pending, may make them negative: then nothing counts.
pub fn since(failed: i64, ended: i64, pending: i64) -> Tally {
    let ended = ended.max(0);
    let failed = failed.clamp(0, ended);
    Tally { source: ended + pending, created: ended - failed, failed, pending, ..Tally::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(created: i64, failed: i64, conflict: i64) -> Tally {
        Tally { source: created + failed + conflict, created, failed, conflict, ..Tally::default() }
    }

    #[test]
    fn a_number_stops_at_one_more_and_conflicts_count() {
        let stop = StopAfter { failures: Some(3), rate: None };
        assert_eq!(stop.exceeded(&tally(0, 2, 1)), None);
        assert_eq!(stop.exceeded(&tally(0, 2, 2)), Some(Code::TooManyFailures));
        assert_eq!(StopAfter::default().exceeded(&tally(0, 1_000_000, 0)), None);
    }

    #[test]
    fn a_share_means_nothing_before_fifty_have_ended() {
        let stop = StopAfter { failures: None, rate: Some(1_000) };
        assert_eq!(stop.exceeded(&tally(9, 40, 0)), None, "49 ended");
        assert_eq!(stop.exceeded(&tally(45, 5, 0)), None, "exactly a tenth");
        assert_eq!(stop.exceeded(&tally(44, 6, 0)), Some(Code::FailureRate));
    }

    #[test]
    fn what_counts_always_adds_up() {
        for (failed, ended, pending) in [(0, 0, 7), (2, 5, 1), (-3, -1, 4), (3, 2, 0)] {
            let tally = since(failed, ended, pending);
            assert!(tally.adds_up() && tally.pending == pending, "{tally:?}");
            assert!(tally.failed >= 0 && tally.created >= 0, "{tally:?}");
        }
        assert_eq!((since(2, 5, 1).failed, since(2, 5, 1).finished()), (2, 5));
    }
}
