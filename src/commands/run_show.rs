//! `ferry run show`: state, sums and jobs of one run.

use ferry_domain::{ItemState, RunId, RunView, ports::Ledger};
use serde_json::json;

use crate::{
    cli::{Output, RunShow},
    exit::{Exit, usage},
    output,
    settings::Settings,
    wiring::{self, Place},
};

pub async fn run(settings: &Settings, options: RunShow) -> anyhow::Result<Exit> {
    let ledger = wiring::ledger(&Place::from_environment()?, settings).await?;
    let run = find(&*ledger, options.run).await?;
    match options.output {
        Output::Json => output::json(&summary(&run))?,
        Output::Table => {
            let jobs = ledger.job_counts(options.run).await?;
            print(&run);
            for (kind, state, count) in jobs {
                output::data(&format!("jobs        {kind} {state}: {count}"));
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
    json!({
        "run": run.id, "state": run.state, "source": t.source, "created": t.created, "adopted": t.adopted,
        "skipped": t.skipped, "conflict": t.conflict, "failed": t.failed, "cancelled": t.cancelled,
        "pending": t.pending, "verified": run.verified, "discrepancies": run.discrepancies,
        "round": run.round, "revision": run.revision,
    })
}

fn print(run: &RunView) {
    output::data(&format!(
        "run         {}\nstate       {}\nmigration   {}",
        run.id, run.state, run.migration
    ));
    output::data(&format!(
        "from        {}\nto          {} / {}",
        run.source, run.spec.tenant, run.spec.connection
    ));
    output::data(&format!("source      {}", run.tally.source));
    for state in ItemState::ALL.iter().skip(1).chain(&[ItemState::Pending]) {
        output::data(&format!("{:11} {}", state.as_str(), run.tally.count(*state)));
    }
    output::data(&format!("verified    {} ({} otherwise)", run.verified, run.discrepancies));
    output::data(&format!("batches     {} not verified yet", run.open_batches));
    output::data(&format!("report      revision {}, round {}", run.revision, run.round));
    if !run.tally.adds_up() {
        output::say("The sums do not add up: this is a fault of Ferry, keep the ledger and report it.");
    }
}
