//! The tick on the runtime that does the work: its age tells whether the runtime is blocked.

use tokio::{task::AbortHandle, time::MissedTickBehavior};

use crate::Sources;

/// The tick, until this is dropped.
#[derive(Debug)]
pub struct Turns(AbortHandle);

impl Drop for Turns {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Begins the tick on the runtime that calls this: that is the one that is watched.
pub fn watch_turns(sources: &Sources) -> Turns {
    sources.figures.turned_at_ms.set((sources.monotonic_ms)());
    Turns(tokio::spawn(tick(sources.clone())).abort_handle())
}

async fn tick(sources: Sources) {
    let mut interval = tokio::time::interval(sources.patience.tick());
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        sources.figures.turned_at_ms.set((sources.monotonic_ms)());
    }
}
