//! `ferry stop-all` and `ferry resume-all`: one brake for every run and worker.

use clap::Args;
use ferry_operations::stop_all;

use crate::{
    consent::{Concerned, Consent},
    exit::Exit,
    options::Output,
    output, printed,
    setup::Setup,
    wiring,
};

#[derive(Clone, Debug, Args)]
pub struct Options {
    #[command(flatten)]
    pub consent: Consent,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(setup: &Setup, stop: bool, options: Options) -> anyhow::Result<Exit> {
    let access = wiring::access(setup).await?;
    let question = stop_all::ask(&access, stop).await?;
    if question.is_needed() {
        let tenants = stop_all::tenants(&access, &question).await?;
        let concerned = if stop { Concerned::holds(tenants) } else { Concerned::sends(tenants, setup) };
        if !options.consent.agreed(true, &question, &concerned)? {
            return Ok(output::nothing_changed());
        }
    }
    let switched = stop_all::act(&access, &question, options.consent.reason.as_deref()).await?;
    match options.output {
        Output::Json | Output::Ndjson => printed::object(&switched)?,
        Output::Table => output::say(told(stop, switched.changed)),
    }
    Ok(Exit::Done)
}

fn told(stop: bool, changed: bool) -> &'static str {
    match (stop, changed) {
        (true, true) => "All sending stops within a second. Go on: ferry resume-all",
        (true, false) => "All sending is already stopped. Go on: ferry resume-all",
        (false, true) => {
            "Sending is allowed again. Runs that are paused or stopped stay so: ferry run resume RUN"
        }
        (false, false) => "Sending is already allowed: nothing was stopped.",
    }
}
