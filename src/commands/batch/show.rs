//! `ferry batch show`: one batch of any run.

use clap::Args;
use ferry_operations::batch::{self, Batch};

use crate::{exit::Exit, options::Output, output, printed, setup::Setup, wiring};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The batch's id, or how it begins
    pub batch: String,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let access = wiring::access(setup).await?;
    let found = batch::show(&access, &options.batch).await?;
    match options.output {
        Output::Json | Output::Ndjson => printed::object(&found)?,
        Output::Table => print(&found),
    }
    Ok(Exit::Done)
}

fn line(name: &str, what: &str) {
    output::data(&output::field(name, 11, what));
}

fn print(batch: &Batch) {
    line("batch", &format!("{} (number {} of run {})", batch.batch, batch.number, batch.run));
    line("state", &format!("{}, round {}", batch.state.as_str(), batch.round));
    line("users", &batch.users.to_string());
    for (name, users) in [
        ("pending", batch.pending),
        ("created", batch.created),
        ("adopted", batch.adopted),
        ("skipped", batch.skipped),
        ("conflict", batch.conflict),
        ("failed", batch.failed),
        ("cancelled", batch.cancelled),
        ("verified", batch.verified),
        ("differ", batch.discrepancies),
    ] {
        if users > 0 {
            line(name, &users.to_string());
        }
    }
    line("requests", &batch.requests.to_string());
    for job in &batch.jobs {
        line(job.kind.as_str(), &super::tries(job));
        if let Some(code) = job.code {
            line("remedy", code.remedy());
        }
    }
    // On one line, to be pasted.
    let list = format!("ferry user list {} --where batch={}", batch.run, batch.batch);
    output::data(&format!("{:11} {list}", "its users"));
}
