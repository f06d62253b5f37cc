//! `ferry schema`: the form of each JSON object that commands print, for programs that read them.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    exit::{Exit, usage},
    options::ListOutput,
    output, printed,
    schemas::{self, Known},
    table,
};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Print this schema: its name, with or without its version, like ferry.run/1 or run
    pub name: Option<String>,
    /// Write all schemas into a folder, one file each; it is made if it is not there
    #[arg(long, value_name = "FOLDER", conflicts_with = "name")]
    pub all: Option<PathBuf>,
    /// How to print the list; a schema itself is always JSON
    #[arg(long, value_enum, default_value_t)]
    pub output: ListOutput,
}

/// A schema, and the commands that print objects of its form.
#[derive(Serialize, JsonSchema)]
pub struct Line {
    /// Its name.
    name: &'static str,
    /// Its version. A field that is taken away, is renamed or means something else raises it.
    version: u32,
    /// The commands, as they are typed after `ferry`.
    commands: &'static [&'static str],
}

impl From<&Known> for Line {
    fn from(known: &Known) -> Self {
        Line { name: known.name(), version: known.version(), commands: known.commands }
    }
}

pub fn run(options: &Options) -> anyhow::Result<Exit> {
    match (&options.name, &options.all) {
        (Some(name), _) => {
            let known = schemas::named(name)
                .ok_or_else(|| usage(format!("there is no schema {name}; ferry schema lists them")))?;
            output::data(&serde_json::to_string_pretty(&known.document())?);
        }
        (None, Some(folder)) => write(folder)?,
        (None, None) => list(options.output)?,
    }
    Ok(Exit::Done)
}

fn list(form: ListOutput) -> anyhow::Result<()> {
    let lines = schemas::ALL.iter().map(Line::from);
    match form {
        ListOutput::Json => printed::array(lines),
        ListOutput::Ndjson => printed::lines(lines),
        ListOutput::Csv => printed::csv(["name", "version", "commands"], lines),
        ListOutput::Table => {
            let rows = schemas::ALL.iter().map(|known| vec![known.id.to_owned(), known.commands.join(", ")]);
            output::data(&table::table(&["schema", "printed by"], rows.collect(), &[]));
            output::say("One of them: ferry schema NAME. All as files: ferry schema --all FOLDER");
            Ok(())
        }
    }
}

fn write(folder: &Path) -> anyhow::Result<()> {
    let failed = || format!("the schemas could not be written to {}", folder.display());
    std::fs::create_dir_all(folder).with_context(failed)?;
    for known in schemas::ALL {
        let file = folder.join(format!("{}-{}.schema.json", known.name(), known.version()));
        let text = serde_json::to_string_pretty(&known.document())?;
        std::fs::write(file, text + "\n").with_context(failed)?;
    }
    output::say(&format!("{} schemas are in {}.", schemas::ALL.len(), folder.display()));
    Ok(())
}
