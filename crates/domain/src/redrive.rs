//! What becomes of dead letters that a person sends again.

use crate::{
    job::JobKind,
    run::{RunMove, RunState},
};

/// What becomes of the letters of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Users go into new batches of the next round and verifications start afresh; the run
    /// is in this state then. Where nothing is left to send (a retry took it), the letters
    /// are answered and the run stays as it is.
    Again {
        /// The run's state then.
        run: RunState,
        /// Whether the run had ended: then no other run of its source may be active.
        comes_back: bool,
    },
    /// Only its report was given up: another report job is made.
    Report,
    /// The run has no such move: the letters stay as they are.
    Left,
}

/// Decides by the state of the run and the kinds of the jobs that the letters are about.
pub fn fate(run: RunState, kinds: impl IntoIterator<Item = JobKind>) -> Fate {
    let only_reports = kinds.into_iter().all(|kind| kind == JobKind::Report);
    match run.after(RunMove::Retry) {
        _ if only_reports && run == RunState::Sealing => Fate::Report,
        Some(after) => Fate::Again { run: after, comes_back: !run.is_active() },
        None => Fate::Left,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_goes_again_only_where_a_retry_may() {
        for run in RunState::ALL {
            let expected = match run.after(RunMove::Retry) {
                Some(after) => Fate::Again { run: after, comes_back: run == RunState::Sealed },
                None => Fate::Left,
            };
            assert_eq!(fate(run, [JobKind::Provision, JobKind::Report]), expected, "{run}");
        }
    }

    #[test]
    fn a_report_of_a_sealing_run_is_made_again() {
        assert_eq!(fate(RunState::Sealing, [JobKind::Report]), Fate::Report);
        assert_eq!(fate(RunState::Sealing, [JobKind::Report, JobKind::Verify]), Fate::Left);
        assert_eq!(fate(RunState::Cancelled, [JobKind::Report]), Fate::Left);
    }
}
