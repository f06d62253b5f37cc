//! A circuit breaker: after failures in a row nothing is sent but a probe now and
//! then, and the return is gradual. Time and chance are passed in.
//!
//! One for each dependency of a process. Rejected: opening on a share of failures
//! (a slow trickle of timeouts would stop work that mostly succeeds).

use std::time::Duration;

use crate::{ports::Random, retry};

/// Failures in a row that open it.
pub const FAILURES: u32 = 8;
/// Successes in a row after which everything may pass again; until then as many as succeeded, doubled.
const RECOVERED: u32 = 16;
/// Longest pause between probes.
pub const LONGEST: Duration = Duration::from_secs(30);

/// State of the circuit breaker. Times count from a start that the owner chose.
#[derive(Clone, Debug, Default)]
pub struct Breaker {
    failures: u32,
    openings: i32,
    /// While open: when the next probe may pass.
    probe_at: Option<Duration>,
    /// A probe is under way since then.
    probing: Option<Duration>,
    /// While recovering: successes since the probe.
    recovering: Option<u32>,
}

/// Whether a request may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may be sent.
    Pass,
    /// Not before this time has passed; then ask again.
    Wait(Duration),
}

/// A probe that nobody reports on is forgotten after this.
const FORGOTTEN: Duration = Duration::from_secs(60);
/// While recovering, how soon the next one asks again.
const TURN: Duration = Duration::from_millis(20);

impl Breaker {
    /// Asks to send while `under_way` requests are out.
    pub fn admit(&mut self, now: Duration, under_way: usize) -> Admission {
        if let Some(successes) = self.recovering {
            let most = usize::try_from(successes.max(1)).unwrap_or(usize::MAX) * 2;
            return if under_way < most { Admission::Pass } else { Admission::Wait(TURN) };
        }
        let Some(probe_at) = self.probe_at else { return Admission::Pass };
        if self.probing.is_some_and(|since| now < since + FORGOTTEN) {
            return Admission::Wait(TURN.saturating_mul(5));
        }
        if now < probe_at {
            return Admission::Wait(probe_at - now);
        }
        self.probing = Some(now);
        Admission::Pass
    }

    /// A request was answered, whatever the answer.
    pub fn succeeded(&mut self) {
        self.failures = 0;
        if self.probe_at.take().is_some() {
            self.probing = None;
            self.recovering = Some(1);
        } else if let Some(successes) = &mut self.recovering {
            *successes += 1;
            if *successes >= RECOVERED {
                *self = Breaker::default();
            }
        }
    }

    /// A request got no answer, or one that says the other side is ill.
    pub fn failed(&mut self, now: Duration, random: &dyn Random) {
        self.failures += 1;
        let again = self.probing.take().is_some() || self.recovering.is_some();
        if self.probe_at.is_some() && !again {
            return; // sent before it opened
        }
        if again || self.failures >= FAILURES {
            let pause = retry::wait(self.openings + 1, random).clamp(Duration::from_millis(200), LONGEST);
            self.openings += 1;
            self.recovering = None;
            self.probe_at = Some(now + pause);
        }
    }

    /// A request was given up before it was answered.
    pub fn abandoned(&mut self) {
        self.probing = None;
    }

    /// Whether nothing but probes passes.
    pub fn is_open(&self) -> bool {
        self.probe_at.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SeededRandom;

    const SECOND: Duration = Duration::from_secs(1);

    fn opened(random: &SeededRandom) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES {
            assert!(!breaker.is_open());
            breaker.failed(SECOND, random);
        }
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let random = SeededRandom::new(1);
        let mut breaker = Breaker::default();
        for _ in 0..100 {
            breaker.failed(SECOND, &random);
            breaker.succeeded();
        }
        assert!(!breaker.is_open());
        assert!(opened(&random).is_open());
    }

    #[test]
    fn while_open_one_probe_passes_at_a_time_and_its_failure_waits_anew() {
        let random = SeededRandom::new(2);
        let mut breaker = opened(&random);
        let mut now = SECOND;
        let mut probes = 0;
        while now < SECOND * 601 {
            match breaker.admit(now, 0) {
                Admission::Pass => {
                    probes += 1;
                    assert!(matches!(breaker.admit(now, 1), Admission::Wait(_)), "a second probe");
                    breaker.failed(now, &random);
                }
                Admission::Wait(by) => now += by.max(Duration::from_millis(1)),
            }
        }
        assert!((20..400).contains(&probes), "{probes} probes in ten minutes");
    }

    #[test]
    fn the_return_is_gradual_and_ends() {
        let random = SeededRandom::new(3);
        let mut breaker = opened(&random);
        let later = SECOND + LONGEST;
        assert_eq!(breaker.admit(later, 0), Admission::Pass);
        breaker.succeeded();
        assert!(!breaker.is_open());
        assert_eq!(breaker.admit(later, 1), Admission::Pass);
        assert!(matches!(breaker.admit(later, 2), Admission::Wait(_)), "a herd at the first success");
        for _ in 0..RECOVERED {
            breaker.succeeded();
        }
        assert_eq!(breaker.admit(later, 1_000), Admission::Pass);
    }

    #[test]
    fn a_failure_while_recovering_opens_it_again() {
        let random = SeededRandom::new(4);
        let mut breaker = opened(&random);
        assert_eq!(breaker.admit(SECOND + LONGEST, 0), Admission::Pass);
        breaker.succeeded();
        breaker.failed(SECOND + LONGEST, &random);
        assert!(breaker.is_open());
    }
}
