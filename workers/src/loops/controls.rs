//! Reads what operators asked for, twice a second, and so notices whether the ledger answers.

use std::time::Duration;

use ferry_domain::{limits::LimitPlan, ports::WaitReason};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::pause;
use crate::environment::Environment;

const EVERY: Duration = Duration::from_millis(500);

pub(crate) async fn controls(env: &Environment, end: &CancellationToken) {
    let mut rate: Option<String> = None;
    let mut told: Option<String> = None;
    loop {
        if let Some(orders) = env.look().await
            && orders.rate != rate
        {
            set_rate(env, orders.rate.as_deref());
            rate = orders.rate;
        }
        let waits = env.waiting_for();
        // What a person may have to act on is told now; a limit comes and goes all the time.
        let news = waits.as_ref().map(|WaitReason(text)| text.replace(|c: char| c.is_ascii_digit(), ""));
        let news = news.filter(|text| !text.starts_with("waiting for the limit"));
        if news != told {
            env.tell.notify_one();
            told = news;
        }
        env.figures.set_waiting_for(waits);
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
