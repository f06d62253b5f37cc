//! What is left of a batch when its run is cancelled: nobody is sent any more, but a
//! user that may exist at Auth0 is asked for before it is called cancelled. A batch
//! that was ever leased may have sent any of its pending users.

use ferry_domain::{
    Auth0UserId, Item, ItemResult, Job, JobKind, Lease, Outcome, RunSpec, RunState, Verdict, adoption, crash,
    ports::{DirectoryError, LedgerError},
    retry,
};
use futures_util::{StreamExt, stream};
use tracing::{info, warn};

use super::{
    crossing::{Trouble, trouble},
    group::Group,
    provision::handed_back,
};
use crate::{Ended, environment::Environment, held::Hold};

pub(crate) async fn withdraw(
    env: &Environment,
    lease: &Lease<Job>,
    hold: &Hold,
    migration: &str,
    spec: &RunSpec,
) -> Result<Ended, LedgerError> {
    let items = env.ledger.pending_items(lease).await?;
    if items.is_empty() {
        return Ok(Ended::With(Verdict::Done));
    }
    let mut group = Group::new(env, lease, hold, RunState::Cancelling);
    let mut answers = stream::iter(items)
        .map(|item| ask(env, lease, migration, spec, item))
        .buffer_unordered(env.tuning.users);
    loop {
        let answer = tokio::select! {
            biased;
            () = hold.lost() => return Err(LedgerError::LeaseLost),
            () = env.stopping.cancelled() => break,
            () = env.standing.halted(lease.of.run, JobKind::Verify) => break,
            answer = answers.next() => answer,
        };
        match answer {
            None => break,
            Some(Ok(result)) => {
                group.requests += 1;
                group.add(result);
            }
            Some(Err(error)) => {
                group.write().await?;
                return Ok(Ended::With(after(env, lease, error)));
            }
        }
        if group.is_full() {
            crash::pass("cancel.asked");
            group.write().await?;
        }
    }
    crash::pass("cancel.asked");
    group.write().await?;
    if group.finished {
        info!("batch withdrawn");
        return Ok(Ended::InLedger);
    }
    Ok(Ended::With(handed_back()))
}

/// Reads the chosen id: created is created, also in a run that nobody wants any more.
async fn ask(
    env: &Environment,
    lease: &Lease<Job>,
    migration: &str,
    spec: &RunSpec,
    item: Item,
) -> Result<ItemResult, DirectoryError> {
    let there = if_there(env, lease, migration, spec, &item).await?;
    let outcome = there.unwrap_or_else(Outcome::cancelled);
    Ok(ItemResult { seq: item.seq, key: item.record.key, outcome })
}

/// What became of a user that may have been sent: its outcome if it is at Auth0.
pub(crate) async fn if_there(
    env: &Environment,
    lease: &Lease<Job>,
    migration: &str,
    spec: &RunSpec,
    item: &Item,
) -> Result<Option<Outcome>, DirectoryError> {
    let id = Auth0UserId::chosen(&spec.tenant, &spec.connection, migration, &item.record.key);
    let found = ferry_domain::ports::Directory::get(&env.directory, &id).await?;
    Ok(found.map(|user| adoption::by_id(&item.record, lease.of.run, &user)))
}

/// A user that can't be asked for stays pending: nothing is said of anybody on a guess.
pub(crate) fn after(env: &Environment, lease: &Lease<Job>, error: DirectoryError) -> Verdict {
    warn!(%error, "a user could not be asked for; it is asked for again later");
    let (code, attempts) = match trouble(error) {
        Trouble::Failed(code) => (code, lease.of.attempts),
        Trouble::Blocked(code) | Trouble::Stops(code) => (code, 4),
    };
    Verdict::Snooze { after: retry::wait(attempts.max(2), &*env.random), code }
}
