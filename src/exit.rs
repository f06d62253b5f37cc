//! Exit codes (design §8) and the error that carries one.

use std::{fmt, process::ExitCode};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All done.
    Done = 0,
    /// A fault of ours or of a server.
    Internal = 1,
    /// Wrong usage, settings or input; for `plan --detailed-exitcode`: there is something to do.
    Usage = 2,
    /// Finished, but some users need a person.
    NeedsPerson = 3,
    /// Users read back were not as written.
    VerificationFailed = 4,
    /// Stopped by a threshold, a gate or a person.
    Stopped = 5,
    /// Refused: plan stale, wrong tenant, another run or process active.
    Refused = 6,
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
    /// How a watched run ended, see [`ferry_domain::run::exit_code`].
    pub fn of_run(run: &ferry_domain::RunView) -> Self {
        match ferry_domain::run::exit_code(run) {
            0 => Exit::Done,
            3 => Exit::NeedsPerson,
            4 => Exit::VerificationFailed,
            5 => Exit::Stopped,
            130 => Exit::Interrupted,
            _ => Exit::Internal,
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

/// Refused as things stand.
pub fn refused(message: impl fmt::Display) -> anyhow::Error {
    Failure { exit: Exit::Refused, message: message.to_string() }.into()
}

/// The exit code of an error: what its cause says, or a fault of ours.
pub fn of(error: &anyhow::Error) -> Exit {
    use ferry_domain::ports::{LedgerError, SourceError};
    for cause in error.chain() {
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            return failure.exit;
        }
        if cause.is::<SourceError>() {
            return Exit::Usage;
        }
        match cause.downcast_ref::<LedgerError>() {
            Some(LedgerError::AnotherRunActive { .. } | LedgerError::Refused(_)) => return Exit::Refused,
            Some(LedgerError::WriteBackTarget(_)) => return Exit::Usage,
            _ => {}
        }
    }
    Exit::Internal
}
