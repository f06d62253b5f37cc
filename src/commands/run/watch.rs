//! `ferry run watch`: follows a run until it ends, and says why it waits.
//!
//! A ledger that does not answer is no end: the run goes on without us, and so does
//! watching, for five minutes. Rejected: watching for ever. A script that waits for
//! the exit code has to learn at some time that the ledger does not answer.

use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use ferry_domain::{RunId, RunState, RunView, ports::LedgerError};
use ferry_operations::{
    Access, Error, RunName, units,
    waits::{self, Around},
};
use tokio::time::Instant;

use crate::{
    exit::{Exit, usage},
    lifecycle,
    output::{self, Progress},
    setup::Setup,
    wiring,
};

const EVERY: Duration = Duration::from_millis(500);
/// One look at the ledger that takes longer got no answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a ledger may be silent before watching ends.
const PATIENCE: Duration = Duration::from_secs(300);

/// When watching ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Until {
    /// The end of the run, with its report
    #[default]
    Sealed,
}

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The run's id, how it begins, or last
    pub run: RunName,
    /// What to wait for
    #[arg(long, value_enum, default_value_t)]
    pub until: Until,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let access = wiring::access(setup).await?;
    let stop = lifecycle::stop_on_signal()?;
    let id = access.named(&options.run).await?;
    let mut last = access.run(id).await?;
    let mut progress = Progress::tall("users", last.tally.source.unsigned_abs());
    let mut silent_since: Option<Instant> = None;
    loop {
        let why = match look(&access, id).await {
            Ok((None, _)) => {
                return Err(usage(format!("run {id} was removed from the ledger")));
            }
            Ok((Some(run), _)) if ended(run.state) => {
                progress.done();
                tell(&run);
                return Ok(Exit::of_run(&run));
            }
            Ok((Some(run), around)) => {
                last = run;
                silent_since = None;
                around.why(&last)
            }
            Err(error) if passes(&error) => Some(silence(&mut silent_since, error, &last)?),
            Err(error) => return Err(error.into()),
        };
        progress.waits(why.as_deref());
        progress.at(last.tally.finished().unsigned_abs(), &sums(&last));
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => {
                progress.done();
                output::say(&format!("No longer watching; run {} goes on as it was ({}).", last.id, last.state));
                return Ok(Exit::Interrupted);
            }
        }
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

/// What to say while the ledger is silent; an error when that lasts too long.
fn silence(since: &mut Option<Instant>, error: Error, run: &RunView) -> anyhow::Result<String> {
    let silent = since.get_or_insert_with(Instant::now).elapsed();
    if silent < PATIENCE {
        return Ok(format!("the ledger does not answer; watching on for {}", units::shown(PATIENCE)));
    }
    Err(error).with_context(|| {
        format!(
            "the ledger has not answered for {}. Run {} goes on when it does; then: ferry run watch {}",
            units::shown(silent),
            run.id,
            run.id
        )
    })
}

fn ended(state: RunState) -> bool {
    matches!(state, RunState::Sealed | RunState::Cancelled | RunState::Stopped)
}

fn sums(run: &RunView) -> String {
    format!(
        "created {} adopted {} needs a look {} verified {}",
        run.tally.created,
        run.tally.adopted,
        run.tally.failed + run.tally.conflict,
        run.verified
    )
}

fn tell(run: &RunView) {
    let t = &run.tally;
    output::say(&format!(
        "Run {} is {}: {} users, created {}, adopted {}, skipped {}, conflict {}, failed {}, cancelled {}, pending {}; verified {}, discrepancies {}.",
        run.id,
        run.state,
        t.source,
        t.created,
        t.adopted,
        t.skipped,
        t.conflict,
        t.failed,
        t.cancelled,
        t.pending,
        run.verified,
        run.discrepancies
    ));
    if run.state == RunState::Stopped {
        match (waits::code_of(run), &run.why) {
            (Some(code), _) => output::say(&format!("Stopped by {code}. {}", code.remedy())),
            (None, Some(why)) => output::say(&format!("Stopped: {why}")),
            (None, None) => {}
        }
        output::say(&format!("Go on: ferry run resume {}", run.id));
    }
    output::say(&format!("Report: ferry run report {}", run.id));
    if run.source.is_file() {
        output::say(&format!("Ids:    ferry run export {}", run.id));
    }
}
