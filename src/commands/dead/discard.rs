//! `ferry dead discard`: marks kept letters as settled.

use clap::Args;
use ferry_domain::ports::Command;
use serde_json::json;

use super::selection::{self, Selection, all, counted};
use crate::{
    exit::Exit,
    options::{Consent, Output},
    output,
    setup::Setup,
};

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
