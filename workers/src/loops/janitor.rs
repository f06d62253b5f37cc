//! Removes from the queue what a loss left half, and leftovers of finished jobs.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::pause;
use crate::environment::Environment;

const EVERY: Duration = Duration::from_secs(5);

pub(crate) async fn janitor(env: &Environment, end: &CancellationToken) {
    loop {
        match env.queue.sweep().await {
            Ok(swept) if swept.without_payload > 0 => {
                warn!(jobs = swept.without_payload, "the queue had ids without a payload; removed");
            }
            Ok(swept) => debug!(finished = swept.finished, "queue swept"),
            Err(error) => warn!(%error, "the queue could not be swept"),
        }
        if !pause(EVERY, end).await {
            return;
        }
    }
}
