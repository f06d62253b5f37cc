//! `ferry run rate`: other limits while a run goes on, and back to the settings'.

use clap::Args;
use ferry_domain::limits::LimitPlan;
use ferry_operations::{Error, RunName, rate};

use crate::{exit::Exit, options::Output, output, printed, setup::Setup, wiring};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The run's id, how it begins, or last
    pub run: RunName,
    /// Limits: a number of requests per second; or the name of a plan: off, free, enterprise, private-500, …; or
    /// custom:BURST:PER_SECOND; or default, to go back to the settings
    pub plan: String,
    /// The reason, to be kept in the audit
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let plan = rate::named(&options.plan).map_err(Error::from)?;
    let access = wiring::access(setup).await?;
    let id = access.named(&options.run).await?;
    let changed = rate::act(&access, id, plan.as_ref(), options.reason.as_deref()).await?;
    if let Some(warning) = plan.as_ref().and_then(|plan| rate::above(plan, &setup.settings.limits().ok()?)) {
        output::say(&format!("warning: {warning}."));
    }
    match options.output {
        Output::Json | Output::Ndjson => printed::object(&changed)?,
        Output::Table => output::say(&told(plan.as_ref(), changed.changed)),
    }
    Ok(Exit::Done)
}

fn told(plan: Option<&LimitPlan>, changed: bool) -> String {
    let Some(plan) = plan else {
        return match changed {
            true => "The limits are those of the settings again; workers follow within a second.".into(),
            false => "The limits are those of the settings already.".into(),
        };
    };
    let speed = match rate::speed(plan) {
        Some(speed) => format!("{plan}, at most {speed}"),
        None => format!("{plan}, without any limit"),
    };
    match changed {
        true => format!("The limits are {speed}; workers follow within a second."),
        false => format!("The limits are already {speed}."),
    }
}
