//! Other limits while a run goes on, and back to the settings'.

use ferry_domain::{RunId, limits::LimitPlan, ports::LedgerError};
use serde::Serialize;

use crate::{Access, Error, Kind};

/// The word that goes back to the settings.
pub const DEFAULT: &str = "default";

/// Why limits can't be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such plan of limits.
    #[error("{0}; or {DEFAULT}")]
    UnknownPlan(String),
}

impl Refusal {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Refusal::UnknownPlan(_) => Kind::Wrong,
        }
    }
}

/// A plan of limits by its name; `None` for the settings' own.
///
/// # Errors
/// When there is no such plan.
pub fn named(name: &str) -> Result<Option<LimitPlan>, Refusal> {
    match name {
        DEFAULT => Ok(None),
        name => name.parse().map(Some).map_err(|error| Refusal::UnknownPlan(format!("{error}"))),
    }
}

/// What setting the limits did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// Id of the run.
    pub run: RunId,
    /// The plan set before; `None` for the settings'.
    pub before: Option<String>,
    /// The plan set now.
    pub after: Option<String>,
    /// Whether anything changed.
    pub changed: bool,
}

/// Sets the limits of a run, or lifts them; workers follow within a second.
///
/// # Errors
/// When there is no such run, or it has ended.
pub async fn act(
    access: &Access,
    run: RunId,
    plan: Option<&LimitPlan>,
    reason: Option<&str>,
) -> Result<Changed, Error> {
    let run = access.run(run).await?;
    if !run.state.is_active() {
        return Err(LedgerError::ended(run.id, run.state).into());
    }
    let name = plan.map(LimitPlan::name);
    access.controls.set_rate(run.id, name, &access.command(reason)).await?;
    let changed = run.rate.as_deref() != name;
    Ok(Changed { run: run.id, before: run.rate, after: name.map(str::to_owned), changed })
}

/// `4 new users per second`: at most two digits after the point; `None` without a limit.
pub fn speed(plan: &LimitPlan) -> Option<String> {
    let text = format!("{:.2}", plan.creates_per_second()?);
    Some(format!("{} new users per second", text.trim_end_matches('0').trim_end_matches('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_named_or_the_settings_are() {
        assert_eq!(named("default"), Ok(None));
        assert_eq!(named("custom:5:4").unwrap().unwrap().name(), "custom:5:4");
        let text = named("gold").unwrap_err().to_string();
        assert!(text.contains("gold") && text.ends_with("; or default"), "{text}");
    }

    #[test]
    fn a_speed_is_told_without_digits_that_say_nothing() {
        let of = |name: &str| speed(&name.parse().unwrap());
        assert_eq!(of("custom:5:4").as_deref(), Some("4 new users per second"));
        assert_eq!(of("essentials").as_deref(), Some("3.33 new users per second"));
        assert_eq!(of("off"), None);
    }
}
