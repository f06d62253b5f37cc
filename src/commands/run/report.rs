//! `ferry run report`: the sealed report, or the state now where there is none.

use clap::{Args, ValueEnum};
use ferry_domain::RunId;
use ferry_operations::report;

use crate::{exit::Exit, output, setup::Setup, shown, wiring};

/// Form of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Text with tables, for people
    #[default]
    Markdown,
    /// One JSON value, for scripts
    Json,
    /// A line for each user that was neither created nor adopted
    Csv,
}

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The run's id
    pub run: RunId,
    /// Revision of the report [default: the newest, or the present state if there is none]
    #[arg(long)]
    pub revision: Option<i32>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: Form,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let access = wiring::access(setup).await?;
    let run = access.run(options.run).await?;
    if options.output == Form::Csv {
        output::data(ferry_report::header().trim_end());
        let line = &mut |item: &_| output::data(ferry_report::row(item).trim_end_matches('\n'));
        report::not_at_target(&access, run.id, line).await?;
        return Ok(Exit::Done);
    }
    let report = shown::report(&access, &run, options.revision).await?;
    match options.output {
        Form::Json => output::json(&report)?,
        _ => output::data(ferry_report::markdown(&report).trim_end()),
    }
    Ok(Exit::Done)
}
