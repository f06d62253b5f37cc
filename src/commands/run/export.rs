//! `ferry run export`: the id map, for applications whose users came from a file.

use clap::{Args, ValueEnum};
use ferry_operations::{RunName, report, views::IdView};

use crate::{
    exit::Exit,
    output,
    printed::{self, Array},
    setup::Setup,
    wiring,
};

/// Form of an id map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A header and a line for each user
    #[default]
    Csv,
    /// One JSON array, for programs; each object names its schema (ferry schema)
    Json,
    /// A JSON object on a line for each user
    Ndjson,
}

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The run's id, how it begins, or last
    pub run: RunName,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: Form,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let access = wiring::access(setup).await?;
    let run = access.run(access.named(&options.run).await?).await?;
    let mut users = 0u64;
    match options.output {
        Form::Csv => {
            output::data(ferry_report::id_header().trim_end());
            let line = &mut |item: &_| {
                users += 1;
                output::data(ferry_report::id_row(item).trim_end_matches('\n'));
            };
            report::at_target(&access, run.id, line).await?;
        }
        Form::Json | Form::Ndjson => {
            let mut array = (options.output == Form::Json).then(Array::begin);
            let mut wrong = None;
            let line = &mut |item: &_| {
                users += 1;
                let account = IdView::from(item);
                let printed = match &mut array {
                    Some(array) => array.push(&account),
                    None => printed::object(&account),
                };
                wrong = printed.err().or(wrong.take());
            };
            report::at_target(&access, run.id, line).await?;
            wrong.map_or(Ok(()), Err)?;
            array.into_iter().for_each(Array::end);
        }
    }
    output::say(&format!("{users} of {} users have an account at Auth0.", run.tally.source));
    Ok(Exit::Done)
}
