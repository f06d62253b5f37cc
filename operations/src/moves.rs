//! Pause, resume, cancel: the brakes of one run. Asking twice is no error; what can't be
//! done is refused with what to do instead.

use std::fmt;

use ferry_domain::{
    RunId, RunState, RunView,
    ports::{self, Cancellable, LedgerError, SealedRun},
    run::{Asked, RunMove},
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{Access, Error};

/// What a move would do.
#[derive(Clone, Debug)]
pub struct Question {
    /// The run.
    pub run: RunView,
    /// The move.
    pub step: RunMove,
    /// Users that would be cancelled, where the move cancels any.
    pub cancellable: Option<Cancellable>,
}

impl Question {
    /// Whether a person should be asked: what can be taken back is done without.
    pub fn is_needed(&self) -> bool {
        self.cancellable.is_some()
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Cancellable { at_once, to_ask }) = self.cancellable else { return Ok(()) };
        let at_auth0 = self.run.tally.created + self.run.tally.adopted;
        write!(f, "Cancel run {} for good?\n{at_once} users are cancelled immediately", self.run.id)?;
        if to_ask > 0 {
            write!(f, "; {to_ask} were held by a worker, Auth0 is asked about each first")?;
        }
        write!(f, ".\n{at_auth0} users are at Auth0 and stay there. Cancel?")
    }
}

/// Looks what a move would do.
///
/// # Errors
/// When there is no such run, or it has no such move.
pub async fn ask(access: &Access, run: RunId, step: RunMove) -> Result<Question, Error> {
    let run = access.run(run).await?;
    let asked = run.state.asked(step);
    if asked == Asked::Refused {
        return Err(LedgerError::no_such_move(run.id, run.state, step).into());
    }
    let mut cancellable = None;
    if step == RunMove::Cancel && asked != Asked::Already {
        cancellable = Some(access.moves.count_cancellable(run.id).await?);
    }
    Ok(Question { run, step, cancellable })
}

/// What a move did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Moved {
    /// Id of the run.
    pub run: RunId,
    /// Its state before.
    pub before: RunState,
    /// Its state now.
    pub after: RunState,
    /// Whether anything changed.
    pub changed: bool,
    /// Users cancelled immediately.
    pub cancelled: i64,
    /// Users that Auth0 is asked about first.
    pub to_ask: i64,
}

/// Moves the run, with a line in the audit if that changes anything.
///
/// # Errors
/// When the ledger refuses or fails.
pub async fn act(access: &Access, question: &Question, reason: Option<&str>) -> Result<Moved, Error> {
    let run = question.run.id;
    let ports::Moved { before, mut after, cancelled, to_ask } =
        access.moves.move_run(run, question.step, &access.command(reason)).await?;
    if after == RunState::Cancelling && ended_without_worker(access, run).await? {
        after = RunState::Cancelled;
    }
    Ok(Moved { run, before, after, changed: before != after, cancelled, to_ask })
}

/// Ends a run that is being cancelled, where nothing is left for a worker to do: without
/// one it would stay as it is, and no other run of its source could begin.
async fn ended_without_worker(access: &Access, run: RunId) -> Result<bool, Error> {
    let run = access.run(run).await?;
    if run.tally.pending > 0 || run.open_batches > 0 {
        return Ok(false);
    }
    let mut report = ferry_report::of_run(&*access.reports, &*access.items, &run, &*access.clock).await?;
    // Whoever cancels need not know the database of the table.
    let table = ferry_report::of_table(&*access.reports, &*access.items, &run).await?;
    report.table = table.filter(|table| table.unknown.is_none());
    let sealed = SealedRun { report: report.to_value() };
    Ok(access.reports.end_cancelled(run.id, &sealed).await?.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::tests::run_view;

    #[test]
    fn only_what_is_given_up_is_asked_about_and_with_its_numbers() {
        let run = run_view(RunState::Running);
        let mut question = Question { run, step: RunMove::Pause, cancellable: None };
        assert!(!question.is_needed());
        question.cancellable = Some(Cancellable { at_once: 40, to_ask: 0 });
        assert!(question.is_needed());
        let text = question.to_string();
        assert!(text.contains("40 users are cancelled immediately.") && text.contains("for good"), "{text}");
        question.cancellable = Some(Cancellable { at_once: 40, to_ask: 3 });
        assert!(question.to_string().contains("3 were held by a worker"), "{question}");
    }
}
