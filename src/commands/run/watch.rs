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
    Access, Error, RunName,
    pace::{self, Pace},
    report, units,
    views::RunInFull,
    waits::{self, Around},
};
use ferry_report::Table;
use time::OffsetDateTime;
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
/// Pause between two looks at the application's table.
const TABLE_EVERY: Duration = Duration::from_secs(3);
/// How long a ledger may be silent before watching ends.
const PATIENCE: Duration = Duration::from_secs(300);

/// When watching ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Until {
    /// The end of the run, with its report
    #[default]
    Sealed,
}

/// What is printed on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// How it ended, in one line
    #[default]
    Table,
    /// The run at its end, as one JSON value
    Json,
    /// The run as a JSON value on a line, now, whenever it changes, and at its end
    Ndjson,
}

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The run's id, how it begins, or last
    pub run: RunName,
    /// What to wait for
    #[arg(long, value_enum, default_value_t)]
    pub until: Until,
    /// How to print the result on stdout; progress goes to stderr
    #[arg(long, value_enum, default_value_t)]
    pub output: Form,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let mut access = wiring::access_with_table(setup).await?;
    let stop = lifecycle::stop_on_signal()?;
    let id = access.named(&options.run).await?;
    let mut watched = Watched::new(access.run(id).await?, options.output);
    loop {
        let why = match look(&access, id).await {
            Ok((None, _)) => {
                return Err(usage(format!("run {id} was removed from the ledger")));
            }
            Ok((Some(run), _)) if ended(&run) => {
                watched.progress.done();
                let table = report::table(&access, &run).await?;
                let exit = Exit::of_run(&run, table.as_ref());
                tell(&run, table, options.output, access.clock.now())?;
                return Ok(exit);
            }
            Ok((Some(run), around)) => {
                watched.saw(run, access.clock.now())?;
                watched.look_at_table(&access).await;
                around.why(&watched.last)
            }
            Err(Error::Ledger(error @ LedgerError::Gone)) => {
                silence(&mut watched.silent_since, error.into(), &watched.last)?;
                if let Ok(moved) = wiring::access_with_table(setup).await {
                    access = moved;
                }
                Some("the ledger is being moved by ferry migrate; watching on".to_owned())
            }
            Err(error) if passes(&error) => Some(silence(&mut watched.silent_since, error, &watched.last)?),
            Err(error) => return Err(error.into()),
        };
        watched.show(why.as_deref());
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => {
                watched.progress.done();
                let last = &watched.last;
                output::say(&format!("No longer watching; run {} goes on as it was ({}).", last.id, last.state));
                return Ok(Exit::Interrupted);
            }
        }
    }
}

/// A run that is watched, and how far it was when it was last seen.
struct Watched {
    last: RunView,
    form: Form,
    printed: Option<String>,
    progress: Progress,
    pace: Pace,
    began: Instant,
    silent_since: Option<Instant>,
    table: Option<String>,
    table_seen: Option<Instant>,
}

impl Watched {
    fn new(run: RunView, form: Form) -> Self {
        let progress = Progress::tall("users", 1); // what is counted comes with each look
        let (pace, began) = (Pace::default(), Instant::now());
        Watched {
            last: run,
            form,
            printed: None,
            progress,
            pace,
            began,
            silent_since: None,
            table: None,
            table_seen: None,
        }
    }

    fn saw(&mut self, run: RunView, now: OffsetDateTime) -> anyhow::Result<()> {
        self.pace.seen(self.began.elapsed(), &run);
        self.silent_since = None;
        if self.form == Form::Ndjson {
            // Without what time alone changes.
            let object = serde_json::to_string(&RunInFull::from(&run))?;
            if self.printed.as_ref() != Some(&object) {
                output::json(&RunInFull::at(&run, now))?;
                self.printed = Some(object);
            }
        }
        self.last = run;
        Ok(())
    }

    /// Says what the application's table lost while the run goes on, and that it is back.
    async fn look_at_table(&mut self, access: &Access) {
        if self.table_seen.is_some_and(|at| at.elapsed() < TABLE_EVERY) {
            return;
        }
        self.table_seen = Some(Instant::now());
        let remark = waits::table_remark(access, &self.last).await;
        match (&self.table, &remark) {
            (before, Some(now)) if before.as_ref() != Some(now) => {
                self.progress.say(&format!("warning: {now}"));
            }
            (Some(_), None) if self.last.tally.pending > 0 => {
                self.progress.say("The application's table has all it needs again.");
            }
            _ => {}
        }
        self.table = remark;
    }

    /// Users that have to be made, then users that have to be read back: who was settled at
    /// planning is no part of it, else a second run would begin half done.
    fn show(&mut self, why: Option<&str>) {
        let (run, sums) = (&self.last, &self.last.tally);
        let at_target = sums.created + sums.adopted;
        let made = at_target + sums.conflict;
        let read = run.verified + run.discrepancies;
        let (what, done, total) = match sums.pending {
            0 if read < at_target => ("read back", read, at_target),
            pending => ("users", made, made + pending),
        };
        self.progress.waits(why);
        self.progress.of(what, total.unsigned_abs());
        let speed = self.pace.speed(run).and_then(|speed| speed.told());
        let note = [Some(totals(run)), speed].into_iter().flatten().collect::<Vec<_>>();
        let separator = if self.progress.is_drawn() { "\n" } else { " · " };
        self.progress.at(done.unsigned_abs(), &note.join(separator));
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

/// Whether nothing more will happen by itself.
fn ended(run: &RunView) -> bool {
    run.abandoned || matches!(run.state, RunState::Sealed | RunState::Cancelled | RunState::Stopped)
}

fn totals(run: &RunView) -> String {
    format!(
        "created {} adopted {} needs a look {} verified {}",
        run.tally.created,
        run.tally.adopted,
        run.tally.failed + run.tally.conflict,
        run.verified
    )
}

fn tell(run: &RunView, table: Option<Table>, form: Form, now: OffsetDateTime) -> anyhow::Result<()> {
    if form != Form::Table {
        return output::json(&RunInFull { table, ..RunInFull::at(run, now) });
    }
    if run.abandoned {
        output::data(&output::folded(&waits::abandoned(run), 0).join("\n"));
        return Ok(());
    }
    let t = &run.tally;
    let took = pace::elapsed(run, now).map(|time| format!(" It took {}.", units::rounded(time)));
    let text = format!(
        "Run {} is {}: {} users, created {}, adopted {}, skipped {}, conflict {}, failed {}, cancelled {}, pending {}; verified {}, discrepancies {}.{}",
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
        run.discrepancies,
        took.filter(|_| !run.state.is_active()).unwrap_or_default()
    );
    output::data(&output::folded(&text, 0).join("\n"));
    if let Some(told) = table.and_then(|table| table.told(run.id)) {
        output::data(&output::folded(&format!("Ids in the application's table: {told}."), 0).join("\n"));
    }
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
    Ok(())
}
