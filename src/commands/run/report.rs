//! `ferry run report`: the sealed report, or the state now where there is none.

use clap::{Args, ValueEnum};
use ferry_operations::{
    RunName,
    report::{self, Listed, Shown},
};

use crate::{exit::Exit, output, printed, setup::Setup, shown, wiring};

/// Form of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Text with tables, for people; table is the same
    #[default]
    #[value(alias = "table")]
    Markdown,
    /// One page with tables and plots, which needs no network, for a browser or a printer
    Html,
    /// One JSON value, for programs; it names its schema (ferry schema)
    Json,
    /// The same as json: one object on one line
    Ndjson,
    /// A line for each user that needs a person, or differs at Auth0 from what was written
    Csv,
}

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The run's id, how it begins, or last
    pub run: RunName,
    /// Revision of the report [default: the newest, or the present state if there is none]
    #[arg(long)]
    pub revision: Option<i32>,
    /// List skipped users, too (with --output csv)
    #[arg(long)]
    pub all: bool,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: Form,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let access = wiring::access(setup).await?;
    let run = access.run(access.named(&options.run).await?).await?;
    if options.output == Form::Csv {
        output::data(ferry_report::header().trim_end());
        let listed = if options.all { Listed::All } else { Listed::NeedsAttention };
        let line = &mut |item: &_, found: Option<&_>| {
            output::data(ferry_report::row(item, found).trim_end_matches('\n'));
        };
        report::not_at_target(&access, &run, listed, line).await?;
        return Ok(Exit::Done);
    }
    let Shown { report, standing } = shown::report(&access, &run, options.revision).await?;
    match options.output {
        Form::Json | Form::Ndjson => printed::object(&report)?,
        Form::Html => output::data(ferry_report::html(&report, &standing).trim_end()),
        Form::Markdown | Form::Csv => output::data(ferry_report::markdown(&report).trim_end()),
    }
    Ok(Exit::Done)
}
