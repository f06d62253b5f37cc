//! `ferry run show`: state, sums and jobs of one run.

use clap::Args;
use ferry_domain::{ItemState, RunId, RunView, ports::Ledger};
use serde_json::json;

use crate::{
    exit::{Exit, usage},
    options::Output,
    output,
    setup::Setup,
    units,
    waits::{self, Around},
};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The run's id
    pub run: RunId,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let ledger = setup.ledger().await?;
    let run = find(&*ledger, options.run).await?;
    match options.output {
        Output::Json => output::json(&summary(&run))?,
        Output::Table => {
            let around = Around::of(&*ledger).await?;
            let jobs = ledger.job_counts(options.run).await?;
            print(&run, &around);
            for (kind, state, count) in jobs {
                line("jobs", format!("{kind} {state}: {count}"));
            }
        }
    }
    Ok(Exit::Done)
}

/// A run, or an error that says how to find one.
pub async fn find(ledger: &dyn Ledger, id: RunId) -> anyhow::Result<RunView> {
    ledger.run(id).await?.ok_or_else(|| usage(format!("there is no run {id} here; see ferry run list")))
}

/// The object of `run show`: `source` is the sum of the seven outcomes.
pub fn summary(run: &RunView) -> serde_json::Value {
    let t = &run.tally;
    let stop = &run.spec.stop_after;
    json!({
        "run": run.id, "state": run.state, "source": t.source, "created": t.created, "adopted": t.adopted,
        "skipped": t.skipped, "conflict": t.conflict, "failed": t.failed, "cancelled": t.cancelled,
        "pending": t.pending, "verified": run.verified, "discrepancies": run.discrepancies,
        "round": run.round, "revision": run.revision, "limits": run.spec.limits, "rate": run.rate, "why": run.why,
        "max_failures": stop.failures, "max_failure_rate": stop.rate.map(|share| f64::from(share) / 100.0),
    })
}

fn line(name: &str, what: impl std::fmt::Display) {
    output::data(&output::field(name, 11, &what.to_string()));
}

fn print(run: &RunView, around: &Around) {
    line("run", run.id);
    line("state", run.state);
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

/// Why it stands, what lets it go on, how fast it may go and when it stops by itself.
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
