//! `ferry run list`.

use clap::Args;
use ferry_domain::RunView;
use serde_json::json;
use time::format_description::well_known::Rfc3339;

use crate::{exit::Exit, options::Output, output, setup::Setup};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// At most so many
    #[arg(long, default_value_t = 20)]
    pub limit: i64,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let ledger = setup.ledger().await?;
    let runs = ledger.runs(options.limit).await?;
    match options.output {
        Output::Json => output::json(&runs.iter().map(line).collect::<Vec<_>>())?,
        Output::Table if runs.is_empty() => output::say("No runs yet. Begin with ferry run start."),
        Output::Table => {
            let header =
                ["run", "state", "source", "users", "created", "adopted", "pending", "needs a look", "begun"];
            output::data(&output::table(&header, runs.iter().map(row).collect(), &[3, 4, 5, 6, 7]));
        }
    }
    Ok(Exit::Done)
}

fn line(run: &RunView) -> serde_json::Value {
    json!({
        "run": run.id, "state": run.state, "migration": run.migration, "from": run.source.to_string(),
        "source": run.tally.source, "created": run.tally.created, "adopted": run.tally.adopted,
        "pending": run.tally.pending, "conflict": run.tally.conflict, "failed": run.tally.failed,
        "created_at": run.created_at.format(&Rfc3339).unwrap_or_default(),
    })
}

fn row(run: &RunView) -> Vec<String> {
    let day = run.created_at.replace_nanosecond(0).unwrap_or(run.created_at);
    vec![
        run.id.to_string(),
        run.state.to_string(),
        run.source.to_string(),
        run.tally.source.to_string(),
        run.tally.created.to_string(),
        run.tally.adopted.to_string(),
        run.tally.pending.to_string(),
        (run.tally.conflict + run.tally.failed).to_string(),
        day.format(&Rfc3339).unwrap_or_default(),
    ]
}
