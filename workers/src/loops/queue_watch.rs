//! Checks whether jobs can move through the queue, for readiness and for the text why work waits.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::pause;
use crate::environment::Environment;

const EVERY: Duration = Duration::from_secs(2);
/// Longer than a probe takes that finds out why the server is silent.
const PATIENCE: Duration = Duration::from_secs(6);

pub(crate) async fn queue_watch(env: &Environment, end: &CancellationToken) {
    let mut told: Option<String> = None;
    loop {
        let lacks = match tokio::time::timeout(PATIENCE, env.queue.probe()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("the queue does not answer within {} s", PATIENCE.as_secs())),
        };
        if told != lacks {
            match &lacks {
                Some(reason) => warn!(reason, "running jobs go on, no new ones come"),
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
