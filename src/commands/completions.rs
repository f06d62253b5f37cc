//! `ferry completions`: a script with which a shell completes the command line.

use clap::Args;
use clap_complete::Shell;

use crate::{exit::Exit, output};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Writes the script for `command` to stdout.
pub fn run(mut command: clap::Command, options: &Options) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command, "ferry", &mut script);
    output::part(&String::from_utf8(script)?);
    Ok(Exit::Done)
}
