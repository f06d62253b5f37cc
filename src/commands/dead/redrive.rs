//! `ferry dead redrive`: sends kept letters again.

use clap::Args;
use ferry_domain::{
    RunId,
    ports::{Command, Redriven},
};
use serde_json::json;

use super::selection::{self, Selection, all, counted};
use crate::{
    exit::Exit,
    options::{Consent, Output},
    output, planner,
    setup::Setup,
    system::{SystemClock, SystemRandom},
};

/// Ids for letters that come in between counting and acting.
const SPARE: i64 = 100;

#[derive(Clone, Debug, Args)]
pub struct Options {
    #[command(flatten)]
    pub which: Selection,
    #[command(flatten)]
    pub consent: Consent,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let filter = selection::kept(&options.which)?;
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

fn redriven(options: &Options, came_to: Redriven) -> anyhow::Result<Exit> {
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
