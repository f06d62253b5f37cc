//! `ferry run watch`: follows a run until it ends, and says why it waits.
//!
//! On a terminal it is a view of the whole screen with keys ([`live`]), elsewhere lines ([`plain`]). Both look at
//! the run in the same way ([`following`]) and end in the same way ([`ending`]).

mod ending;
mod following;
mod keys;
mod live;
mod orders;
mod plain;
mod view;

use std::io::IsTerminal;

use clap::{Args, ValueEnum};
use ferry_domain::RunView;
use ferry_operations::{Access, RunName};

use self::following::Following;
use crate::{exit::Exit, lifecycle, output, setup::Setup, system};

/// When watching ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Until {
    /// The end of the run, with its report
    #[default]
    Sealed,
}

/// What is printed on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// How it ended, in one line
    #[default]
    Table,
    /// The run at its end, as one JSON value; it names its schema (ferry schema)
    Json,
    /// The run as a JSON value on a line, now, whenever it changes, and at its end
    Ndjson,
}

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The run's id, how it begins, or last
    pub run: RunName,
    /// What to wait for
    #[arg(long, value_enum, default_value_t)]
    pub until: Until,
    /// How to print the result on stdout; progress goes to stderr
    #[arg(long, value_enum, default_value_t)]
    pub output: Form,
    /// Print lines on a terminal too, instead of the live view with keys
    #[arg(long)]
    pub plain: bool,
}

/// How watching ended.
enum Watched {
    /// The run ended; with access to the ledger that it was last seen in.
    Ended(Box<(RunView, Access)>),
    /// A person or a signal ended it; the run goes on as it was when last seen.
    Left(Box<RunView>),
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let following = Following::begin(setup, &options.run).await?;
    let stop = lifecycle::stop_on_signal()?;
    let watched = match is_live(&options) {
        true => live::run(setup, following, &stop).await?,
        false => plain::run(following, options.output, options.plain, &stop).await?,
    };
    match watched {
        Watched::Ended(ended) => {
            let (run, access) = *ended;
            ending::tell(&access, &run, options.output).await
        }
        Watched::Left(last) => {
            let left = format!("No longer watching; run {} goes on as it was ({}).", last.id, last.state);
            output::say(&output::folded(&left, 0).join("\n"));
            Ok(Exit::Interrupted)
        }
    }
}

/// Whether there is a person before a terminal that can be drawn on.
fn is_live(options: &Options) -> bool {
    let terminal = std::io::stdin().is_terminal()
        && std::io::stdout().is_terminal()
        && std::io::stderr().is_terminal()
        && system::environment("TERM").is_some_and(|kind| kind != "dumb")
        && system::in_foreground();
    options.output == Form::Table && !options.plain && terminal
}
