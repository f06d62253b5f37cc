//! Dead letters that a person decides on.

use ferry_domain::{
    BatchId, JobKind, RunId,
    ports::{Command, DeadState, Redriven},
    redrive::{self, Fate},
};

use super::moves;
use crate::{
    audit::Line,
    refusals,
    rows::{Letter, Letters},
    steps::{RedriveSteps, Step},
};

/// Sends locked letters again, each run's by itself. Users of a provision job go the way of a
/// retry: into a new batch of the run's next round. A verify job is made anew under another id,
/// since an ended job never moves; a report job is made by whatever seals the run, so its letter
/// has only to be answered.
pub async fn redrive<X: RedriveSteps>(
    x: &mut X,
    letters: &Letters,
    batch_ids: &[BatchId],
    command: &Command<'_>,
) -> Step<Redriven, X> {
    let mut done = Redriven { left: letters.payloads.len() as i64, ..Redriven::default() };
    let mut ids = batch_ids;
    for (run, letters) in &letters.of_runs {
        match of_run(x, *run, letters, &mut ids).await? {
            None => done.left += letters.len() as i64,
            Some(users) => {
                let numbers: Vec<i64> = letters.iter().map(|letter| letter.id).collect();
                x.resolve(&numbers, DeadState::Redriven, command.by).await?;
                x.write_audit(&Line::redriven(*run, &numbers, users, command)).await?;
                done.letters += numbers.len() as i64;
                done.users += users;
            }
        }
    }
    Ok(done)
}

/// The number of users pending again, or `None` when the run has no such move now.
async fn of_run<X: RedriveSteps>(
    x: &mut X,
    run: RunId,
    letters: &[Letter],
    ids: &mut &[BatchId],
) -> Step<Option<i64>, X> {
    if !x.is_there(run).await? {
        return Ok(None);
    }
    let state = x.lock(run).await?;
    match redrive::fate(state, letters.iter().map(|letter| letter.kind)) {
        Fate::Left => Ok(None),
        Fate::Report => {
            x.begin_sealing(run, state).await?;
            Ok(Some(0))
        }
        Fate::Again { run: next, comes_back } => {
            let of_kind = |kind| letters.iter().filter(move |letter| letter.kind == kind).collect::<Vec<_>>();
            let (provision, verify) = (of_kind(JobKind::Provision), of_kind(JobKind::Verify));
            let taken =
                ids.split_at_checked(provision.len()).ok_or_else(refusals::more_letters_than_counted)?;
            let round = x.round(run).await?.number;
            let users = x.provision_again(run, &provision, taken.0, round + 1).await?;
            *ids = taken.1;
            let batches = x.verify_again(run, &verify).await?;
            if users + batches == 0 {
                return Ok(Some(0)); // taken up by a retry before
            }
            if comes_back {
                x.refuse_second(run).await?;
            }
            moves::go_on(x, run, next, if users > 0 { round + 1 } else { round }).await?;
            Ok(Some(users))
        }
    }
}

/// Marks locked letters as discarded; returns their number.
pub async fn discard<X: RedriveSteps>(x: &mut X, letters: Letters, command: &Command<'_>) -> Step<i64, X> {
    let mut discarded = 0;
    let of_runs = letters
        .of_runs
        .into_iter()
        .map(|(run, letters)| (Some(run), letters.into_iter().map(|letter| letter.id).collect::<Vec<_>>()));
    for (run, numbers) in of_runs.chain([(None, letters.payloads)]) {
        if numbers.is_empty() {
            continue;
        }
        x.resolve(&numbers, DeadState::Discarded, command.by).await?;
        x.write_audit(&Line::discarded(run, &numbers, command)).await?;
        discarded += numbers.len() as i64;
    }
    Ok(discarded)
}
