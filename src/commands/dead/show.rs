//! `ferry dead show`: one letter, and what to do about it. What came over the queue may
//! hold anything, so its content is shown only when it is asked for, and escaped.

use clap::Args;
use ferry_domain::ports::{DeadFilter, DeadKind, DeadState, DeadView};
use serde_json::json;

use super::list::{object, time, what};
use crate::{
    exit::{Exit, usage},
    options::Output,
    output,
    setup::Setup,
};

/// Bytes of a payload that are shown.
const FIRST: usize = 64;

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The letter's number
    pub id: i64,
    /// Also show the first 64 bytes of what came, escaped; it may hold anything
    #[arg(long)]
    pub payload: bool,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let ledger = setup.ledger().await?;
    let filter = DeadFilter { ids: vec![options.id], ..DeadFilter::default() };
    let found = ledger.dead(&filter, 1).await?;
    let Some(letter) = found.first() else {
        return Err(usage(format!(
            "there is no dead letter {}; see ferry dead list --state all",
            options.id
        )));
    };
    let payload = match letter.kind {
        DeadKind::Payload => ledger.dead_payload(letter.id).await?,
        DeadKind::Job => None,
    };
    let first = payload.as_deref().filter(|_| options.payload).map(escaped);
    match options.output {
        Output::Json => {
            let mut shown = object(letter);
            shown["remedy"] = letter.code.remedy().into();
            if let Some(payload) = &payload {
                shown["payload"] = json!({"bytes": payload.len(), "first": first});
            }
            output::json(&shown)?;
        }
        Output::Table => print(letter, payload.as_deref(), first.as_deref()),
    }
    Ok(Exit::Done)
}

/// The first bytes; nothing in them can move a cursor or look like a line of ours.
fn escaped(payload: &[u8]) -> String {
    payload[..payload.len().min(FIRST)].escape_ascii().to_string()
}

fn print(letter: &DeadView, payload: Option<&[u8]>, first: Option<&str>) {
    let line =
        |name: &str, what: &dyn std::fmt::Display| output::data(&output::field(name, 11, &what.to_string()));
    line("letter", &letter.id);
    line(
        "what",
        &match letter.kind {
            DeadKind::Job => format!("a {} job", what(letter)),
            DeadKind::Payload => format!("something on the queue {}", letter.queue),
        },
    );
    line("state", &letter.state.as_str());
    line("since", &time(letter.at));
    line("code", &letter.code);
    line("remedy", &letter.code.remedy());
    if !letter.reason.is_empty() {
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
        let more = if first.is_none() { "; --payload shows the first of them" } else { "" };
        line("payload", &format!("{} bytes{more}", payload.len()));
    }
    if let Some(first) = first {
        line("begins", &first);
    }
    if let (Some(by), Some(at)) = (&letter.resolved_by, letter.resolved_at) {
        line("settled", &format!("{} by {by} at {}", letter.state.as_str(), time(at)));
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
