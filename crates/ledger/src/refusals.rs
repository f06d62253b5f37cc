//! Refusals of what was asked, worded once. Those of moves are
//! [`LedgerError::no_such_move`]; their exit codes do not depend on the words.

use ferry_domain::{
    BatchId, ItemResult, ItemState, Job, JobKind, Lease, RunId, RunState,
    ports::LedgerError,
    run::{RunMove, batches_for},
};

use crate::{Result, words};

/// Refuses what only a job of another kind may ask.
pub fn only(lease: &Lease<Job>, kind: JobKind) -> Result<()> {
    if lease.of.kind == kind {
        return Ok(());
    }
    Err(LedgerError::Refused(format!("job {} is of kind {}, not {kind}", lease.of.id, lease.of.kind)))
}

/// The batch of a provision or verify job.
pub fn batch_of(job: &Job) -> Result<BatchId> {
    job.batch.ok_or_else(|| words::corrupt("jobs", job.id, format!("a {} job without a batch", job.kind)))
}

/// Refuses `Done` for a batch that still has pending items.
pub fn complete(job: &Job, pending: i64) -> Result<()> {
    if pending == 0 {
        return Ok(());
    }
    let job = job.id;
    Err(LedgerError::Refused(format!("job {job} has {pending} items left: write them back, or hand it back")))
}

/// Refuses results that leave an item pending.
pub fn ended(results: &[ItemResult]) -> Result<()> {
    let open = results.iter().find(|result| !ItemState::Pending.may_become(result.outcome.state));
    match open {
        None => Ok(()),
        Some(result) => {
            Err(LedgerError::Refused(format!("item {} is written back without an end", result.seq.0)))
        }
    }
}

/// Refuses moves that belong to the work of a run.
pub fn asked_for(step: RunMove) -> Result<()> {
    if step.is_asked_for() {
        return Ok(());
    }
    Err(LedgerError::Refused(format!("no run can be asked to {step}: that belongs to its own work")))
}

/// Refuses items for a run that is not being planned any more.
pub fn planning(run: RunId, state: RunState) -> Result<()> {
    if state == RunState::Planning { Ok(()) } else { Err(not_planned_any_more(run)) }
}

/// Another process cancelled or removed a run while it was being planned.
pub fn not_planned_any_more(run: RunId) -> LedgerError {
    LedgerError::Refused(format!(
        "run {run} is not being planned any more (it was cancelled or removed); start a new run"
    ))
}

/// Refuses to remove a run that was started.
pub fn unsent(run: RunId, state: RunState) -> Result<()> {
    if state.is_unstarted() {
        return Ok(());
    }
    Err(LedgerError::Refused(format!("run {run} is {state}: only a run that was not started can be removed")))
}

/// Refuses a plan of limits for a run that has ended.
pub fn unended(run: RunId, state: RunState) -> Result<()> {
    if state.is_active() {
        return Ok(());
    }
    Err(LedgerError::ended(run, state))
}

/// The number of batches that a retry needs, of which `ids` has the ids.
pub fn batch_ids(items: i64, batch_size: i64, ids: &[BatchId]) -> Result<&[BatchId]> {
    let needed = batches_for(items, batch_size);
    usize::try_from(needed).ok().and_then(|needed| ids.get(..needed)).ok_or_else(|| {
        LedgerError::Refused(format!(
            "{items} items need {needed} batches now, more than the {} that were counted; try again",
            ids.len()
        ))
    })
}

/// More letters are kept now than when they were counted.
pub fn more_letters_than_counted() -> LedgerError {
    LedgerError::Refused("there are more dead letters now than were counted; try again".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_planned_and_removed_only_before_it_starts() {
        let run = RunId(uuid::Uuid::nil());
        for state in RunState::ALL {
            assert_eq!(planning(run, state).is_ok(), state == RunState::Planning, "{state}");
            let unstarted = state.is_unstarted();
            assert_eq!(unsent(run, state).is_ok(), unstarted, "{state}");
        }
    }

    #[test]
    fn moves_of_its_own_work_can_not_be_asked_of_a_run() {
        use RunMove::{BeginSealing, Cancel, Pause, Plan, Resume, Retry, Seal, Start, Stop};
        assert!([Pause, Resume, Stop, Cancel].into_iter().all(|step| asked_for(step).is_ok()));
        assert!([Plan, Start, BeginSealing, Seal, Retry].into_iter().all(|step| asked_for(step).is_err()));
    }

    #[test]
    fn a_result_is_an_end_and_done_means_that_nothing_is_left() {
        let job = Job {
            id: ferry_domain::JobId(uuid::Uuid::nil()),
            run: RunId(uuid::Uuid::nil()),
            batch: None,
            kind: JobKind::Provision,
            attempts: 0,
            rescues: 0,
        };
        assert!(complete(&job, 0).is_ok() && complete(&job, 1).is_err());
        let lease = Lease {
            token: 1,
            holder: ferry_domain::WorkerId(uuid::Uuid::nil()),
            lasts: std::time::Duration::ZERO,
            waited: std::time::Duration::ZERO,
            of: job,
        };
        assert!(only(&lease, JobKind::Provision).is_ok() && only(&lease, JobKind::Verify).is_err());
        let result = |state| ItemResult {
            seq: ferry_domain::ItemSeq(1),
            key: ferry_domain::SourceKey("1".into()),
            email: ferry_domain::Email::normalised("a@example.com"),
            outcome: ferry_domain::Outcome { state, ..ferry_domain::Outcome::cancelled() },
        };
        for state in ItemState::ALL {
            assert_eq!(ended(&[result(state)]).is_ok(), state != ItemState::Pending, "{}", state.as_str());
        }
    }

    #[test]
    fn a_retry_needs_a_batch_for_each_part_of_a_batch() {
        let ids: Vec<BatchId> = (0..3).map(|n| BatchId(uuid::Uuid::from_u128(n))).collect();
        assert_eq!(batch_ids(20, 10, &ids).unwrap().len(), 2);
        assert_eq!(batch_ids(21, 10, &ids).unwrap().len(), 3);
        assert!(batch_ids(31, 10, &ids).unwrap_err().to_string().contains("4 batches"));
        assert_eq!(batch_ids(2, 0, &ids).unwrap().len(), 2, "no division by a broken setting");
    }
}
