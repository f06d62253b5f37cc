//! `ferry dead`: what was given up, and what becomes of it.

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
    /// Show one: why it was given up, by whom, and what to do
    Show(show::Options),
    /// Send kept letters again: their users become pending in a new round
    Redrive(redrive::Options),
    /// Mark kept letters as settled; they stay on record, their users stay failed
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
