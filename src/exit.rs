//! Exit codes (design §8) and the error that carries one.

use std::{fmt, process::ExitCode};

use ferry_domain::{
    RunState, RunView,
    ports::{LedgerError, SourceError},
};
use ferry_operations::{
    Kind,
    plan::{PlanView, target::Predicted},
};
use ferry_report::Table;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All done.
    Done = 0,
    /// A fault of ours or of a server.
    Internal = 1,
    /// Wrong usage, settings or input.
    Usage = 2,
    /// Finished, but some users need a person.
    NeedsPerson = 3,
    /// Users read back were not as written.
    VerificationFailed = 4,
    /// Stopped by a threshold, a gate or a person.
    Stopped = 5,
    /// Refused: plan stale, wrong tenant, another run or process active.
    Refused = 6,
    /// `plan --detailed-exitcode`: there are users to move. A code of its own, since 2 is what an
    /// unreadable source ends with.
    SomethingToDo = 7,
    /// `check` found what has to be mended first.
    CheckErrors = 10,
    /// `check` found what should be known; work is possible.
    CheckWarnings = 11,
    /// Interrupted; can be resumed.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

impl Exit {
    /// What a plan found, for `plan --detailed-exitcode`.
    pub fn of_plan(plan: &PlanView, target: Option<&Predicted>) -> Self {
        let to_move = target.map_or(plan.accepted, Predicted::to_move);
        let conflicts = target.map_or(0, |target| target.conflict);
        match (to_move, plan.rejected + plan.conflicting + conflicts) {
            (0, 0) => Exit::Done,
            (0, _) => Exit::NeedsPerson,
            _ => Exit::SomethingToDo,
        }
    }

    /// How a watched run ended; `table` is what its rows carry of the ids.
    pub fn of_run(run: &RunView, table: Option<&Table>) -> Self {
        match run.state {
            RunState::Sealed if run.discrepancies > 0 => Exit::VerificationFailed,
            RunState::Sealed if run.tally.needs_a_person() => Exit::NeedsPerson,
            RunState::Sealed if table.is_some_and(Table::needs_a_person) => Exit::NeedsPerson,
            RunState::Sealed if run.tally.pending == 0 && run.tally.adds_up() => Exit::Done,
            RunState::Sealed => Exit::Internal,
            RunState::Stopped | RunState::Cancelled => Exit::Stopped,
            _ if run.abandoned => Exit::Stopped,
            _ => Exit::Interrupted,
        }
    }

    fn of_kind(kind: Kind) -> Self {
        match kind {
            Kind::Wrong => Exit::Usage,
            Kind::Refused => Exit::Refused,
            Kind::Failed => Exit::Internal,
            Kind::Interrupted => Exit::Interrupted,
        }
    }
}

/// An error that knows its exit code. The message says what happened and what to do.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Wrong usage, settings or input.
pub fn usage(message: impl fmt::Display) -> anyhow::Error {
    Failure { exit: Exit::Usage, message: message.to_string() }.into()
}

/// Refused in the present state.
pub fn refused(message: impl fmt::Display) -> anyhow::Error {
    Failure { exit: Exit::Refused, message: message.to_string() }.into()
}

/// The exit code of an error: what its cause says, or a fault of ours.
pub fn of(error: &anyhow::Error) -> Exit {
    for cause in error.chain() {
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            return failure.exit;
        }
        if let Some(error) = cause.downcast_ref::<ferry_operations::Error>() {
            return Exit::of_kind(error.kind());
        }
        if let Some(error) = cause.downcast_ref::<LedgerError>() {
            return Exit::of_kind(ferry_operations::error::of_ledger(error));
        }
        if cause.is::<SourceError>() {
            return Exit::Usage;
        }
    }
    Exit::Internal
}

#[cfg(test)]
mod tests {
    use anyhow::Context;
    use ferry_domain::RunId;
    use ferry_operations::{Error, NoSuchRun};

    use super::*;

    #[test]
    fn an_error_keeps_its_code_behind_what_is_said_about_it() {
        let refused = || LedgerError::Refused("no such move".into());
        let behind = |error: Error| of(&Err::<(), _>(error).context("said about it").unwrap_err());
        assert_eq!(behind(NoSuchRun(RunId(Default::default())).into()), Exit::Usage);
        assert_eq!(behind(refused().into()), Exit::Refused);
        assert_eq!(behind(LedgerError::WriteBackTarget("no column".into()).into()), Exit::Usage);
        assert_eq!(behind(LedgerError::Busy.into()), Exit::Internal);
        assert_eq!(of(&refused().into()), Exit::Refused);
        assert_eq!(of(&usage("wrong")), Exit::Usage);
        assert_eq!(of(&anyhow::anyhow!("a fault of ours")), Exit::Internal);
    }
}
