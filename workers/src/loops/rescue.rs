//! Takes back what belongs to holders whose lease ran out, and seals runs that
//! have nothing left but were missed.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::pause;
use crate::environment::Environment;

/// How often leases are looked at.
const EVERY: Duration = Duration::from_millis(250);
/// How many looks go by between two sweeps for finished runs.
const SWEEP_EVERY: u32 = 4;

pub(crate) async fn rescue(env: &Environment, end: &CancellationToken) {
    let mut looks = 0u32;
    loop {
        let wait = match look(env, looks.is_multiple_of(SWEEP_EVERY)).await {
            Ok(()) => EVERY,
            Err(error) => {
                // Nobody could renew either: an outage must not be taken for a massacre.
                warn!(%error, "leases could not be looked at; waiting for one lease");
                env.tuning.lease
            }
        };
        looks = looks.wrapping_add(1);
        if !pause(wait, end).await {
            return;
        }
    }
}

async fn look(env: &Environment, sweep: bool) -> Result<(), ferry_domain::ports::LedgerError> {
    let rescued = env.ledger.rescue_expired().await?;
    if !rescued.is_empty() {
        warn!(rescued = rescued.len(), "leases ran out; their work goes to others");
        env.nudge();
    }
    if sweep {
        let sealing = env.ledger.seal_finished().await?;
        if sealing > 0 {
            info!(sealing, "runs have nothing left and will be sealed");
            env.nudge();
        }
    }
    Ok(())
}
