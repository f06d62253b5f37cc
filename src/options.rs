//! Options that several commands share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::settings::{self, Flag};

/// Flags of every command.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Settings file; default: ferry.toml in this folder, if there is one
    #[arg(long, global = true, env = "FERRY_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Log level: error, warn, info, debug, trace, or pairs like ferry_workers=debug
    #[arg(long, global = true, env = "FERRY_LOG", value_name = "LEVEL")]
    pub log: Option<String>,
    /// Log format: text or json
    #[arg(long, global = true, value_name = "FORMAT")]
    pub log_format: Option<String>,
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
    /// For people
    #[default]
    Table,
    /// One JSON value
    Json,
}

/// Agreement to a bulk action, and why.
#[derive(Clone, Debug, Args)]
pub struct Consent {
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}
