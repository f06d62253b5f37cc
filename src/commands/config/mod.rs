//! `ferry config`: every setting, whether all is there, and the file to begin with.

mod check;
mod show;
mod template;

pub use self::{check::Checked, show::Setting};

use clap::Subcommand;

use crate::{exit::Exit, setup::Setup};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print every setting with its value and where it came from
    Show(show::Options),
    /// Check whether settings and environment are complete; no server is asked
    Check(check::Options),
    /// Print a settings file with every setting, its default and what it means
    Template,
}

pub fn run(setup: &Setup, command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Show(options) => show::run(setup, options),
        Command::Check(options) => check::run(setup, &options),
        Command::Template => template::run(),
    }
}
