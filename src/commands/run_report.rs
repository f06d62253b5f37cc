//! `ferry run report`: the sealed report, or the state now where there is none.

use anyhow::Context;
use ferry_domain::{
    ItemSeq, ItemState, RunView,
    ports::{Clock, ItemFilter, Ledger},
};
use ferry_report::Report;

use super::run_show;
use crate::{
    cli::{ReportOutput, RunReport},
    exit::{Exit, usage},
    output,
    setup::Setup,
    system::SystemClock,
};

/// Users read from the ledger at once.
const PAGE: i64 = 1_000;
/// Discrepancies named in the report.
const NAMED: i64 = 100;

pub async fn run(setup: &Setup, options: RunReport) -> anyhow::Result<Exit> {
    let ledger = setup.ledger().await?;
    let run = run_show::find(&*ledger, options.run).await?;
    if options.output == ReportOutput::Csv {
        print_csv(&*ledger, &run).await?;
        return Ok(Exit::Done);
    }
    let report = stored_or_now(&*ledger, &run, options.revision).await?;
    match options.output {
        ReportOutput::Json => output::json(&report)?,
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
