//! Checks whether the queue answers, for readiness and for the text why work waits.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::pause;
use crate::environment::Environment;

const EVERY: Duration = Duration::from_secs(2);
/// Longer than any pause of a healthy server.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn queue_watch(env: &Environment, end: &CancellationToken) {
    let mut answered = true;
    loop {
        let answers = matches!(tokio::time::timeout(PATIENCE, env.queue.depth()).await, Ok(Ok(_)));
        env.figures.queue_reachable.set(i64::from(answers));
        match (answered, answers) {
            (true, false) => warn!("the queue does not answer: running jobs go on, no new ones come"),
            (false, true) => info!("the queue answers again"),
            _ => {}
        }
        answered = answers;
        if !pause(EVERY, end).await {
            return;
        }
    }
}
