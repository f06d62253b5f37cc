//! `ferry dead show`: one letter, and what to do about it.

use clap::Args;
use ferry_domain::ports::{DeadKind, DeadState, DeadView};
use ferry_operations::{
    dead,
    views::{Payload, to_the_second},
};

use crate::{exit::Exit, options::Output, output, setup::Setup, shown, wiring};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The dead letter's number
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
        Output::Json => output::json(&in_full)?,
        Output::Table => print(&letter, in_full.payload.as_ref()),
    }
    Ok(Exit::Done)
}

fn print(letter: &DeadView, payload: Option<&Payload>) {
    let line =
        |name: &str, what: &dyn std::fmt::Display| output::data(&output::field(name, 11, &what.to_string()));
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
    if let Some(payload) = payload {
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

fn next(letter: &DeadView) -> String {
    match letter.kind {
        DeadKind::Job => {
            format!("ferry dead redrive {id} after mending, or ferry dead discard {id}", id = letter.id)
        }
        DeadKind::Payload => format!("ferry dead discard {}", letter.id),
    }
}
