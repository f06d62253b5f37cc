//! `ferry dead list`.

use clap::{Args, ValueEnum};
use std::time::Duration;

use ferry_domain::ports::{Clock, DeadFilter, DeadState, DeadView};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::selection::{self, Selection};
use crate::{
    exit::{Exit, usage},
    options::Output,
    output,
    setup::Setup,
    system::SystemClock,
    units,
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
    /// Only in this state; default: kept
    #[arg(long, value_enum)]
    pub state: Option<States>,
    /// At most so many letters
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    pub limit: i64,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let filter = filter(&options)?;
    let ledger = setup.ledger().await?;
    let letters = ledger.dead(&filter, options.limit).await?;
    match options.output {
        Output::Json => output::json(&letters.iter().map(object).collect::<Vec<_>>())?,
        Output::Table if letters.is_empty() => output::say(&nothing(&filter)),
        Output::Table => {
            let now = SystemClock.now();
            let header = ["id", "age", "what", "code", "users", "state", "run"];
            let rows = letters.iter().map(|letter| row(letter, now)).collect();
            output::data(&output::table(&header, rows, &[0, 1, 4]));
            let (all, users) = ledger.count_dead(&filter).await?;
            output::say(&format!(
                "{} of {all} letters; {users} users hang on all of them. More: ferry dead show ID",
                letters.len()
            ));
        }
    }
    Ok(Exit::Done)
}

fn filter(options: &Options) -> anyhow::Result<DeadFilter> {
    let (found, named) = selection::filter(&options.which)?;
    let state = match (options.state, named) {
        (Some(_), Some(_)) => {
            return Err(usage("the state is given by --state and by --where; give it once"));
        }
        (None, Some(state)) => state,
        (Some(States::Redriven), None) => Some(DeadState::Redriven),
        (Some(States::Discarded), None) => Some(DeadState::Discarded),
        (Some(States::All), None) => None,
        (Some(States::Kept) | None, None) => Some(DeadState::Kept),
    };
    Ok(DeadFilter { state, ..found })
}

fn nothing(filter: &DeadFilter) -> String {
    match filter.state {
        Some(DeadState::Kept) => {
            "No dead letter waits for a person. Settled ones: ferry dead list --state all".into()
        }
        _ => "No such dead letter.".into(),
    }
}

/// The object of a letter, without payload.
pub fn object(letter: &DeadView) -> Value {
    json!({
        "id": letter.id, "at": time(letter.at), "kind": letter.kind.as_str(), "state": letter.state.as_str(),
        "queue": letter.queue, "job": letter.job, "run": letter.run, "batch": letter.batch,
        "code": letter.code, "reason": letter.reason, "attempts": letter.attempts, "rescues": letter.rescues,
        "users": letter.users, "given_up_by": letter.given_up_by, "resolved_by": letter.resolved_by,
        "resolved_at": letter.resolved_at.map(time),
    })
}

/// To the second.
pub fn time(at: OffsetDateTime) -> String {
    at.replace_nanosecond(0).unwrap_or(at).format(&Rfc3339).unwrap_or_default()
}

/// `payload`, or what the job would have done.
pub fn what(letter: &DeadView) -> String {
    letter.job_kind.map_or_else(|| letter.kind.as_str().to_owned(), |kind| kind.to_string())
}

fn row(letter: &DeadView, now: OffsetDateTime) -> Vec<String> {
    let age = Duration::try_from(now - letter.at).unwrap_or_default(); // clocks may differ a little
    vec![
        letter.id.to_string(),
        units::shown(age),
        what(letter),
        letter.code.to_string(),
        letter.users.to_string(),
        letter.state.as_str().to_owned(),
        letter.run.map_or_else(|| "-".to_owned(), |run| run.to_string()),
    ]
}
