//! `ferry batch list`.

use anyhow::Context;
use clap::Args;
use ferry_domain::shell;
use ferry_operations::{
    Error, RunName,
    batch::{self, Batch, Listed},
    units::grouped,
};

use crate::{exit::Exit, options::ListOutput, output, printed, setup::Setup, table, wiring};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The run's id, how it begins, or last
    #[arg(default_value = "last")]
    pub run: RunName,
    /// Only batches that this filter means: 'state=open job=leased code=A,B'
    #[arg(long = "where", value_name = "FILTER")]
    pub filter: Option<String>,
    /// Show at most this many batches
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1_000))]
    pub limit: i64,
    /// Only batches after the one with this number: what the page before names
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(0..))]
    pub after: Option<i64>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: ListOutput,
}

/// Without jobs, which are objects of their own.
const COLUMNS: [&str; 16] = [
    "number",
    "batch",
    "run",
    "round",
    "state",
    "users",
    "pending",
    "created",
    "adopted",
    "skipped",
    "conflict",
    "failed",
    "cancelled",
    "verified",
    "discrepancies",
    "requests",
];

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let filter = batch::read(options.filter.as_deref()).map_err(Error::from).context("--where")?;
    let access = wiring::access(setup).await?;
    let listed = batch::list(&access, &options.run, &filter, options.after, options.limit).await?;
    match options.output {
        ListOutput::Json => {
            printed::object(&listed)?;
            return Ok(Exit::Done);
        }
        ListOutput::Ndjson => printed::lines(&listed.batches)?,
        ListOutput::Csv => printed::csv(COLUMNS, &listed.batches)?,
        ListOutput::Table if listed.batches.is_empty() => {}
        ListOutput::Table => {
            let header = ["no.", "batch", "round", "state", "users", "pending", "moved", "failed", "jobs"];
            let rows = listed.batches.iter().map(row).collect();
            output::data(&table::table(&header, rows, &[0, 2, 4, 5, 6, 7]));
        }
    }
    output::say(&told(&listed, &options));
    Ok(Exit::Done)
}

fn row(batch: &Batch) -> Vec<String> {
    let jobs = batch.jobs.iter().map(|job| format!("{} {}", job.kind, super::tries(job)));
    vec![
        batch.number.to_string(),
        batch.batch.clone(),
        batch.round.to_string(),
        batch.state.as_str().to_owned(),
        batch.users.to_string(),
        batch.pending.to_string(),
        (batch.created + batch.adopted).to_string(),
        (batch.failed + batch.conflict).to_string(),
        jobs.collect::<Vec<_>>().join("; "),
    ]
}

/// How many there are, and how to see the next of them.
fn told(listed: &Listed, options: &Options) -> String {
    let Listed { run, matching, batches, next_after } = listed;
    let (here, all) = (grouped(batches.len() as i64), grouped(*matching));
    let Some(after) = next_after else {
        return match batches.is_empty() {
            true => format!("No batch of run {run} matches."),
            false => format!("{here} of {all} batches of run {run}. More: ferry batch show BATCH"),
        };
    };
    let mut next = format!("ferry batch list {run}");
    if let Some(filter) = &options.filter {
        next += &format!(" --where {}", shell::quoted(filter));
    }
    if options.limit != 50 {
        next += &format!(" --limit {}", options.limit);
    }
    format!("{here} of {all} batches; next page: {next} --after {after}")
}
