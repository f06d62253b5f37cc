//! The final check of a user that keeps ending its workers although it is alone in its job.
//!
//! It is not sent again: Auth0 is asked whether it arrived before its worker died. Without
//! this a user that was there was reported as failed, and its id was never written back.

use ferry_domain::{
    Code, Item, ItemResult, Job, Lease, RunState, Verdict, crash,
    ports::{LedgerError, RunNow},
};
use tracing::info;

use super::{
    answers::{Ended, look_up_again, outcome_at_auth0},
    result_buffer::ResultBuffer,
};
use crate::{environment::Environment, held::HeldLease};

pub(crate) async fn final_check(
    env: &Environment,
    lease: &Lease<Job>,
    hold: &HeldLease,
    run: &RunNow,
    item: Item,
) -> Result<Ended, LedgerError> {
    let answer = outcome_at_auth0(env, lease, run, &item).await;
    crash::pass("poison.asked");
    match answer {
        Ok(Some(outcome)) => {
            info!(item.seq = item.seq.0, "workers died over this user, and it is at Auth0");
            let mut results = ResultBuffer::new(env, lease, hold, RunState::Running);
            results.requests = 1;
            results.add(ItemResult::of(item, outcome));
            results.write().await?;
            Ok(Ended::InLedger)
        }
        Ok(None) => Ok(Ended::With(Verdict::Discard { code: Code::CrashedWorker })),
        Err(error) => Ok(Ended::With(look_up_again(env, lease, error))),
    }
}
