//! Requests that are on their way, and how long none was answered.
//!
//! A hanging server gives no error until the time-out, and people look before that.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ferry_domain::ports::Silence;
use tokio::time::Instant;

/// A silence shorter than this is no news: answers take their time.
const NOTABLE: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, Default)]
pub(crate) struct Unanswered(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    out: usize,
    /// The last answer, or when the first of those that are out was sent.
    since: Option<Instant>,
}

/// A request on its way, until it is dropped.
pub(crate) struct Out<'a>(&'a Unanswered);

impl Unanswered {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a request is sent.
    pub(crate) fn sent(&self) -> Out<'_> {
        let mut state = self.state();
        if state.out == 0 {
            state.since = Some(Instant::now());
        }
        state.out += 1;
        Out(self)
    }

    /// Notes that a server answered, whatever it said.
    pub(crate) fn answered(&self) {
        self.state().since = Some(Instant::now());
    }

    pub(crate) fn silence(&self) -> Option<Silence> {
        let state = self.state();
        let lasts = state.since?.elapsed();
        (state.out > 0 && lasts >= NOTABLE).then_some(Silence { requests: state.out, lasts })
    }
}

impl Drop for Out<'_> {
    fn drop(&mut self) {
        self.0.state().out -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_requests_without_any_answer_for_a_second_are_a_silence() {
        let unanswered = Unanswered::default();
        assert_eq!(unanswered.silence(), None, "nothing is out");
        let (one, two) = (unanswered.sent(), unanswered.sent());
        tokio::time::advance(NOTABLE / 2).await;
        assert_eq!(unanswered.silence(), None, "an answer takes its time");
        tokio::time::advance(NOTABLE * 2).await;
        let silence = unanswered.silence().unwrap();
        assert_eq!((silence.requests, silence.lasts.as_millis()), (2, 2_500));
        unanswered.answered();
        drop(one);
        assert_eq!(unanswered.silence(), None, "it answers others");
        tokio::time::advance(NOTABLE * 3).await;
        assert_eq!(unanswered.silence().unwrap().requests, 1);
        drop(two);
        assert_eq!(unanswered.silence(), None, "given up, nothing is out");
        let _later = unanswered.sent();
        assert_eq!(unanswered.silence(), None, "time in which nothing was out does not count");
    }
}
