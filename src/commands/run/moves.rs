//! `ferry run pause`, `resume`, `cancel`: the brakes of one run.

use ferry_domain::{
    RunState,
    run::{Asked, RunMove},
};
use ferry_operations::{
    moves::{self, Moved},
    waits::Around,
};

use crate::{
    consent::Concerned,
    exit::Exit,
    options::{Order, Output},
    output, printed,
    setup::Setup,
    wiring,
};

pub async fn run(setup: &Setup, step: RunMove, options: Order) -> anyhow::Result<Exit> {
    let access = wiring::access(setup).await?;
    let id = access.named(&options.run).await?;
    let question = moves::ask(&access, id, step).await?;
    let tenant = [question.run.spec.tenant.clone()];
    let goes_on = step == RunMove::Resume && question.run.state.asked(step) != Asked::Already;
    let concerned = if goes_on { Concerned::sends(tenant, setup) } else { Concerned::holds(tenant) };
    if !options.consent.agreed(question.is_needed(), &question, &concerned)? {
        return Ok(output::nothing_changed());
    }
    let moved = moves::act(&access, &question, options.consent.reason.as_deref()).await?;
    match options.output {
        Output::Json | Output::Ndjson => printed::object(&moved)?,
        Output::Table => output::say(&told(&moved)),
    }
    match moved.after {
        RunState::Running if Around::of(&access).await?.orders.stop_all() => {
            output::say("All sending is stopped, this run's too: ferry resume-all");
        }
        RunState::Cancelling => {
            if let Some(why) = Around::of(&access).await?.why(&access.run(id).await?) {
                output::say(&format!("Now: {why}"));
            }
        }
        _ => {}
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
            "Run {id} is being given up: {} users are cancelled.\nWorkers end it: they ask Auth0 about {} users \
             whom a worker had begun, read back who was made, and write the report.\nFollow: ferry run watch {id}",
            moved.cancelled, moved.to_ask
        ),
        RunState::Cancelled => {
            let report = if moved.before.is_unstarted() {
                String::new()
            } else {
                format!("\nReport: ferry run report {id}")
            };
            format!("Run {id} is cancelled: {} users were not sent.{report}", moved.cancelled)
        }
        other => format!("Run {id} is {other}, it was {}.", moved.before),
    }
}
