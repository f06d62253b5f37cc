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

use clap::Subcommand;
use ferry_domain::run::RunMove;

use crate::{exit::Exit, made_with::Carried, options::Order, settings::Flag, setup::Setup};

const START: &str = "Examples:
  ferry run start --plan friday.plan                 what was planned; nothing else has to be given
  ferry run start users.csv --max-failures 50        a file; stop when more than 50 users failed or conflict
  ferry run start --preset medlogistics --yes        the table of DATABASE_URL, without a question";

const RETRY: &str = "Examples:
  ferry run retry last                               all who failed or are in conflict, unless a rule refused them
  ferry run retry last --code SERVER_ERROR           those with one code
  ferry run retry last --where 'hospital=H-12 line=200..300'
                                                     keys of the filter: see ferry user list --help";

const WATCH: &str = "Examples:
  ferry run watch last                               on a terminal a live view: p pause, r resume, + and - the rate,
                                                     q quit, ? help. Each change is asked about first
  ferry run watch last --plain                       lines, as in a pipe or a file
  ferry run watch last --output ndjson | jq .state   the run as JSON, whenever it changes

Without a terminal, with TERM=dumb, or with --output json or ndjson there is no live view. NO_COLOR is honoured.
q, Esc, Ctrl-C and SIGTERM end watching with 130: the run goes on as it was.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read a source, record its users in the ledger, and let workers begin
    #[command(after_help = START)]
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
    #[command(after_help = RETRY)]
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
