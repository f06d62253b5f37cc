//! The loops that run beside the handlers in a worker process.

pub(crate) mod clock_watch;
pub(crate) mod controls;
pub(crate) mod exporter;
pub(crate) mod heartbeat;
pub(crate) mod janitor;
mod lasting;
pub(crate) mod presence;
pub(crate) mod queue_watch;
pub(crate) mod relay;
pub(crate) mod rescue;
pub(crate) mod token_watch;

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Waits; false when the loop should end.
pub(crate) async fn pause(by: Duration, end: &CancellationToken) -> bool {
    tokio::select! {
        () = end.cancelled() => false,
        () = sleep(by) => true,
    }
}
