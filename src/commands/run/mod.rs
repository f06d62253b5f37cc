//! `ferry run`: starts runs, shows them, and says what they are to do.

mod list;
mod moves;
mod rate;
mod report;
mod retry;
mod show;
mod start;
mod watch;

use clap::Subcommand;
use ferry_domain::run::RunMove;

use crate::{exit::Exit, settings::Flag, setup::Setup};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Plan a source into the ledger and let workers begin
    Start(Box<start::Options>),
    /// List runs, newest first
    List(list::Options),
    /// Show one run: state, why it waits, sums, jobs
    Show(show::Options),
    /// Follow a run until it ends; the exit code says how
    Watch(watch::Options),
    /// Stop sending of one run within a second; what is under way is finished. Nothing is lost
    Pause(moves::Options),
    /// Let a paused or stopped run go on where it was
    Resume(moves::Options),
    /// Give a run up for good: shows how many users, then asks; users at Auth0 already stay
    Cancel(moves::Options),
    /// Set the rate limits while it runs; the newest set counts for the tenant
    Rate(rate::Options),
    /// Take failed and conflicting users up again, also of a sealed run
    Retry(retry::Options),
    /// Print the report of a run
    Report(report::Options),
}

impl Command {
    /// The settings that its options override.
    pub fn flags(&self) -> Vec<Flag> {
        match self {
            Command::Start(options) => options.flags(),
            _ => Vec::new(),
        }
    }
}

pub async fn run(setup: &Setup, command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Start(options) => start::run(setup, *options).await,
        Command::List(options) => list::run(setup, options).await,
        Command::Show(options) => show::run(setup, options).await,
        Command::Watch(options) => watch::run(setup, options).await,
        Command::Pause(options) => moves::run(setup, RunMove::Pause, options).await,
        Command::Resume(options) => moves::run(setup, RunMove::Resume, options).await,
        Command::Cancel(options) => moves::run(setup, RunMove::Cancel, options).await,
        Command::Rate(options) => rate::run(setup, options).await,
        Command::Retry(options) => retry::run(setup, options).await,
        Command::Report(options) => report::run(setup, options).await,
    }
}
