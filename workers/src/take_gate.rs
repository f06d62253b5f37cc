//! The take gate: whether this process may take jobs at all.
//!
//! A worker that could only put its jobs back keeps them from workers that can do them. So it
//! takes none before it has a token of Auth0, none while that token is refused, and none from a
//! server that can never be the queue. Rejected: to take a job and wait with it. It would be
//! leased, or in flight, for as long as the fault lasts.

use ferry_domain::JobKind;
use tokio::sync::watch;

/// Shut until queue and token were looked at.
pub(crate) struct TakeGate(watch::Sender<Seen>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    queue_fits: bool,
    token_there: bool,
}

impl Seen {
    /// Reports are written without Auth0.
    fn allows(self, kind: JobKind) -> bool {
        self.queue_fits && (self.token_there || kind == JobKind::Report)
    }
}

impl TakeGate {
    pub(crate) fn new() -> Self {
        TakeGate(watch::Sender::new(Seen::default()))
    }

    /// Whether the queue's server can be one.
    pub(crate) fn set_queue_fits(&self, fits: bool) {
        self.0.send_modify(|seen| seen.queue_fits = fits);
    }

    /// Whether Auth0 may be asked for anything.
    pub(crate) fn set_token_there(&self, there: bool) {
        self.0.send_modify(|seen| seen.token_there = there);
    }

    /// Whether jobs may go to the queue, and come from it.
    pub(crate) fn queue_fits(&self) -> bool {
        self.0.borrow().queue_fits
    }

    /// Resolves when jobs may go to the queue.
    pub(crate) async fn queue_found_fit(&self) {
        // Can't fail: the sender lives as long as `self`.
        let _ = self.0.subscribe().wait_for(|seen| seen.queue_fits).await;
    }

    /// Resolves when jobs of this kind may be taken.
    pub(crate) async fn opens(&self, kind: JobKind) {
        // Can't fail: the sender lives as long as `self`.
        let _ = self.0.subscribe().wait_for(|seen| seen.allows(kind)).await;
    }

    /// Resolves when jobs of this kind may be taken no more.
    pub(crate) async fn shuts(&self, kind: JobKind) {
        let _ = self.0.subscribe().wait_for(|seen| !seen.allows(kind)).await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn jobs_are_taken_with_a_fit_queue_and_a_token_only() {
        let gate = TakeGate::new();
        let open = |kind| gate.opens(kind).now_or_never().is_some();
        assert!(!JobKind::ALL.into_iter().any(open), "nothing was looked at");
        gate.set_token_there(true);
        assert!(!open(JobKind::Provision), "the queue is not known");
        assert!(gate.queue_found_fit().now_or_never().is_none());
        gate.set_queue_fits(true);
        assert!(gate.queue_found_fit().now_or_never().is_some());
        assert!(JobKind::ALL.into_iter().all(open));
        assert!(gate.shuts(JobKind::Verify).now_or_never().is_none());
        gate.set_token_there(false);
        assert!(!open(JobKind::Provision) && !open(JobKind::Verify));
        assert!(open(JobKind::Report), "a report needs no Auth0");
        assert!(gate.shuts(JobKind::Verify).now_or_never().is_some());
        gate.set_queue_fits(false);
        assert!(!open(JobKind::Report) && !gate.queue_fits());
    }
}
