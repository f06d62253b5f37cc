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
        let heard = env.controls.orders().await;
        env.send_gate.note(&heard);
        if let Ok(orders) = heard {
            if orders.rate != rate {
                set_rate(env, orders.rate.as_deref());
                rate.clone_from(&orders.rate);
            }
            env.send_gate.heard(orders);
        }
        env.figures.set_waiting_for(env.waiting_for());
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
