//! `ferry dead`: what was given up, and what becomes of it.

mod decision;
mod discard;
mod list;
mod redrive;
mod selection;
mod show;

use clap::Subcommand;

use crate::{exit::Exit, setup::Setup};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List dead letters, newest first
    List(list::Options),
    /// Show one dead letter: why it was given up, by whom, and what to do
    Show(show::Options),
    /// Send dead letters again: their users are tried once more
    Redrive(redrive::Options),
    /// Mark dead letters as settled without sending them. Their users stay failed, the letters stay on record
    Discard(discard::Options),
}

pub async fn run(setup: &Setup, command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::List(options) => list::run(setup, options).await,
        Command::Show(options) => show::run(setup, options).await,
        Command::Redrive(options) => redrive::run(setup, options).await,
        Command::Discard(options) => discard::run(setup, options).await,
    }
}
