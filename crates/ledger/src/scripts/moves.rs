//! Moves of a run.

use ferry_domain::{
    BatchId, RunId, RunState,
    ports::{Cancellable, Command, LedgerError, Moved, Retried, UserFilter},
    run::{Asked, RunMove},
    withdrawal,
};

use crate::{
    audit::Line,
    refusals,
    steps::{CancelSteps, RetrySteps, Round, RunSteps, Step},
};

/// Moves a run as its work asks for; refuses a move that its state doesn't have.
pub async fn advance<X: RunSteps>(x: &mut X, run: RunId, step: RunMove) -> Step<RunState, X> {
    let before = x.lock(run).await?;
    let after = before.after(step).ok_or_else(|| LedgerError::no_such_move(run, before, step))?;
    x.set_state(run, after).await?;
    Ok(after)
}

/// Batches that one transaction of a cancel ends: 25,000 users where batches are as large as they
/// are by default, which takes a fraction of a second.
const WITHDRAWN_AT_ONCE: i64 = 100;

/// Moves a run as a person or a threshold asks for. Asking twice changes nothing. A cancel only says
/// here what it will do: [`withdraw`] does it.
pub async fn ask<X: CancelSteps>(
    x: &mut X,
    run: RunId,
    step: RunMove,
    command: &Command<'_>,
) -> Step<Moved, X> {
    refusals::asked_for(step)?;
    let before = x.lock(run).await?;
    let after = match before.asked(step) {
        Asked::Moves(after) => after,
        Asked::Already => return Ok(Moved { before, after: before, cancelled: 0, to_ask: 0 }),
        Asked::Refused => return Err(LedgerError::no_such_move(run, before, step).into()),
    };
    let mut moved = Moved { before, after, cancelled: 0, to_ask: 0 };
    if withdrawal::finishes_the_plan(before) {
        x.finish_plan(run).await?;
    }
    // On resuming, what was said before holds no longer.
    let why = command.reason.filter(|_| step != RunMove::Resume);
    x.set_state(run, after).await?;
    x.set_why(run, why).await?;
    match step {
        RunMove::Resume => x.count_failures_from_here(run).await?,
        RunMove::Cancel => {
            let Cancellable { at_once, to_ask } = x.cancellable(run).await?;
            (moved.cancelled, moved.to_ask) = (at_once, to_ask);
        }
        _ => {}
    }
    x.write_audit(&Line::moved(run, step, &moved, command)).await?;
    Ok(moved)
}

/// Ends a part of what a cancel settles, in a transaction of its own: a million users in one would
/// lock their batches, and in SQLite the file, for many seconds. Whether there may be more. A
/// process that ends in between leaves the rest to the workers, or to the next one that asks.
pub async fn withdraw<X: CancelSteps>(x: &mut X, run: RunId, moved: &mut Moved) -> Step<bool, X> {
    let withdrawn = x.withdraw_untouched(run, WITHDRAWN_AT_ONCE).await?;
    moved.cancelled += withdrawn.items;
    // Asked again with nothing left to do, it changes and tells nothing.
    if withdrawn.batches > 0 || moved.changed() {
        moved.to_ask = x.pending(run).await?;
    }
    Ok(withdrawn.batches > 0)
}

/// Takes failed and conflicting items up again, in new batches of the next round. With nothing
/// to take nothing changes.
pub async fn retry<X: RetrySteps>(
    x: &mut X,
    run: RunId,
    filter: &UserFilter,
    batch_ids: &[BatchId],
    command: &Command<'_>,
) -> Step<Retried, X> {
    let state = x.lock(run).await?;
    let next =
        state.after(RunMove::Retry).ok_or_else(|| LedgerError::no_such_move(run, state, RunMove::Retry))?;
    let found = x.retryable(run, filter).await?;
    let before = x.round(run).await?;
    let (items, left) = (found.take, found.left);
    if items == 0 {
        return Ok(Retried { items, batches: 0, left, round: before.number });
    }
    if !state.is_active() {
        x.refuse_second(run).await?;
    }
    let ids = refusals::batch_ids(items, before.batch_size, batch_ids)?;
    let round = Round { number: before.number + 1, ..before };
    x.move_items(run, filter, items, ids, round).await?;
    go_on(x, run, next, round.number).await?;
    let retried = Retried { items, batches: ids.len() as i64, left, round: round.number };
    x.write_audit(&Line::retried(run, filter, &retried, command)).await?;
    Ok(retried)
}

/// A locked run goes on in this round; failures count from now on.
pub(super) async fn go_on<X: RetrySteps>(x: &mut X, run: RunId, state: RunState, round: i32) -> Step<(), X> {
    x.set_state(run, state).await?;
    x.set_why(run, None).await?;
    x.set_round(run, round).await?;
    x.count_failures_from_here(run).await
}
