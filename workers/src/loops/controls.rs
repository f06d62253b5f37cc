//! Reads what operators asked for, twice a second, and so notices whether the ledger answers.

use std::time::Duration;

use ferry_domain::limits::LimitPlan;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::pause;
use crate::environment::Environment;

const EVERY: Duration = Duration::from_millis(500);

pub(crate) async fn controls(env: &Environment, end: &CancellationToken) {
    let mut rate: Option<String> = None;
    loop {
        let heard = env.ledger.controls().await;
        env.send_gate.note(&heard);
        if let Ok(controls) = heard {
            if controls.rate != rate {
                set_rate(env, controls.rate.as_deref());
                rate.clone_from(&controls.rate);
            }
            env.send_gate.heard(controls);
        }
        env.figures.say_waits(env.waits());
        if !pause(EVERY, end).await {
            return;
        }
    }
}

fn set_rate(env: &Environment, plan: Option<&str>) {
    let plan = match plan.map(str::parse::<LimitPlan>) {
        None => env.tuning.limits.clone(),
        Some(Ok(plan)) => plan,
        Some(Err(error)) => return warn!(%error, "the rate that an operator set can't be read"),
    };
    info!(%plan, "the limits are now those of this plan");
    env.limiter.set_plan(&plan);
}
