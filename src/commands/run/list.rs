//! `ferry run list`.

use clap::Args;
use ferry_domain::RunView;
use ferry_operations::views::{RunLine, to_the_second};

use crate::{exit::Exit, options::Output, output, setup::Setup, wiring};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Show at most this many runs
    #[arg(long, default_value_t = 20)]
    pub limit: i64,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let runs = wiring::access(setup).await?.runs.runs(options.limit).await?;
    match options.output {
        Output::Json => output::json(&runs.iter().map(RunLine::from).collect::<Vec<_>>())?,
        Output::Table if runs.is_empty() => output::say("No runs yet. Begin with ferry run start."),
        Output::Table => {
            let header =
                ["run", "state", "source", "users", "created", "adopted", "pending", "needs a look", "begun"];
            output::data(&output::table(&header, runs.iter().map(row).collect(), &[3, 4, 5, 6, 7]));
        }
    }
    Ok(Exit::Done)
}

fn row(run: &RunView) -> Vec<String> {
    vec![
        run.id.to_string(),
        run.state.to_string(),
        run.source.to_string(),
        run.tally.source.to_string(),
        run.tally.created.to_string(),
        run.tally.adopted.to_string(),
        run.tally.pending.to_string(),
        (run.tally.conflict + run.tally.failed).to_string(),
        to_the_second(run.created_at),
    ]
}
