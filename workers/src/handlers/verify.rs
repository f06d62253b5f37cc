//! Reads each user of a completed batch back by id and compares.

use std::time::Duration;

use ferry_domain::{
    Item, Job, JobKind, Lease, RunState, Verdict, crash,
    ports::{BatchVerification, Directory, DirectoryError, Discrepancy, LedgerError},
    retry,
    verification::{Verification, compare},
};
use futures_util::{StreamExt, stream};
use tracing::{info, warn};

use super::answers::{Ended, Trouble, handed_back, of_another_tenant, trouble};
use crate::{environment::Environment, held::HeldLease};

/// Pause of a batch that can't go on because of the limit or the token.
const BLOCKED_FOR: Duration = Duration::from_secs(2);

pub(crate) async fn verify(
    env: &Environment,
    lease: &Lease<Job>,
    hold: &HeldLease,
) -> Result<Ended, LedgerError> {
    let run = env.runs.run_now(lease.of.run).await?;
    if let Some(ended) = of_another_tenant(env, &run) {
        return Ok(ended);
    }
    if !matches!(run.state, RunState::Running | RunState::Cancelling) {
        return Ok(Ended::With(handed_back()));
    }
    let items = env.items.items_at_target(lease).await?;
    let mut found = BatchVerification { requests: items.len() as i64, ..Default::default() };
    let mut readings = stream::iter(items)
        .map(|item| read_back(env, &run.spec.connection, item))
        .buffer_unordered(env.tuning.users);
    loop {
        let reading = tokio::select! {
            biased;
            () = hold.lost() => return Err(LedgerError::LeaseLost),
            () = env.stopping.cancelled() => return Ok(Ended::With(handed_back())),
            () = env.send_gate.halted(lease.of.run, JobKind::Verify) => return Ok(Ended::With(handed_back())),
            reading = readings.next() => reading,
        };
        match reading {
            None => break,
            Some(Ok(None)) => found.matched += 1,
            Some(Ok(Some(discrepancy))) => found.discrepancies.push(discrepancy),
            Some(Err(error)) => {
                warn!(%error, "a user could not be read back; the batch is read again later");
                return Ok(Ended::With(match trouble(error) {
                    Trouble::Blocked(code) => Verdict::Snooze { after: BLOCKED_FOR, code },
                    Trouble::Stops(code) if run.state == RunState::Running => Verdict::Stop { code },
                    // Auth0 is ill, not this batch.
                    Trouble::Failed(code) | Trouble::Stops(code) if env.directory.is_open() => {
                        Verdict::Snooze { after: BLOCKED_FOR, code }
                    }
                    Trouble::Stops(code) => Verdict::Snooze { after: BLOCKED_FOR, code },
                    Trouble::Failed(code) => {
                        retry::after_failure(lease.of.attempts, run.spec.max_attempts, code, &*env.random)
                    }
                }));
            }
        }
    }
    found.discrepancies.sort_by_key(|d| d.seq);
    info!(matched = found.matched, discrepancies = found.discrepancies.len(), "batch verified");
    crash::pass("verify.read");
    if !hold.is_ours() {
        return Err(LedgerError::LeaseLost);
    }
    env.reports.record_verification(lease, &found).await?;
    crash::pass("verify.recorded");
    Ok(Ended::InLedger)
}

async fn read_back(
    env: &Environment,
    connection: &str,
    item: Item,
) -> Result<Option<Discrepancy>, DirectoryError> {
    let Some(id) = item.auth0_user_id else { return Ok(None) }; // items at the target always have one
    let user = env.directory.get(&id).await?;
    let fields = match compare(&item.record, item.state, connection, user.as_ref()) {
        Verification::Matched => return Ok(None),
        Verification::Differs(fields) => fields,
        Verification::Missing => Vec::new(),
    };
    Ok(Some(Discrepancy { seq: item.seq, key: item.record.key, auth0_user_id: id, fields }))
}
