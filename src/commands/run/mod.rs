//! `ferry run`: starts runs, shows them, and says what they are to do.

mod export;
mod list;
mod moves;
mod rate;
mod report;
mod restore_ids;
mod retry;
mod show;
mod start;
mod watch;

pub use self::restore_ids::Told as Restored;

use clap::Subcommand;
use ferry_domain::run::RunMove;

use crate::{exit::Exit, made_with::Carried, options::Order, settings::Flag, setup::Setup};

const WATCH: &str = "Without a terminal, with TERM=dumb, or with --output json or ndjson there is no live view. In it, each change is asked
about first. NO_COLOR is honoured. q, Esc, Ctrl-C and SIGTERM end watching with 130: the run goes on as it was.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read a source, record its users in the ledger, and let workers begin
    Start(Box<start::Options>),
    /// List runs, newest first
    List(list::Options),
    /// Show one run: its state, why it waits, users by outcome, jobs
    Show(show::Options),
    /// Follow a run until it ends. Exit code: 0 done, 3 some users need a person, 4 verification failed,
    /// 5 stopped or cancelled, 130 no longer watched
    #[command(after_help = WATCH)]
    Watch(watch::Options),
    /// Pause a run within a second: requests under way are finished, no user is lost
    Pause(Order),
    /// Continue a paused or stopped run where it left off
    Resume(Order),
    /// Cancel a run for good: shows how many users that concerns, then asks. Users already at Auth0 stay
    Cancel(Order),
    /// Change the tenant's rate limits while a run goes on. If several runs set limits, those of the newest apply
    Rate(rate::Options),
    /// Try failed and conflicting users again, also after the run has ended
    Retry(retry::Options),
    /// Print the report of a run
    Report(report::Options),
    /// Write the ids of an ended run into the application's table again, where they are gone: shows how many rows
    /// lack one, then asks. Auth0 is asked for each user first
    RestoreIds(Order),
    /// Print the id map of a run: the key of each user in the source, and its id at Auth0
    Export(export::Options),
}

impl Command {
    /// The settings that its options override.
    pub fn flags(&self) -> Vec<Flag> {
        match self {
            Command::Start(options) => options.flags(),
            _ => Vec::new(),
        }
    }

    /// What it takes from a plan before settings are read.
    pub fn carried(&self) -> anyhow::Result<Carried> {
        match self {
            Command::Start(options) => options.carried(),
            _ => Ok(Carried::default()),
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
        Command::RestoreIds(options) => restore_ids::run(setup, options).await,
        Command::Export(options) => export::run(setup, options).await,
    }
}
