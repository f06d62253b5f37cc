//! `ferry run report`: the sealed report, or the state now where there is none.

use anyhow::Context;
use clap::{Args, ValueEnum};
use ferry_domain::{
    ItemSeq, ItemState, RunId, RunView,
    ports::{Clock, ItemFilter, Ledger},
};
use ferry_report::Report;

use super::show as run_show;
use crate::{
    exit::{Exit, usage},
    output,
    setup::Setup,
    system::SystemClock,
};

/// Users read from the ledger at once.
const PAGE: i64 = 1_000;
/// Discrepancies named in the report.
const NAMED: i64 = 100;

/// Form of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people
    #[default]
    Markdown,
    /// Everything as one object
    Json,
    /// One line for each user that was not created or adopted
    Csv,
}

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The run's id
    pub run: RunId,
    /// A revision; default: the newest, or the state now if there is none
    #[arg(long)]
    pub revision: Option<i32>,
    #[arg(long, value_enum, default_value_t)]
    pub output: Form,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let ledger = setup.ledger().await?;
    let run = run_show::find(&*ledger, options.run).await?;
    if options.output == Form::Csv {
        print_csv(&*ledger, &run).await?;
        return Ok(Exit::Done);
    }
    let report = stored_or_now(&*ledger, &run, options.revision).await?;
    match options.output {
        Form::Json => output::json(&report)?,
        _ => output::data(ferry_report::markdown(&report).trim_end()),
    }
    Ok(Exit::Done)
}

/// The kept report of a revision, or the newest, or one made from the state now.
pub async fn stored_or_now(
    ledger: &dyn Ledger,
    run: &RunView,
    revision: Option<i32>,
) -> anyhow::Result<Report> {
    if let Some(stored) = ledger.report(run.id, revision).await? {
        return serde_json::from_value(stored.report).context("the kept report can't be read");
    }
    if let Some(revision) = revision {
        return Err(usage(format!(
            "run {} has no report revision {revision}; the newest is {}",
            run.id, run.revision
        )));
    }
    output::say(&format!("Run {} is {}: this is its state now, not its report.", run.id, run.state));
    let failures = ledger.failures(run.id).await?;
    let discrepancies = ledger.discrepancies(run.id, ItemSeq(0), NAMED).await?;
    Ok(Report::new(run, &failures, &discrepancies, SystemClock.now()))
}

async fn print_csv(ledger: &dyn Ledger, run: &RunView) -> anyhow::Result<()> {
    use ItemState::{Cancelled, Conflict, Failed, Pending, Skipped};
    let filter =
        ItemFilter { states: vec![Failed, Conflict, Skipped, Cancelled, Pending], codes: Vec::new() };
    output::data(ferry_report::header().trim_end());
    let mut after = ItemSeq(0);
    loop {
        let page = ledger.items(run.id, &filter, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.seq;
        for item in &page {
            output::data(ferry_report::row(item).trim_end_matches('\n'));
        }
    }
}
