//! `ferry queue`: jobs on their way from the ledger to workers.

mod list;
mod rebuild;

use clap::Subcommand;

use crate::{exit::Exit, setup::Setup};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List jobs of all runs by kind and state, what Redis holds, and the workers
    List(list::Options),
    /// Send again the jobs that a lost or emptied Redis no longer holds, without waiting for workers to notice
    Rebuild(rebuild::Options),
}

pub async fn run(setup: &Setup, command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::List(options) => list::run(setup, options).await,
        Command::Rebuild(options) => rebuild::run(setup, options).await,
    }
}
