//! `ferry dead list`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use ferry_domain::ports::{DeadFilter, DeadState, DeadView};
use ferry_operations::{
    dead::{self, Listed, Selected},
    units,
    views::Letter,
};
use time::OffsetDateTime;

use super::selection::Selection;
use crate::{
    exit::{Exit, usage},
    options::ListOutput,
    output, printed,
    setup::Setup,
    shown, table, wiring,
};

/// A state of dead letters, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum States {
    /// Waits for a person
    Kept,
    /// Was sent again
    Redriven,
    /// Was marked as settled
    Discarded,
    /// Whatever the state
    All,
}

#[derive(Clone, Debug, Args)]
pub struct Options {
    #[command(flatten)]
    pub which: Selection,
    /// Only in this state [default: kept]
    #[arg(long, value_enum)]
    pub state: Option<States>,
    /// Show at most this many dead letters
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    pub limit: i64,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: ListOutput,
}

const COLUMNS: [&str; 16] = [
    "id",
    "at",
    "kind",
    "state",
    "queue",
    "job",
    "run",
    "batch",
    "code",
    "reason",
    "attempts",
    "rescues",
    "users",
    "given_up_by",
    "resolved_by",
    "resolved_at",
];

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let selected = selected(options.which, options.state)?;
    let access = wiring::access(setup).await?;
    let filter = selected.filter(&access).await?;
    let Listed { letters, all } = dead::list(&access, &filter, options.limit).await?;
    match options.output {
        ListOutput::Json => printed::array(letters.iter().map(Letter::from))?,
        ListOutput::Ndjson => printed::lines(letters.iter().map(Letter::from))?,
        ListOutput::Csv => printed::csv(COLUMNS, letters.iter().map(Letter::from))?,
        ListOutput::Table if letters.is_empty() => output::say(nothing(&filter)),
        ListOutput::Table => {
            let now = access.clock.now();
            let header = ["id", "age", "what", "code", "users", "state", "run"];
            let rows = letters.iter().map(|letter| row(letter, now)).collect();
            output::data(&table::table(&header, rows, &[0, 1, 4]));
            output::say(&format!(
                "{} of {} letters; {} users failed with all of them. More: ferry dead show ID",
                letters.len(),
                all.letters,
                all.users
            ));
        }
    }
    Ok(Exit::Done)
}

fn selected(which: Selection, state: Option<States>) -> anyhow::Result<Selected> {
    let selected = which.read()?;
    let state = match (state, selected.state) {
        (Some(_), Some(_)) => {
            return Err(usage("the state is given by --state and by --where; give it once"));
        }
        (None, Some(state)) => state,
        (Some(States::Redriven), None) => Some(DeadState::Redriven),
        (Some(States::Discarded), None) => Some(DeadState::Discarded),
        (Some(States::All), None) => None,
        (Some(States::Kept) | None, None) => Some(DeadState::Kept),
    };
    Ok(selected.in_state(state))
}

fn nothing(filter: &DeadFilter) -> &'static str {
    match filter.state {
        Some(DeadState::Kept) => {
            "No dead letter waits for a person. Settled ones: ferry dead list --state all"
        }
        _ => "No such dead letter.",
    }
}

fn row(letter: &DeadView, now: OffsetDateTime) -> Vec<String> {
    let age = Duration::try_from(now - letter.at).unwrap_or_default(); // clocks may differ a little
    vec![
        letter.id.to_string(),
        units::shown(age),
        shown::what(letter),
        letter.code.to_string(),
        letter.users.to_string(),
        letter.state.as_str().to_owned(),
        letter.run.map_or_else(|| "-".to_owned(), |run| run.to_string()),
    ]
}
