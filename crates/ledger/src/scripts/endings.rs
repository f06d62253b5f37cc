//! How leases end, and jobs that nobody holds.

use ferry_domain::{
    Attempt, Code, Job, JobKind, Lease, RunId, RunState, Tally, Verdict, WorkerId,
    ending::{self, Ending, Leftover},
    ports::{BatchVerification, Command, SealedRun},
    run::RunMove,
};

use super::moves;
use crate::{
    refusals,
    steps::{CancelSteps, End, EndSteps, Kept, ReadBack, SealSteps, Step},
};

/// Ends a lease; the caller has checked it, and has `seen` the state of its run. What a stop
/// means depends on that state, so it is read again under a lock: a person may have paused or
/// cancelled the run since.
pub async fn conclude<X: EndSteps + CancelSteps>(
    x: &mut X,
    lease: &Lease<Job>,
    verdict: &Verdict,
    attempt: Option<&Attempt>,
    seen: RunState,
) -> Step<(), X> {
    let run = if matches!(verdict, Verdict::Stop { .. }) { x.lock(lease.of.run).await? } else { seen };
    let ending = &ending::of(lease.of.kind, verdict, attempt, run);
    if let Ending::Back { attempt: Some(attempt), .. } | Ending::Dead { attempt: Some(attempt), .. } = ending
    {
        x.count_attempt(lease, attempt).await?;
    }
    match *ending {
        Ending::Done => {
            refusals::only(lease, JobKind::Provision)?;
            let pending = x.count_in(&lease.of, &Tally::default(), 0, End::Done).await?;
            refusals::complete(&lease.of, pending)?;
        }
        Ending::Back { after, code, stops, .. } => {
            x.hand_back(lease, after, code).await?;
            if stops {
                let command = Command { by: "ferry", reason: Some(code.as_str()) };
                moves::ask(x, lease.of.run, RunMove::Stop, &command).await?;
            }
        }
        Ending::Dead { code, leftover, .. } => give_up(x, &lease.of, code, leftover, lease.holder).await?,
    }
    Ok(())
}

/// Ends a locked job without success: what is left of it ends with a code, the batch or run
/// goes on, and a dead letter keeps the matter for a person.
pub async fn give_up<X: EndSteps>(
    x: &mut X,
    job: &Job,
    code: Code,
    leftover: Leftover,
    by: WorkerId,
) -> Step<(), X> {
    let end = End::Dead(code);
    let users = match leftover {
        Leftover::Fail => {
            let failed = x.fail_pending(job, code).await?;
            let ended = Tally { source: failed, failed, ..Tally::default() };
            x.count_in(job, &ended, 0, end).await?;
            failed
        }
        Leftover::Unread => {
            let mut kept = x.kept(job).await?;
            if kept.unread == 0 {
                let unread = x.note_unread(job).await?;
                kept = Kept { matched: 0, discrepancies: unread, unread };
            }
            let Kept { matched, discrepancies, unread } = kept;
            x.close_batch(job, &ReadBack { matched, discrepancies, requests: 0 }, end).await?;
            unread
        }
        Leftover::Nothing => {
            x.end_job(job, end).await?;
            0
        }
    };
    x.keep_letter(job, code, users, by).await
}

/// Ends a run that is being cancelled, if nothing of it is left to do. What `None` was returned
/// for is left as it was: the caller rolls back.
pub async fn end_cancelled<X: SealSteps>(x: &mut X, run: RunId, sealed: &SealedRun) -> Step<Option<i32>, X> {
    let state = x.lock(run).await?;
    if state != RunState::Cancelling || x.has_open_batch(run).await? || x.withdraw_report(run).await? {
        return Ok(None);
    }
    moves::advance(x, run, RunMove::Seal).await?;
    Ok(Some(x.keep_report(run, sealed).await?))
}

/// Ends a verify job whose discrepancies are written, with those that earlier tries kept.
pub async fn record_verification<X: EndSteps>(
    x: &mut X,
    lease: &Lease<Job>,
    found: &BatchVerification,
) -> Step<(), X> {
    let kept = x.kept(&lease.of).await?;
    let counts = ReadBack {
        matched: kept.matched + found.matched,
        discrepancies: kept.discrepancies,
        requests: found.requests,
    };
    x.close_batch(&lease.of, &counts, End::Done).await
}
