//! Orders given in the view: the same operations as `ferry run pause`, `resume` and `rate`, with the same lines in
//! the audit. A connection of its own each: the one that looks may be waiting for an answer.

use std::time::Duration;

use ferry_domain::{RunId, RunState, limits::LimitPlan, run::RunMove};
use ferry_operations::{Error, consent, moves, rate};

use super::keys::Order;
use crate::{setup::Setup, wiring};

/// How long the ledger may take.
pub const ANSWER: Duration = Duration::from_secs(10);

/// What a person is asked before it is done; `settings` are the limits of the settings.
pub fn question(order: &Order, settings: Option<&LimitPlan>) -> String {
    match order {
        Order::Move(RunMove::Pause) => {
            "Pause the run? Requests under way are finished, no user is lost.".to_owned()
        }
        Order::Move(_) => "Let the run go on where it left off?".to_owned(),
        Order::Rate(name) => match rate::named(name) {
            Ok(Some(plan)) => {
                let speed =
                    rate::speed(&plan).map_or("no limit".to_owned(), |speed| format!("at most {speed}"));
                let above = settings.and_then(|settings| rate::above(&plan, settings));
                let above = above.map(|above| format!(" Warning: {above}.")).unwrap_or_default();
                format!("Set the limits to {plan}, {speed}?{above}")
            }
            _ => "Go back to the limits of the settings?".to_owned(),
        },
    }
}

/// What is told while it is being done.
pub fn under_way(order: &Order) -> &'static str {
    match order {
        Order::Move(RunMove::Pause) => "Pausing the run …",
        Order::Move(_) => "Resuming the run …",
        Order::Rate(_) => "Setting the limits …",
    }
}

/// Does it, and says what came of it.
pub async fn act(setup: &Setup, run: RunId, order: &Order) -> String {
    match tokio::time::timeout(ANSWER, done(setup, run, order)).await {
        Ok(Ok(told)) => told,
        Ok(Err(error)) => format!("That failed: {error:#}"),
        Err(_) => format!(
            "No answer came within {} s: whether it was done is not known. See what the run shows.",
            ANSWER.as_secs()
        ),
    }
}

async fn done(setup: &Setup, run: RunId, order: &Order) -> anyhow::Result<String> {
    let access = wiring::access(setup).await?;
    match order {
        Order::Move(step) => {
            let question = moves::ask(&access, run, *step).await?;
            let tenant = &question.run.spec.tenant;
            if *step == RunMove::Resume && consent::is_production(tenant, &setup.settings.auth0.production) {
                return Ok(format!(
                    "{tenant} is a tenant of production: quit, then ferry run resume {run} --confirm {tenant}"
                ));
            }
            let moved = moves::act(&access, &question, None).await?;
            Ok(match (moved.changed, moved.after) {
                (true, RunState::Running) => "The run goes on.".to_owned(),
                (true, state) => format!("The run is {state}."),
                (false, state) => format!("The run is already {state}."),
            })
        }
        Order::Rate(name) => {
            let plan = rate::named(name).map_err(Error::from)?;
            rate::act(&access, run, plan.as_ref(), None).await?;
            let plan = plan.map_or("those of the settings".to_owned(), |plan| plan.to_string());
            Ok(format!("The limits are {plan}; workers follow within a second."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_says_what_would_be_so() {
        let of = |order, settings: &str| question(&order, settings.parse().ok().as_ref());
        assert!(of(Order::Move(RunMove::Pause), "free").starts_with("Pause the run?"));
        assert_eq!(
            of(Order::Rate("8".into()), "private-100"),
            "Set the limits to custom:8:8, at most 8 new users per second?"
        );
        assert!(of(Order::Rate("80".into()), "free").contains("above the plan of the settings, free"));
        assert!(of(Order::Rate("off".into()), "off").contains("no limit"));
        assert!(of(Order::Rate("default".into()), "free").contains("limits of the settings"));
    }
}
