//! The last word on a user over which workers died again and again, alone. It is not
//! sent once more; Auth0 is asked whether it arrived before its worker died. Without this
//! a user that was there was reported as failed, and its id was never written back.

use ferry_domain::{
    Code, Item, ItemResult, Job, Lease, RunSpec, RunState, Verdict, crash, ports::LedgerError,
};
use tracing::info;

use super::{
    group::Group,
    withdraw::{after, if_there},
};
use crate::{Ended, environment::Environment, held::Hold};

pub(crate) async fn last_word(
    env: &Environment,
    lease: &Lease<Job>,
    hold: &Hold,
    (migration, spec): (&str, &RunSpec),
    item: Item,
) -> Result<Ended, LedgerError> {
    let answer = if_there(env, lease, migration, spec, &item).await;
    crash::pass("poison.asked");
    match answer {
        Ok(Some(outcome)) => {
            info!(item.seq = item.seq.0, "workers died over this user, and it is at Auth0");
            let mut group = Group::new(env, lease, hold, RunState::Running);
            group.requests = 1;
            group.add(ItemResult { seq: item.seq, key: item.record.key, outcome });
            group.write().await?;
            Ok(Ended::InLedger)
        }
        Ok(None) => Ok(Ended::With(Verdict::Discard { code: Code::CrashedWorker })),
        Err(error) => Ok(Ended::With(after(env, lease, error))),
    }
}
