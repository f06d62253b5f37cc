//! `ferry audit`: who ordered what, when, and why.

use clap::Args;
use ferry_operations::{
    RunName,
    audit::{self, Line},
};

use crate::{exit::Exit, options::ListOutput, output, printed, setup::Setup, wiring};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Only orders about this run, or about all: the run's id, how it begins, or last
    #[arg(long)]
    pub run: Option<RunName>,
    /// Show at most this many, the newest first
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    pub limit: i64,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: ListOutput,
}

const COLUMNS: [&str; 6] = ["at", "actor", "action", "run", "reason", "detail"];

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let access = wiring::access(setup).await?;
    let run = match &options.run {
        Some(name) => Some(access.named(name).await?),
        None => None,
    };
    let lines = audit::list(&access, run, options.limit).await?;
    match options.output {
        ListOutput::Json => printed::array(lines)?,
        ListOutput::Ndjson => printed::lines(lines)?,
        ListOutput::Csv => printed::csv(COLUMNS, lines)?,
        ListOutput::Table if lines.is_empty() => output::say("Nobody has ordered anything yet."),
        ListOutput::Table => lines.iter().for_each(print),
    }
    Ok(Exit::Done)
}

/// The time and the order on one line; then which run, why, and what came of it.
fn print(line: &Line) {
    output::data(&format!("{}  {}  by {}", line.at, line.action, line.actor));
    let run = line.run.map(|run| format!("run {run}"));
    let why = line.reason.as_ref().map(|why| format!("because: {why}"));
    let came = Some(line.came_of_it()).filter(|text| !text.is_empty());
    for text in [run, why, came].into_iter().flatten() {
        output::data(&output::folded(&text, 2).join("\n"));
    }
}
