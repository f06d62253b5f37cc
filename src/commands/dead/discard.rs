//! `ferry dead discard`: marks kept letters as settled.

use clap::Args;
use ferry_operations::dead::{self, Act, counted};

use super::selection::Selection;
use crate::{
    exit::Exit,
    options::{Consent, Output},
    output,
    setup::Setup,
    wiring,
};

#[derive(Clone, Debug, Args)]
pub struct Options {
    #[command(flatten)]
    pub which: Selection,
    #[command(flatten)]
    pub consent: Consent,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let filter = options.which.kept()?;
    let access = wiring::access(setup).await?;
    let question = dead::ask(&access, Act::Discard, filter).await?;
    let some = question.count.letters > 0;
    if !some {
        output::say("Nothing to discard: no kept dead letter matches. See ferry dead list --state all");
    } else if !output::confirmed(options.consent.yes, &question)? {
        return Ok(output::nothing_changed());
    }
    let done = dead::discard(&access, &question, options.consent.reason.as_deref()).await?;
    if some {
        output::say(&format!("{} discarded.", counted(done.discarded)));
    }
    if options.output == Output::Json {
        output::json(&done)?;
    }
    Ok(Exit::Done)
}
