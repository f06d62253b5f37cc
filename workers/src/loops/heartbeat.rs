//! Says that the process lives and renews all its leases in one statement.

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::pause;
use crate::environment::Environment;

pub(crate) async fn heartbeat(env: &Environment, end: &CancellationToken) {
    let lease = env.tuning.lease;
    let mut renewed = Instant::now();
    loop {
        let (round, began) = (env.held.begin_heartbeat(), Instant::now());
        match env.ledger.heartbeat(&env.worker, lease).await {
            Ok(jobs) => {
                renewed = began;
                let lost = env.held.keep_only(round, &jobs);
                if lost > 0 {
                    warn!(lost, "leases went to other workers; their work is dropped here");
                }
            }
            Err(error) => {
                warn!(%error, "leases could not be renewed");
                // Others take the work over by now: going on would be work for nothing.
                if renewed.elapsed() >= lease && env.held.count() > 0 {
                    warn!(lost = env.held.lose_all(), "no renewal for a whole lease; all work is dropped");
                }
            }
        }
        if !pause(lease / 3, end).await {
            return;
        }
    }
}
