//! What a cancel settles immediately, and what a worker has to ask Auth0 about.
//!
//! Items of a job that no worker ever held can't be at Auth0. Any other pending item may
//! have been sent. Halves of batches, and batches of later rounds, hold users that were
//! tried before, so their jobs begin with a token, as if they had been leased.

use crate::{
    job::{JobMove, JobState},
    run::RunState,
};

/// Whether a run's plan has to be finished before it is cancelled: items that were read so
/// far are counted like those of any other plan.
pub const fn finishes_the_plan(run: RunState) -> bool {
    matches!(run, RunState::Planning)
}

/// Whether no worker ever held a job: its items are cancelled and the job is done.
pub const fn is_untouched(job: JobState, token: i64) -> bool {
    job.after(JobMove::Withdraw).is_some() && token == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_run_that_is_being_planned_has_its_plan_finished() {
        for run in RunState::ALL {
            assert_eq!(finishes_the_plan(run), run == RunState::Planning, "{run}");
        }
    }

    #[test]
    fn a_job_that_was_ever_leased_is_left_to_a_worker() {
        assert!(is_untouched(JobState::Ready, 0) && is_untouched(JobState::Queued, 0));
        for job in JobState::ALL {
            assert!(!is_untouched(job, 1), "{job:?}");
        }
        assert!(!is_untouched(JobState::Leased, 0) && !is_untouched(JobState::Done, 0));
    }
}
