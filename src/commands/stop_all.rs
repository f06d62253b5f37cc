//! `ferry stop-all` and `ferry resume-all`: one brake for every run and worker.

use clap::Args;
use ferry_domain::{
    RunState,
    ports::{Command, Controls},
};
use serde_json::json;

use crate::{
    exit::Exit,
    options::{Consent, Output},
    output,
    setup::Setup,
};

#[derive(Clone, Debug, Args)]
pub struct Options {
    #[command(flatten)]
    pub consent: Consent,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(setup: &Setup, stop: bool, options: Options) -> anyhow::Result<Exit> {
    let ledger = setup.ledger().await?;
    let controls = ledger.controls().await?;
    let workers = ledger.workers().await?.len();
    let mut changed = false;
    if controls.stop_all != stop {
        if !output::confirmed(options.consent.yes, &question(stop, &controls, workers))? {
            output::say("Nothing was changed.");
            return Ok(Exit::Refused);
        }
        let by = setup.servers.operator.clone();
        let command = Command { by: &by, reason: options.consent.reason.as_deref() };
        changed = ledger.stop_all(stop, &command).await?;
    }
    match options.output {
        Output::Json => output::json(&json!({
            "stop_all": stop, "changed": changed, "runs": controls.runs.len(), "workers": workers,
        }))?,
        Output::Table => output::say(told(stop, changed)),
    }
    Ok(Exit::Done)
}

fn question(stop: bool, controls: &Controls, workers: usize) -> String {
    let concerned = concerned(controls, workers);
    match stop {
        true => format!("Stop all sending until ferry resume-all ({concerned})?"),
        false => format!("Let everything be sent again ({concerned})?"),
    }
}

/// `2 runs: 1 running, 1 paused; 3 workers`
fn concerned(controls: &Controls, workers: usize) -> String {
    let states: Vec<String> = RunState::ALL
        .iter()
        .map(|state| (state, controls.runs.iter().filter(|(_, stands)| stands == state).count()))
        .filter(|(_, runs)| *runs > 0)
        .map(|(state, runs)| format!("{runs} {state}"))
        .collect();
    let runs = match controls.runs.len() {
        0 => "no run has not ended".to_owned(),
        1 => format!("1 run: {}", states.join(", ")),
        many => format!("{many} runs: {}", states.join(", ")),
    };
    let workers = match workers {
        0 => "no worker".to_owned(),
        1 => "1 worker".to_owned(),
        many => format!("{many} workers"),
    };
    format!("{runs}; {workers}")
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
