//! What is left of a batch when its run is cancelled: no user is sent any more, but a
//! user that may exist at Auth0 is looked up before it is recorded as cancelled. A batch
//! that was ever leased may have sent any of its pending users.

use ferry_domain::{
    Item, ItemResult, Job, JobKind, Lease, Outcome, RunState, Verdict, crash,
    ports::{DirectoryError, LedgerError, RunNow},
};
use futures_util::{StreamExt, stream};
use tracing::info;

use super::{
    answers::{Ended, handed_back, look_up_again, outcome_at_auth0},
    result_buffer::ResultBuffer,
};
use crate::{environment::Environment, held::HeldLease};

pub(crate) async fn withdraw(
    env: &Environment,
    lease: &Lease<Job>,
    hold: &HeldLease,
    run: &RunNow,
) -> Result<Ended, LedgerError> {
    let items = env.items.pending_items(lease).await?;
    if items.is_empty() {
        return Ok(Ended::With(Verdict::Done));
    }
    let mut results = ResultBuffer::new(env, lease, hold, RunState::Cancelling);
    let mut answers =
        stream::iter(items).map(|item| ask(env, lease, run, item)).buffer_unordered(env.tuning.users);
    loop {
        let answer = tokio::select! {
            biased;
            () = hold.lost() => return Err(LedgerError::LeaseLost),
            () = env.stopping.cancelled() => break,
            () = env.send_gate.halted(lease.of.run, JobKind::Verify) => break,
            answer = answers.next() => answer,
        };
        match answer {
            None => break,
            Some(Ok(result)) => {
                results.requests += 1;
                results.add(result);
            }
            Some(Err(error)) => {
                results.write().await?;
                return Ok(Ended::With(look_up_again(env, lease, error)));
            }
        }
        if results.is_full() {
            crash::pass("cancel.asked");
            results.write().await?;
        }
    }
    crash::pass("cancel.asked");
    results.write().await?;
    if results.finished {
        info!("batch withdrawn");
        return Ok(Ended::InLedger);
    }
    Ok(Ended::With(handed_back()))
}

/// Reads the chosen id: a user that is there counts as created, in a cancelled run too.
async fn ask(
    env: &Environment,
    lease: &Lease<Job>,
    run: &RunNow,
    item: Item,
) -> Result<ItemResult, DirectoryError> {
    let there = outcome_at_auth0(env, lease, run, &item).await?;
    let outcome = there.unwrap_or_else(Outcome::cancelled);
    Ok(ItemResult::of(item, outcome))
}
