//! `ferry run pause`, `resume`, `cancel`: the brakes of one run.

use clap::Args;
use ferry_domain::{RunState, run::RunMove};
use ferry_operations::{
    RunName,
    moves::{self, Moved},
    waits::Around,
};

use crate::{
    exit::Exit,
    options::{Consent, Output},
    output,
    setup::Setup,
    wiring,
};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The run's id, how it begins, or last
    pub run: RunName,
    #[command(flatten)]
    pub consent: Consent,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(setup: &Setup, step: RunMove, options: Options) -> anyhow::Result<Exit> {
    let access = wiring::access(setup).await?;
    let id = access.named(&options.run).await?;
    let question = moves::ask(&access, id, step).await?;
    if question.is_needed() && !output::confirmed(options.consent.yes, &question)? {
        return Ok(output::nothing_changed());
    }
    let moved = moves::act(&access, &question, options.consent.reason.as_deref()).await?;
    match options.output {
        Output::Json => output::json(&moved)?,
        Output::Table => output::say(&told(&moved)),
    }
    if moved.after == RunState::Running && Around::of(&access).await?.orders.stop_all {
        output::say("All sending is stopped, this run's too: ferry resume-all");
    }
    Ok(Exit::Done)
}

fn told(moved: &Moved) -> String {
    let id = moved.run;
    if !moved.changed {
        return format!("Run {id} is already {}.", moved.after);
    }
    match moved.after {
        RunState::Paused => format!("Run {id} is paused.\nGo on: ferry run resume {id}"),
        RunState::Running => format!("Run {id} goes on.\nFollow: ferry run watch {id}"),
        RunState::Cancelling => format!(
            "Run {id} is being given up: {} users are cancelled, workers ask Auth0 about {} more, then the report is made.\nFollow: ferry run watch {id}",
            moved.cancelled, moved.to_ask
        ),
        RunState::Cancelled => format!("Run {id} is cancelled: {} users were not sent.", moved.cancelled),
        other => format!("Run {id} is {other}, it was {}.", moved.before),
    }
}
