//! `ferry run pause`, `resume`, `cancel`: the brakes of one run. Asking twice is no
//! error; what can't be done is refused with what to do instead.

use clap::Args;
use ferry_domain::{
    RunId, RunState, RunView,
    ports::{Command, Ledger, Moved},
    run::{Asked, RunMove},
};
use serde_json::json;

use super::show as run_show;
use crate::{
    exit::{Exit, refused},
    options::{Consent, Output},
    output,
    setup::Setup,
};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The run's id
    pub run: RunId,
    #[command(flatten)]
    pub consent: Consent,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(setup: &Setup, step: RunMove, options: Options) -> anyhow::Result<Exit> {
    let ledger = setup.ledger().await?;
    let run = run_show::find(&*ledger, options.run).await?;
    let asked = run.state.asked(step);
    if asked == Asked::Refused {
        return Err(refused(instead(&run)));
    }
    if step == RunMove::Cancel && asked != Asked::Already {
        let (at_once, to_ask) = ledger.count_cancellable(run.id).await?;
        if !output::confirmed(options.consent.yes, &question(&run, at_once, to_ask))? {
            output::say("Nothing was changed.");
            return Ok(Exit::Refused);
        }
    }
    let moved =
        say_to(&*ledger, &run, step, &setup.servers.operator, options.consent.reason.as_deref()).await?;
    match options.output {
        Output::Json => output::json(&json!({
            "run": run.id, "before": moved.before, "after": moved.after, "changed": moved.changed(),
            "cancelled": moved.cancelled, "to_ask": moved.to_ask,
        }))?,
        Output::Table => output::say(&told(&run, &moved)),
    }
    Ok(Exit::Done)
}

async fn say_to(
    ledger: &dyn Ledger,
    run: &RunView,
    step: RunMove,
    by: &str,
    reason: Option<&str>,
) -> anyhow::Result<Moved> {
    Ok(ledger.move_run(run.id, step, &Command { by, reason }).await?)
}

fn question(run: &RunView, at_once: i64, to_ask: i64) -> String {
    let asks = match to_ask {
        0 => String::new(),
        users => format!("; {users} were in a worker's hands, Auth0 is asked about each first"),
    };
    format!(
        "Give up run {} for good?\n{at_once} users are cancelled at once{asks}.\n{} users are at Auth0 and stay there. Cancel?",
        run.id,
        run.tally.created + run.tally.adopted
    )
}

fn told(run: &RunView, moved: &Moved) -> String {
    let id = run.id;
    if !moved.changed() {
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

/// Why there is no such move, and what to do.
fn instead(run: &RunView) -> String {
    let id = run.id;
    let what = match run.state {
        RunState::Sealed => format!(
            "it has ended. ferry run retry {id} takes failed users up again, ferry run start begins a new run"
        ),
        RunState::Cancelled | RunState::Cancelling => {
            "it was given up for good. ferry run start begins a new run; users made already are found again"
                .into()
        }
        RunState::Sealing => format!("its report is being written. Wait for its end: ferry run watch {id}"),
        RunState::Stopped => {
            format!("nothing is sent. ferry run resume {id} lets it go on, ferry run cancel {id} gives it up")
        }
        RunState::Planning | RunState::Planned => {
            format!("it was not started. ferry run cancel {id} removes it, ferry run start begins a new run")
        }
        RunState::Running | RunState::Paused => "it has no such move".into(),
    };
    format!("run {id} is {}: {what}", run.state)
}
