//! `ferry user`: what became of one user.

pub mod show;

use clap::Subcommand;

use crate::{exit::Exit, setup::Setup};

const SHOW: &str = "Examples:
  ferry user show 1297                               in all runs, and how the account is at Auth0 now
  ferry user show 1297 --run last --offline          in the newest run, by the ledger alone
  ferry user show 1297 --output json                 the same for a script";

#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Show all that is known of one user: its outcome in each run and why, its jobs, its account as it is now
    #[command(after_help = SHOW)]
    Show(show::Options),
}

pub async fn run(setup: &Setup, command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Show(options) => show::run(setup, options).await,
    }
}
