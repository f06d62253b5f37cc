//! Looks at a run, again and again.
//!
//! A ledger that does not answer is no end: the run goes on without us, and so does
//! watching, for five minutes. Rejected: watching for ever. A script that waits for
//! the exit code has to learn at some time that the ledger does not answer.

use std::time::Duration;

use anyhow::Context;
use ferry_domain::{RunId, RunState, RunView, ports::LedgerError};
use ferry_operations::{Access, Error, RunName, units, waits::Around};
use tokio::time::Instant;

use crate::{exit::usage, setup::Setup, wiring};

/// Pause between two looks.
pub const EVERY: Duration = Duration::from_millis(500);
/// One look at the ledger that takes longer got no answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a ledger may be silent before watching ends.
const PATIENCE: Duration = Duration::from_secs(300);

/// What came of a look.
pub enum Seen {
    /// The run, and what decides on its pace besides itself.
    Run(Box<RunView>, Around),
    /// The run; nothing more will happen by itself.
    Ended(Box<RunView>),
    /// Nothing, and why.
    Silent(String),
}

/// A run that is watched.
pub struct Following {
    setup: Setup,
    /// Access to the ledger; another one after the ledger was moved.
    pub access: Access,
    /// The run when it was last seen.
    pub last: RunView,
    silent_since: Option<Instant>,
}

impl Following {
    pub async fn begin(setup: &Setup, run: &RunName) -> anyhow::Result<Self> {
        let access = wiring::access_with_table(setup).await?;
        let last = access.run(access.named(run).await?).await?;
        Ok(Following { setup: setup.clone(), access, last, silent_since: None })
    }

    /// # Errors
    /// When the run is gone, the ledger fails for good, or it was silent for too long.
    pub async fn look(&mut self) -> anyhow::Result<Seen> {
        let id = self.last.id;
        match look(&self.access, id).await {
            Ok((None, _)) => Err(usage(format!("run {id} was removed from the ledger"))),
            Ok((Some(run), around)) => {
                self.silent_since = None;
                self.last = run.clone();
                let run = Box::new(run);
                Ok(if ended(&run) { Seen::Ended(run) } else { Seen::Run(run, around) })
            }
            Err(Error::Ledger(error @ LedgerError::Gone)) => {
                self.silence(error.into())?;
                if let Ok(moved) = wiring::access_with_table(&self.setup).await {
                    self.access = moved;
                }
                Ok(Seen::Silent("the ledger is being moved by ferry migrate; watching on".to_owned()))
            }
            Err(error) if passes(&error) => self.silence(error).map(Seen::Silent),
            Err(error) => Err(error.into()),
        }
    }

    /// What to say while the ledger is silent; an error when that lasts too long.
    fn silence(&mut self, error: Error) -> anyhow::Result<String> {
        let silent = self.silent_since.get_or_insert_with(Instant::now).elapsed();
        if silent < PATIENCE {
            return Ok(format!("the ledger does not answer; watching on for {}", units::shown(PATIENCE)));
        }
        let id = self.last.id;
        Err(error).with_context(|| {
            format!(
                "the ledger has not answered for {}. Run {id} goes on when it does; then: ferry run watch {id}",
                units::shown(silent),
            )
        })
    }
}

async fn look(access: &Access, id: RunId) -> Result<(Option<RunView>, Around), Error> {
    let seen = async {
        let run = access.runs.run(id).await?;
        Ok::<_, LedgerError>((run, Around::of(access).await?))
    };
    let unanswered = LedgerError::Unavailable {
        doing: "did not answer",
        reason: format!("nothing came within {} s", ANSWER.as_secs()),
        passes: true,
    };
    Ok(tokio::time::timeout(ANSWER, seen).await.unwrap_or(Err(unanswered))?)
}

/// Whether looking again may help.
fn passes(error: &Error) -> bool {
    matches!(error, Error::Ledger(LedgerError::Unavailable { .. } | LedgerError::Busy))
}

/// Whether nothing more will happen by itself.
fn ended(run: &RunView) -> bool {
    run.abandoned || matches!(run.state, RunState::Sealed | RunState::Cancelled | RunState::Stopped)
}
