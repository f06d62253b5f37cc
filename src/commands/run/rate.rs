//! `ferry run rate`: other limits while a run goes on, and back to the settings'.

use clap::Args;
use ferry_domain::{RunId, limits::LimitPlan, ports::Command};
use serde_json::json;

use super::show as run_show;
use crate::{
    exit::{Exit, refused, usage},
    options::Output,
    output,
    setup::Setup,
};

/// Goes back to the settings.
const DEFAULT: &str = "default";

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The run's id
    pub run: RunId,
    /// Limits in requests per second as a plan: off, free, enterprise, private-500,
    /// custom:BURST:PER_SECOND, …; "default" goes back to the settings
    pub plan: String,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let plan: Option<LimitPlan> = match options.plan.as_str() {
        DEFAULT => None,
        name => Some(name.parse().map_err(|e| usage(format!("{e}; or {DEFAULT}")))?),
    };
    let ledger = setup.ledger().await?;
    let run = run_show::find(&*ledger, options.run).await?;
    if !run.state.is_active() {
        return Err(refused(format!(
            "run {} is {}: it sends nothing any more. Set AUTH0_PLAN, or auth0.limits in ferry.toml, for the next one",
            run.id, run.state
        )));
    }
    let by = setup.servers.operator.clone();
    let name = plan.as_ref().map(LimitPlan::name);
    ledger.set_rate(run.id, name, &Command { by: &by, reason: options.reason.as_deref() }).await?;
    let changed = run.rate.as_deref() != name;
    match options.output {
        Output::Json => output::json(&json!({
            "run": run.id, "before": run.rate, "after": name, "changed": changed,
        }))?,
        Output::Table => output::say(&told(plan.as_ref(), changed)),
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
    let speed = match plan.creates_per_second() {
        Some(rate) => format!("{plan}, at most {} new users per second", rounded(rate)),
        None => format!("{plan}, without any limit"),
    };
    match changed {
        true => format!("The limits are {speed}; workers follow within a second."),
        false => format!("The limits are already {speed}."),
    }
}

/// Two digits after the point at most, and none that say nothing.
pub fn rounded(rate: f64) -> String {
    let text = format!("{rate:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
