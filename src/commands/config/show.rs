//! `ferry config show`.

use clap::Args;
use serde::Serialize;

use crate::{exit::Exit, options::Output, output, setup::Setup};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// A setting, a server or a secret.
#[derive(Serialize)]
struct Line {
    key: String,
    value: String,
    from: String,
}

pub fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let settings = setup.origins.listed()?.into_iter().map(|(key, value, from)| Line { key, value, from });
    let servers = setup.servers.all().map(|variable| {
        let (value, from) = match (variable.get(), setup.servers.file_of(variable)) {
            (Some(_), _) => (variable.shown(), "environment"),
            // The file is not read: it may be a pipe, which gives its content once.
            (None, Some(file)) => ("(in a file, hidden)", file.name),
            (None, None) => (variable.shown(), ""),
        };
        Line { key: variable.name.to_owned(), value: value.to_owned(), from: from.to_owned() }
    });
    let lines: Vec<Line> = settings.chain(servers).collect();
    match options.output {
        Output::Json => output::json(&lines)?,
        Output::Table => {
            let rows = lines.into_iter().map(|line| vec![line.key, line.value, line.from]).collect();
            output::data(&output::table(&["setting", "value", "from"], rows, &[]));
        }
    }
    Ok(Exit::Done)
}
