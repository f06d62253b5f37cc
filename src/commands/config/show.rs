//! `ferry config show`.

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{exit::Exit, options::ListOutput, output, printed, setup::Setup, table};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: ListOutput,
}

/// A setting, a server or a secret.
#[derive(Serialize, JsonSchema)]
pub struct Setting {
    /// Key of a setting, or name of a variable of the environment.
    key: String,
    /// Its value; of a secret only whether there is one.
    value: String,
    /// Where the value comes from; empty for a variable that is not set.
    from: String,
}

pub fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let settings = setup.origins.listed()?.into_iter().map(|(key, value, from)| Setting { key, value, from });
    let servers = setup.servers.all().map(|variable| {
        let (value, from) = match (variable.get(), setup.servers.file_of(variable)) {
            (Some(_), _) => (variable.shown(), "environment"),
            // The file is not read: it may be a pipe, which gives its content once.
            (None, Some(file)) => ("(in a file, hidden)", file.name),
            (None, None) => (variable.shown(), ""),
        };
        Setting { key: variable.name.to_owned(), value: value.to_owned(), from: from.to_owned() }
    });
    let lines: Vec<Setting> = settings.chain(servers).collect();
    match options.output {
        ListOutput::Json => printed::array(lines)?,
        ListOutput::Ndjson => printed::lines(lines)?,
        ListOutput::Csv => printed::csv(["key", "value", "from"], lines)?,
        ListOutput::Table => {
            let rows = lines.into_iter().map(|line| vec![line.key, line.value, line.from]).collect();
            output::data(&table::table(&["setting", "value", "from"], rows, &[]));
        }
    }
    Ok(Exit::Done)
}
