//! Reads each user of a completed batch back by id and compares. A try that can't read all keeps
//! what it has read.

use std::{collections::BTreeMap, time::Duration};

use ferry_domain::{
    Item, ItemSeq, Job, JobKind, Lease, RunState, Verdict, crash, ending,
    figures::LedgerStep,
    ports::{BatchVerification, Directory, DirectoryError, Discrepancy, LedgerError, RunNow},
    retry,
    verification::{Verification, compare},
};
use futures_util::{StreamExt, stream};
use tracing::{Instrument, info, warn};

use super::answers::{Ended, Trouble, handed_back, of_another_tenant, trouble};
use crate::{environment::Environment, held::HeldLease, traces};

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
    env.look_again(lease.of.run, JobKind::Verify).await;
    let items = env.timed(LedgerStep::ReadBatch, env.items.items_at_target(lease)).await?;
    let items = left(items, env.reports.unread(lease).await?);
    let mut unread: BTreeMap<ItemSeq, Discrepancy> = items.iter().filter_map(not_read).collect();
    let mut found = BatchVerification::default();
    let mut failure = None;
    let mut readings = stream::iter(items)
        .map(|item| {
            let span = traces::user(JobKind::Verify, lease.of.run, &item, env.tuning.user_spans);
            read_back(env, &run.spec.connection, item).instrument(span)
        })
        .buffer_unordered(env.tuning.users);
    loop {
        let reading = tokio::select! {
            biased;
            () = hold.lost() => return Err(LedgerError::LeaseLost),
            () = env.stopping.cancelled() => break failure = Some(handed_back()),
            () = env.send_gate.halted(lease.of.run, JobKind::Verify) => break failure = Some(handed_back()),
            reading = readings.next() => reading,
        };
        let Some(Reading { seq, answer }) = reading else { break };
        found.requests += 1;
        match answer {
            Ok(discrepancy) => {
                unread.remove(&seq);
                match discrepancy {
                    None => found.matched += 1,
                    Some(discrepancy) => found.discrepancies.push(discrepancy),
                }
            }
            Err(error) => {
                if failure.is_none() {
                    warn!(%error, "a user could not be read back; it is read again later");
                }
                let trouble = trouble(error);
                failure = Some(verdict(env, lease, &run, trouble));
                // Nothing will pass for now; otherwise it is this user's trouble, and others may be read.
                if !matches!(trouble, Trouble::Failed(_)) || env.directory.is_open() {
                    break;
                }
            }
        }
    }
    if let Some(verdict) = failure {
        keep(env, lease, hold, found, unread).await?;
        return Ok(Ended::With(verdict));
    }
    found.discrepancies.sort_by_key(|d| d.seq);
    info!(matched = found.matched, discrepancies = found.discrepancies.len(), "batch verified");
    crash::pass("verify.read");
    if !hold.is_ours() {
        return Err(LedgerError::LeaseLost);
    }
    env.timed(LedgerStep::WriteReadings, env.reports.record_verification(lease, &found)).await?;
    crash::pass("verify.recorded");
    Ok(Ended::InLedger)
}

/// What an earlier try left, where one kept what it had read.
fn left(items: Vec<Item>, unread: Option<Vec<ItemSeq>>) -> Vec<Item> {
    match unread {
        None => items,
        Some(unread) => items.into_iter().filter(|item| unread.contains(&item.seq)).collect(),
    }
}

/// A user as one that was not read back.
fn not_read(item: &Item) -> Option<(ItemSeq, Discrepancy)> {
    let auth0_user_id = item.auth0_user_id.clone()?;
    let (seq, key, fields) = (item.seq, item.record.key.clone(), vec![ending::NOT_READ_BACK.to_owned()]);
    Some((seq, Discrepancy { seq, key, auth0_user_id, fields }))
}

/// What a failed reading means for the batch.
fn verdict(env: &Environment, lease: &Lease<Job>, run: &RunNow, trouble: Trouble) -> Verdict {
    match trouble {
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
    }
}

/// Keeps what was read, so that the next try, or the dead letter, is about the others only.
async fn keep(
    env: &Environment,
    lease: &Lease<Job>,
    hold: &HeldLease,
    mut found: BatchVerification,
    unread: BTreeMap<ItemSeq, Discrepancy>,
) -> Result<(), LedgerError> {
    if found.matched == 0 && found.discrepancies.is_empty() {
        return Ok(());
    }
    if !hold.is_ours() {
        return Err(LedgerError::LeaseLost);
    }
    info!(matched = found.matched, unread = unread.len(), "what was read back is kept");
    found.discrepancies.extend(unread.into_values());
    found.discrepancies.sort_by_key(|d| d.seq);
    env.timed(LedgerStep::WriteReadings, env.reports.keep_readings(lease, &found)).await?;
    Ok(())
}

/// The answer to one reading.
struct Reading {
    seq: ItemSeq,
    answer: Result<Option<Discrepancy>, DirectoryError>,
}

async fn read_back(env: &Environment, connection: &str, item: Item) -> Reading {
    Reading { seq: item.seq, answer: compared(env, connection, item).await }
}

async fn compared(
    env: &Environment,
    connection: &str,
    item: Item,
) -> Result<Option<Discrepancy>, DirectoryError> {
    let Some(id) = item.auth0_user_id else { return Ok(None) }; // items at the target always have one
    let user = env.directory.read_back(&id).await?;
    let fields = match compare(&item.record, item.state, connection, user.as_ref()) {
        Verification::Matched => return Ok(None),
        Verification::Differs(fields) => fields,
        Verification::Missing => Vec::new(),
    };
    Ok(Some(Discrepancy { seq: item.seq, key: item.record.key, auth0_user_id: id, fields }))
}
