//! The heartbeat: one statement shows that the process lives and renews all its leases.

use std::time::Duration;

use ferry_domain::{figures::LedgerStep, liveness::heartbeat_every, ports::LedgerError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{lasting::Lasting, pause};
use crate::environment::Environment;

pub(crate) async fn heartbeat(env: &Environment, end: &CancellationToken) {
    let lease = env.tuning.lease;
    let (mut renewed, mut lasting) = (Instant::now(), Lasting::default());
    loop {
        if env.identity.is_registered() {
            let ((round, held), began) = (env.held.begin_heartbeat(), Instant::now());
            let record = env.record();
            let answer = env.timed(LedgerStep::Renew, env.processes.heartbeat(&record, lease, &held)).await;
            env.send_gate.note_written(&answer);
            match answer {
                Ok(jobs) => {
                    renewed = began;
                    lasting.is_over();
                    env.figures.renewed_at_ms.set(env.uptime_ms());
                    let lost = env.held.keep_only(round, &jobs, began, lease);
                    if lost > 0 {
                        warn!(lost, "leases went to other workers; their work is dropped here");
                    }
                }
                Err(error) => {
                    if lasting.is_told() {
                        warn!(%error, "leases could not be renewed");
                    }
                    // A lock that lasts: of another process on the file, or a transaction that has hung.
                    if matches!(error, LedgerError::Busy) && renewed.elapsed() >= lease {
                        env.send_gate.ledger_refuses(Some(error.to_string()));
                    }
                }
            }
        }
        drop_overdue(env, renewed, lease);
        env.figures.leases.set(i64::try_from(env.held.count()).unwrap_or(i64::MAX));
        let wait = async {
            tokio::select! {
                going_on = pause(heartbeat_every(lease), end) => going_on,
                () = env.tell.notified() => true,
            }
        };
        if !wait.await {
            return;
        }
    }
}

/// Other workers take the jobs over after a lease: to continue would be work for nothing.
fn drop_overdue(env: &Environment, renewed: Instant, lease: Duration) {
    if renewed.elapsed() >= lease && env.held.count() > 0 {
        warn!(lost = env.held.lose_all(), "no renewal for a whole lease; all work is dropped");
    }
}
