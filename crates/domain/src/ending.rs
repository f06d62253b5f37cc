//! How jobs end: what a verdict means for the job, the rest of its batch, and its run.
//!
//! The ledgers write down what is decided here. Rejected: a verdict that each ledger
//! reads for itself; two of them read one verdict differently (a stop within a run
//! that was being cancelled was sent again immediately by one, after a pause by the other).

use std::time::Duration;

use crate::{
    code::Code,
    job::{Attempt, JobKind, JobState, Verdict},
    run::{RunMove, RunState},
};

/// Pause of a job that wanted to stop its run and could not, since the run goes on sending
/// (it is being cancelled). Without it the job would be sent again immediately, and again.
pub const UNSTOPPABLE: Duration = Duration::from_secs(10);

/// What the fields of a discrepancy hold when the user could not be read back.
pub const NOT_READ_BACK: &str = "not read back";

/// What happens to the work that a job leaves when it is given up, so that its batch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// Pending items of its batch fail with the job's code; the batch is provisioned.
    Fail,
    /// Users of its batch are discrepancies ([`NOT_READ_BACK`]); the batch is verified.
    Unread,
    /// Nothing: the sweep makes another report job after a pause.
    Nothing,
}

/// How a job ends, or goes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is done, and leaves nothing.
    Done,
    /// It goes back.
    Back {
        /// When it is due again.
        after: Duration,
        /// Why it went back.
        code: Code,
        /// The try to count and record, if this was one.
        attempt: Option<Attempt>,
        /// Whether its run stops with it.
        stops: bool,
    },
    /// It is given up, with a dead letter.
    Dead {
        /// Code of the reason.
        code: Code,
        /// The try to count and record, if there was one.
        attempt: Option<Attempt>,
        /// What becomes of what it leaves.
        leftover: Leftover,
    },
}

impl Ending {
    /// The job's state afterwards.
    pub const fn state(&self) -> JobState {
        match self {
            Ending::Done => JobState::Done,
            Ending::Back { .. } => JobState::Ready,
            Ending::Dead { .. } => JobState::Dead,
        }
    }
}

/// The ending that a holder's verdict means. `run` is the state of the job's run. A snooze
/// counts no attempt, whatever the handler passes along; a retry always counts one.
pub fn of(kind: JobKind, verdict: &Verdict, attempt: Option<&Attempt>, run: RunState) -> Ending {
    match *verdict {
        Verdict::Done => Ending::Done,
        Verdict::Retry { after, code } => {
            let untimed = Attempt { number: 0, code, took: Duration::ZERO };
            let attempt = Some(attempt.cloned().unwrap_or(untimed));
            Ending::Back { after, code, attempt, stops: false }
        }
        Verdict::Snooze { after, code } => Ending::Back { after, code, attempt: None, stops: false },
        Verdict::Stop { code } => {
            let stops = run.after(RunMove::Stop).is_some();
            let after = if run.is_sending() && !stops { UNSTOPPABLE } else { Duration::ZERO };
            Ending::Back { after, code, attempt: None, stops }
        }
        Verdict::Discard { code } => {
            Ending::Dead { code, attempt: attempt.cloned(), leftover: leftover(kind) }
        }
    }
}

/// What happens to the work that a job of this kind leaves when it is given up, by its
/// holder or by the rescue.
pub const fn leftover(kind: JobKind) -> Leftover {
    match kind {
        JobKind::Provision => Leftover::Fail,
        JobKind::Verify => Leftover::Unread,
        JobKind::Report => Leftover::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: Code = Code::ScopeMissing;

    fn after_stop(run: RunState) -> (Duration, bool) {
        match of(JobKind::Provision, &Verdict::Stop { code: CODE }, None, run) {
            Ending::Back { after, attempt: None, stops, .. } => (after, stops),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_stop_within_a_run_that_goes_on_sending_waits() {
        assert_eq!(after_stop(RunState::Running), (Duration::ZERO, true));
        assert_eq!(after_stop(RunState::Cancelling), (UNSTOPPABLE, false));
        assert_eq!(after_stop(RunState::Stopped), (Duration::ZERO, false), "nothing is sent anyway");
        assert_eq!(after_stop(RunState::Paused), (Duration::ZERO, false));
    }

    #[test]
    fn a_retry_always_counts_and_a_snooze_never() {
        let tried = Attempt { number: 3, code: CODE, took: Duration::from_secs(1) };
        let attempt_of = |verdict, attempt| match of(JobKind::Verify, &verdict, attempt, RunState::Running) {
            Ending::Back { attempt, .. } | Ending::Dead { attempt, .. } => attempt,
            Ending::Done => None,
        };
        let wait = Duration::from_secs(2);
        let retry = Verdict::Retry { after: wait, code: CODE };
        assert_eq!(attempt_of(retry.clone(), Some(&tried)), Some(tried.clone()));
        assert_eq!(attempt_of(retry, None).map(|attempt| attempt.code), Some(CODE));
        assert_eq!(attempt_of(Verdict::Snooze { after: wait, code: CODE }, Some(&tried)), None);
        assert_eq!(attempt_of(Verdict::Stop { code: CODE }, Some(&tried)), None);
        assert_eq!(attempt_of(Verdict::Discard { code: CODE }, Some(&tried)), Some(tried.clone()));
        assert_eq!(attempt_of(Verdict::Discard { code: CODE }, None), None, "it may have died untried");
    }

    #[test]
    fn a_job_goes_back_for_as_long_as_was_asked() {
        let wait = Duration::from_secs(2);
        for verdict in
            [Verdict::Retry { after: wait, code: CODE }, Verdict::Snooze { after: wait, code: CODE }]
        {
            match of(JobKind::Provision, &verdict, None, RunState::Running) {
                Ending::Back { after, stops: false, .. } => assert_eq!(after, wait, "{verdict:?}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn what_a_job_leaves_follows_from_its_work() {
        let expected = [
            (JobKind::Provision, Leftover::Fail),
            (JobKind::Verify, Leftover::Unread),
            (JobKind::Report, Leftover::Nothing),
        ];
        for (kind, left) in expected {
            assert_eq!(leftover(kind), left);
            let ending = of(kind, &Verdict::Discard { code: CODE }, None, RunState::Running);
            assert_eq!(ending, Ending::Dead { code: CODE, attempt: None, leftover: left });
        }
    }

    #[test]
    fn every_ending_is_a_move_of_a_leased_job() {
        use crate::job::JobMove;
        let leased = |step| JobState::Leased.after(step);
        let verdict = |verdict| of(JobKind::Report, &verdict, None, RunState::Running).state();
        assert_eq!(Some(verdict(Verdict::Done)), leased(JobMove::Finish));
        assert_eq!(
            Some(verdict(Verdict::Snooze { after: Duration::ZERO, code: CODE })),
            leased(JobMove::HandBack)
        );
        assert_eq!(Some(verdict(Verdict::Discard { code: CODE })), leased(JobMove::GiveUp));
    }
}
