//! `ferry dead redrive` and `ferry dead discard`: what becomes of kept letters.

use ferry_domain::{
    RunId,
    ports::{Command, DeadFilter, Redriven},
};
use serde_json::json;

use super::dead_filter;
use crate::{
    cli::{Output, operators::DeadAct},
    exit::Exit,
    output, planner,
    setup::Setup,
    system::{SystemClock, SystemRandom},
};

/// Ids for letters that come in between counting and acting.
const SPARE: i64 = 100;

/// Sends kept letters again.
pub async fn redrive(setup: &Setup, options: DeadAct) -> anyhow::Result<Exit> {
    let filter = dead_filter::kept(&options.which)?;
    let ledger = setup.ledger().await?;
    let (letters, users) = ledger.count_dead(&filter).await?;
    if letters == 0 {
        output::say("Nothing to redrive: no kept letter is meant. See ferry dead list --state all");
        return redriven(&options, Redriven::default());
    }
    let question = format!("Send {} with {users} users again{}?", counted(letters), all(&filter));
    if !output::confirmed(options.consent.yes, &question)? {
        output::say("Nothing was changed.");
        return Ok(Exit::Refused);
    }
    let ids = planner::batch_ids(letters + SPARE, &SystemClock, &SystemRandom);
    let by = setup.servers.operator.clone();
    let command = Command { by: &by, reason: options.consent.reason.as_deref() };
    let came_to = ledger.redrive(&filter, &ids, &command).await?;
    output::say(&told(&came_to, filter.run));
    redriven(&options, came_to)
}

fn redriven(options: &DeadAct, came_to: Redriven) -> anyhow::Result<Exit> {
    if options.output == Output::Json {
        output::json(&json!({"redriven": came_to.letters, "users": came_to.users, "left": came_to.left}))?;
    }
    Ok(Exit::Done)
}

fn told(came_to: &Redriven, run: Option<RunId>) -> String {
    let mut text =
        format!("{} redriven, {} users are pending again.", counted(came_to.letters), came_to.users);
    if came_to.left > 0 {
        text += &format!(
            "\n{} can't go again (no job, or a run that was cancelled): ferry dead discard settles them.",
            counted(came_to.left)
        );
    }
    if came_to.letters > 0 {
        let run = run.map_or_else(|| "RUN".to_owned(), |run| run.to_string());
        text += &format!("\nFollow: ferry run watch {run}");
    }
    text
}

/// Marks kept letters as settled.
pub async fn discard(setup: &Setup, options: DeadAct) -> anyhow::Result<Exit> {
    let filter = dead_filter::kept(&options.which)?;
    let ledger = setup.ledger().await?;
    let (letters, users) = ledger.count_dead(&filter).await?;
    let mut discarded = 0;
    if letters == 0 {
        output::say("Nothing to discard: no kept letter is meant. See ferry dead list --state all");
    } else {
        let question = format!(
            "Discard {}{}? They stay on record; {users} users stay as they are.",
            counted(letters),
            all(&filter)
        );
        if !output::confirmed(options.consent.yes, &question)? {
            output::say("Nothing was changed.");
            return Ok(Exit::Refused);
        }
        let by = setup.servers.operator.clone();
        let command = Command { by: &by, reason: options.consent.reason.as_deref() };
        discarded = ledger.discard(&filter, &command).await?;
        output::say(&format!("{} discarded.", counted(discarded)));
    }
    if options.output == Output::Json {
        output::json(&json!({"discarded": discarded}))?;
    }
    Ok(Exit::Done)
}

fn counted(letters: i64) -> String {
    if letters == 1 { "1 letter".to_owned() } else { format!("{letters} letters") }
}

/// A bulk action without any choice says so in its question.
fn all(filter: &DeadFilter) -> &'static str {
    let chosen = !filter.ids.is_empty()
        || filter.run.is_some()
        || !filter.codes.is_empty()
        || filter.older_than.is_some();
    if chosen { "" } else { ", all that are kept" }
}
