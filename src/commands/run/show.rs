//! `ferry run show`: state, sums and jobs of one run.

use clap::Args;
use ferry_domain::{ItemState, RunView};
use ferry_operations::{
    RunName,
    pace::{self, Pauses},
    report, units,
    views::{RunInFull, to_the_second},
    waits::{self, Around},
};
use time::OffsetDateTime;

use crate::{exit::Exit, options::Output, output, printed, setup::Setup, wiring};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The run's id, how it begins, or last
    pub run: RunName,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let access = wiring::access_with_table(setup).await?;
    let run = access.run(access.named(&options.run).await?).await?;
    let table = report::table(&access, &run).await?;
    let pauses = pace::pauses(&access, run.id).await?;
    match options.output {
        Output::Json | Output::Ndjson => {
            printed::object(&RunInFull { table, ..RunInFull::at(&run, &pauses, access.clock.now()) })?
        }
        Output::Table => {
            let around = Around::of(&access).await?;
            let jobs = access.jobs.job_counts(run.id).await?;
            print(&run, &pauses, &around, access.clock.now());
            if let Some(remark) = waits::table_remark(&access, &run).await {
                line("warning", remark);
            }
            if let Some(told) = table.and_then(|table| table.told(run.id)) {
                line("ids", told);
            }
            for found in jobs {
                line("jobs", format!("{} {}: {}", found.kind, found.state.as_str(), found.jobs));
            }
        }
    }
    Ok(Exit::Done)
}

fn line(name: &str, what: impl std::fmt::Display) {
    output::data(&output::field(name, 11, &what.to_string()));
}

fn print(run: &RunView, pauses: &Pauses, around: &Around, now: OffsetDateTime) {
    line("run", run.id);
    line("state", run.state);
    print_times(run, pauses, now);
    print_pace(run, around);
    line("migration", &run.migration);
    line("from", &run.source);
    line("to", format!("{} / {}", run.spec.tenant, run.spec.connection));
    line("source", run.tally.source);
    for state in ItemState::ALL.iter().skip(1).chain(&[ItemState::Pending]) {
        line(state.as_str(), run.tally.count(*state));
    }
    line("verified", format!("{} ({} otherwise)", run.verified, run.discrepancies));
    line("batches", format!("{} not verified yet", run.open_batches));
    line("report", format!("revision {}, round {}", run.revision, run.round));
    if !run.tally.adds_up() {
        output::say("The sums do not add up: this is a fault of Ferry, keep the ledger and report it.");
    }
}

/// When it began and ended, how fast it goes, and when it will about be done.
fn print_times(run: &RunView, pauses: &Pauses, now: OffsetDateTime) {
    let Some(begun) = run.started_at.map(to_the_second) else { return };
    let time = pace::elapsed(run, now).map(units::rounded).unwrap_or_default();
    let paused = pace::paused(run, pauses, now).filter(|time| time.as_secs() > 0).map(units::rounded);
    let stood = paused.as_ref().map(|time| format!(", {time} of it paused or stopped")).unwrap_or_default();
    match run.sealed_at.filter(|_| !run.state.is_active()).map(to_the_second) {
        Some(ended) => line("time", format!("{begun} to {ended}: {time}{stood}")),
        None => line("time", format!("since {begun}: {time}{stood}")),
    }
    if let Some(speed) = pace::average(run, pauses, now).and_then(pace::told) {
        let without = if paused.is_some() { " without pauses" } else { "" };
        line("pace", format!("{speed}, by the average since its start{without}"));
    }
}

/// Why it waits, what lets it go on, how fast it may go and when it stops by itself.
fn print_pace(run: &RunView, around: &Around) {
    if let Some(why) = &run.why {
        line("why", why);
    }
    if let Some(code) = waits::code_of(run) {
        line("remedy", code.remedy());
    }
    if let Some(now) = around.why(run) {
        line("now", now);
    }
    match &run.rate {
        Some(rate) => line("limits", format!("{rate}, set by run rate (started with {})", run.spec.limits)),
        None => line("limits", &run.spec.limits),
    }
    if let Some(stops) = units::stop_words(&run.spec.stop_after) {
        line("stops at", stops);
    }
}
