//! Removes from the queue what a loss left half and leftovers of finished jobs, and from
//! the ledger dead letters that were resolved long ago.

use std::time::Duration;

use ferry_domain::telemetry::Told;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::pause;
use crate::environment::Environment;

const EVERY: Duration = Duration::from_secs(5);
/// Passes between two looks for dead letters that need not be kept any longer: an hour.
const PRUNE_EVERY: u32 = 720;

pub(crate) async fn janitor(env: &Environment, end: &CancellationToken) {
    let (mut passes, mut told, started) = (0u32, Told::default(), Instant::now());
    loop {
        match env.queue.sweep().await {
            Ok(swept) if swept.without_payload > 0 => {
                warn!(jobs = swept.without_payload, "the queue had ids without a payload; removed");
            }
            Ok(swept) => debug!(finished = swept.finished, "queue swept"),
            Err(error) if told.is_new(&error.to_string(), started.elapsed()) => {
                warn!(%error, "the queue could not be swept");
            }
            Err(error) => debug!(%error, "the queue could not be swept"),
        }
        if let Some(keep) = env.tuning.keep_dead
            && passes.is_multiple_of(PRUNE_EVERY)
        {
            prune(env, keep).await;
        }
        passes = passes.wrapping_add(1);
        if !pause(EVERY, end).await {
            return;
        }
    }
}

/// Never silent: what is removed is counted in the log.
async fn prune(env: &Environment, keep: Duration) {
    match env.dead.prune_dead(keep).await {
        Ok(0) => {}
        Ok(letters) => info!(letters, days = keep.as_secs() / 86_400, "resolved dead letters were removed"),
        Err(error) => warn!(%error, "resolved dead letters could not be removed"),
    }
}
