//! `ferry dead redrive`: sends kept letters again.

use clap::Args;
use ferry_domain::RunId;
use ferry_operations::dead::{self, Act, RedriveDone, counted};

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
    let question = dead::ask(&access, Act::Redrive, filter).await?;
    let some = question.count.letters > 0;
    if !some {
        output::say("Nothing to redrive: no kept dead letter matches. See ferry dead list --state all");
    } else if !output::confirmed(options.consent.yes, &question)? {
        return Ok(output::nothing_changed());
    }
    let done = dead::redrive(&access, &question, options.consent.reason.as_deref()).await?;
    if some {
        output::say(&told(&done, question.filter.run));
    }
    if options.output == Output::Json {
        output::json(&done)?;
    }
    Ok(Exit::Done)
}

fn told(done: &RedriveDone, run: Option<RunId>) -> String {
    let mut text = format!("{} redriven, {} users are pending again.", counted(done.redriven), done.users);
    if done.left > 0 {
        text += &format!(
            "\n{} can't go again (no job, or a run that was cancelled): ferry dead discard settles them.",
            counted(done.left)
        );
    }
    if done.redriven > 0 {
        let run = run.map_or_else(|| "RUN".to_owned(), |run| run.to_string());
        text += &format!("\nFollow: ferry run watch {run}");
    }
    text
}
