//! Checks whether jobs can move through the queue, for readiness and for the text why work waits.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::pause;
use crate::environment::Environment;

const EVERY: Duration = Duration::from_secs(1);
/// Longer than a probe takes that finds out why the server is silent.
const PATIENCE: Duration = Duration::from_secs(6);

pub(crate) async fn queue_watch(env: &Environment, end: &CancellationToken) {
    let mut told: Option<String> = None;
    loop {
        let (lacks, passes) = match tokio::time::timeout(PATIENCE, env.queue.probe()).await {
            Ok(Ok(())) => (None, true),
            Ok(Err(error)) => (Some(error.to_string()), error.passes),
            Err(_) => (Some(format!("the queue does not answer within {} s", PATIENCE.as_secs())), true),
        };
        // A server that is away is waited for; from one that can never be the queue nothing is taken.
        env.take_gate.set_queue_fits(passes);
        if told != lacks {
            match &lacks {
                Some(reason) if passes => warn!(reason, "running jobs go on, no new ones come"),
                Some(reason) => warn!(reason, "this worker takes no jobs"),
                None => info!("jobs move through the queue again"),
            }
            told = lacks.clone();
        }
        env.figures.set_queue_lacks(lacks);
        if !pause(EVERY, end).await {
            return;
        }
    }
}
