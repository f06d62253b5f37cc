//! `ferry dead show`: one letter, and what to do about it.

use clap::Args;
use ferry_domain::ports::{DeadKind, DeadState, DeadView};
use ferry_operations::{
    dead,
    views::{LetterInFull, Try, to_the_second},
};

use super::selection::number;
use crate::{exit::Exit, options::Output, output, printed, setup::Setup, shown, wiring};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The dead letter's number, as ferry dead list shows it
    #[arg(value_parser = number)]
    pub id: i64,
    /// Also show the first 64 bytes of a message that was no job, escaped; they may be personal data
    #[arg(long)]
    pub payload: bool,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let access = wiring::access(setup).await?;
    let (letter, in_full) = dead::show(&access, options.id, options.payload).await?;
    match options.output {
        Output::Json | Output::Ndjson => printed::object(&in_full)?,
        Output::Table => print(&letter, &in_full),
    }
    Ok(Exit::Done)
}

fn line(name: &str, what: &dyn std::fmt::Display) {
    output::data(&output::field(name, 11, &what.to_string()));
}

fn print(letter: &DeadView, in_full: &LetterInFull) {
    line("letter", &letter.id);
    line(
        "what",
        &match letter.kind {
            DeadKind::Job => format!("a {} job", shown::what(letter)),
            DeadKind::Payload => format!("something on the queue {}", letter.queue),
        },
    );
    line("state", &letter.state.as_str());
    line("since", &to_the_second(letter.at));
    line("code", &letter.code);
    line("remedy", &letter.code.remedy());
    if !letter.reason.is_empty() && letter.reason != letter.code.remedy() {
        line("reason", &letter.reason);
    }
    line("given up by", &letter.given_up_by);
    if letter.kind == DeadKind::Job {
        line("attempts", &letter.attempts);
        line("rescues", &letter.rescues);
        line("users", &letter.users);
        print_job(letter, in_full);
    }
    for (name, id) in [
        ("run", letter.run.map(|id| id.to_string())),
        ("batch", letter.batch.map(|id| id.to_string())),
        ("job", letter.job.map(|id| id.to_string())),
    ] {
        if let Some(id) = id {
            line(name, &id);
        }
    }
    if let Some(payload) = &in_full.payload {
        let more = if payload.first.is_none() { "; --payload shows the first of them" } else { "" };
        line("payload", &format!("{} bytes{more}", payload.bytes));
        if let Some(first) = &payload.first {
            line("begins", first);
        }
    }
    if let (Some(by), Some(at)) = (&letter.resolved_by, letter.resolved_at) {
        line("settled", &format!("{} by {by} at {}", letter.state.as_str(), to_the_second(at)));
    }
    if letter.state == DeadState::Kept {
        line("next", &next(letter));
    }
}

/// How its tries ended, and whose job it was.
fn print_job(letter: &DeadView, LetterInFull { tries, named, .. }: &LetterInFull) {
    for Try { number, code, took_seconds, at } in tries {
        line("tried", &format!("{number}: {code} after {took_seconds:.1} s, {at}"));
    }
    let Some(run) = letter.run.filter(|_| !named.is_empty()) else { return };
    let keys = named.iter().map(|user| format!("{} ({})", user.key, user.place)).collect::<Vec<_>>();
    let more = letter.users - i64::try_from(named.len()).unwrap_or(i64::MAX);
    let more = match more {
        ..=0 => String::new(),
        more => format!(", and {more} more: ferry run report {run} --output csv"),
    };
    line("keys", &format!("{}{more}", keys.join(", ")));
}

fn next(letter: &DeadView) -> String {
    match letter.kind {
        DeadKind::Job => {
            format!("ferry dead redrive {id} after mending, or ferry dead discard {id}", id = letter.id)
        }
        DeadKind::Payload => format!("ferry dead discard {}", letter.id),
    }
}
