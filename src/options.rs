//! Options that several commands share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ferry_operations::RunName;

use crate::{
    consent::Consent,
    settings::{self, Flag},
};

/// Heading of the options that every command has.
const COMMON: &str = "Common options";

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Settings file [default: ferry.toml in this folder, if it exists]
    #[arg(long, help_heading = COMMON, global = true, env = "FERRY_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Log level: error, warn, info, debug, trace; or of one part, like ferry_workers=debug
    #[arg(long, help_heading = COMMON, global = true, env = "FERRY_LOG", value_name = "LEVEL")]
    pub log: Option<String>,
    /// Log format: text or json
    #[arg(long, help_heading = COMMON, global = true, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Never ask: where a question would be asked, end with 2 and say which flag answers it
    #[arg(long, help_heading = COMMON, global = true)]
    pub no_input: bool,
}

impl Global {
    /// The settings that these override.
    pub fn flags(&self) -> Vec<Flag> {
        let mut flags = Vec::new();
        settings::push(&mut flags, "log.level", self.log.as_deref());
        settings::push(&mut flags, "log.format", self.log_format.as_deref());
        flags
    }
}

/// How data is printed on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A table, for people
    #[default]
    Table,
    /// One JSON value, for programs; each object names its schema (ferry schema)
    Json,
    /// JSON too, one object on a line: for a single value the same as json
    Ndjson,
}

/// How a list is printed on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ListOutput {
    /// A table, for people
    #[default]
    Table,
    /// One JSON value, for programs; each object names its schema (ferry schema)
    Json,
    /// Each item as a JSON object on a line of its own
    Ndjson,
    /// A header and a line for each item, for spreadsheets
    Csv,
}

/// What is said with an order about one run.
#[derive(Clone, Debug, Args)]
pub struct Order {
    /// The run's id, how it begins, or last
    pub run: RunName,
    #[command(flatten)]
    pub consent: Consent,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}
