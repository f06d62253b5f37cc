//! When to try again: exponential backoff with full jitter, so that after an
//! outage the retries don't come all at one instant.

use std::time::Duration;

use crate::{code::Code, job::Verdict, ports::Random};

/// First ceiling of the wait.
pub const BASE: Duration = Duration::from_millis(500);
/// Highest ceiling of the wait.
pub const CAP: Duration = Duration::from_secs(60);

/// What a reason found at the target, or on the way there, means for the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// This user ends with it; the others go on.
    Fails,
    /// The try counts; there is another one.
    Retries,
    /// Nothing passes for now through no fault of the work; costs no attempt.
    Snoozes,
    /// Nothing passes until a person acts: failing user after user would be wrong.
    StopsRun,
}

/// The taxonomy, in one table; a test keeps it complete.
pub const fn class(code: Code) -> Class {
    match code {
        Code::ConnectionUnknown | Code::OperationNotSupported | Code::ScopeMissing => Class::StopsRun,
        Code::RateLimited
        | Code::TokenRefused
        | Code::AppTableUnfit
        | Code::LedgerBusy
        | Code::Interrupted
        | Code::DeadlineExceeded => Class::Snoozes,
        Code::ServerError
        | Code::TimedOut
        | Code::ConnectionLost
        | Code::AnswerUnreadable
        | Code::HandlerPanicked
        | Code::CrashedWorker => Class::Retries,
        _ => Class::Fails,
    }
}

/// The wait before try `attempts + 2`, drawn evenly between zero and
/// `BASE · 2^attempts`, at most [`CAP`]. `attempts` counts tries that failed before this one.
pub fn wait(attempts: i32, random: &dyn Random) -> Duration {
    let doublings = u32::try_from(attempts.clamp(0, 16)).unwrap_or(0);
    let ceiling = BASE.saturating_mul(1 << doublings).min(CAP);
    Duration::from_millis(random.below(u64::try_from(ceiling.as_millis()).unwrap_or(u64::MAX) + 1))
}

/// What becomes of a job whose try failed: another one, or the end.
pub fn after_failure(attempts: i32, max_attempts: i32, code: Code, random: &dyn Random) -> Verdict {
    if attempts + 1 >= max_attempts {
        Verdict::Discard { code }
    } else {
        Verdict::Retry { after: wait(attempts, random), code }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SeededRandom;

    #[test]
    fn waits_spread_over_the_whole_range_and_stay_under_the_ceiling() {
        let random = SeededRandom::new(1);
        for attempts in 0..40 {
            let ceiling = BASE.saturating_mul(1 << attempts.min(16)).min(CAP);
            let waits: Vec<_> = (0..200).map(|_| wait(attempts, &random)).collect();
            assert!(waits.iter().all(|w| *w <= ceiling), "attempt {attempts}");
            assert!(waits.iter().any(|w| *w < ceiling / 4), "attempt {attempts}: no jitter at the lower end");
            assert!(
                waits.iter().any(|w| *w > ceiling * 3 / 4),
                "attempt {attempts}: no jitter at the upper end"
            );
        }
    }

    #[test]
    fn what_a_person_must_mend_stops_the_run_and_what_passes_by_itself_costs_nothing() {
        let of = |class_: Class| -> Vec<_> {
            Code::ALL.iter().filter(|code| class(**code) == class_).map(|code| code.as_str()).collect()
        };
        assert_eq!(of(Class::StopsRun), ["CONNECTION_UNKNOWN", "OPERATION_NOT_SUPPORTED", "SCOPE_MISSING"]);
        assert_eq!(
            of(Class::Snoozes),
            [
                "TOKEN_REFUSED",
                "RATE_LIMITED",
                "APP_TABLE_UNFIT",
                "LEDGER_BUSY",
                "DEADLINE_EXCEEDED",
                "INTERRUPTED"
            ]
        );
        assert_eq!(of(Class::Retries).len(), 6);
        assert!(Code::ALL.iter().all(|code| code.retryable() || class(*code) == Class::Fails));
    }

    #[test]
    fn the_last_attempt_ends_the_job() {
        let random = SeededRandom::new(1);
        let code = Code::ServerError;
        assert!(matches!(after_failure(0, 3, code, &random), Verdict::Retry { .. }));
        assert!(matches!(after_failure(1, 3, code, &random), Verdict::Retry { .. }));
        assert_eq!(after_failure(2, 3, code, &random), Verdict::Discard { code });
    }
}
