//! Other limits while a run goes on, and back to the settings'.

use ferry_domain::{RunId, limits::LimitPlan, ports::LedgerError};
use schemars::JsonSchema;
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
    /// A number that is no rate.
    #[error("{0} is no rate: a number of requests per second is 1 to 100000; ferry run pause stops a run")]
    NoRate(String),
}

impl Refusal {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Refusal::UnknownPlan(_) | Refusal::NoRate(_) => Kind::Wrong,
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
        // A number alone is the requests per second; the burst is the same number.
        number if !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()) => {
            let plan = format!("custom:{number}:{number}").parse();
            plan.map(Some).map_err(|_| Refusal::NoRate(number.to_owned()))
        }
        name => name.parse().map(Some).map_err(|error| Refusal::UnknownPlan(format!("{error}"))),
    }
}

/// What setting the limits did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Changed {
    /// Id of the run.
    pub run: RunId,
    /// The plan set before; null for the settings'.
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

/// What to say where limits are above those of the settings: a tenant that allows less answers
/// 429, and the run goes slower than before.
pub fn above(plan: &LimitPlan, settings: &LimitPlan) -> Option<String> {
    let (asked, known) = (plan.creates_per_second(), settings.creates_per_second()?);
    if asked.is_some_and(|asked| asked <= known) {
        return None;
    }
    Some(format!(
        "{plan} is above the plan of the settings, {settings}: a tenant that allows less slows the run down"
    ))
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
        assert_eq!(named("8").unwrap().unwrap().name(), "custom:8:8");
        for number in ["0", "100001", "99999999999"] {
            let text = named(number).unwrap_err().to_string();
            assert!(text.starts_with(&format!("{number} is no rate")) && !text.contains("custom"), "{text}");
        }
        assert_eq!(named("custom:5:4").unwrap().unwrap().name(), "custom:5:4");
        let text = named("gold").unwrap_err().to_string();
        assert!(text.contains("gold") && text.ends_with("; or default"), "{text}");
    }

    #[test]
    fn limits_above_the_settings_are_told() {
        let above = |plan: &str, settings: &str| above(&plan.parse().unwrap(), &settings.parse().unwrap());
        assert!(above("private-500", "private-100").unwrap().contains("private-100"));
        assert!(above("off", "free").is_some());
        for (plan, settings) in [("free", "private-100"), ("free", "free"), ("private-500", "off")] {
            assert_eq!(above(plan, settings), None, "{plan} {settings}");
        }
    }

    #[test]
    fn a_speed_is_told_without_digits_that_say_nothing() {
        let of = |name: &str| speed(&name.parse().unwrap());
        assert_eq!(of("custom:5:4").as_deref(), Some("4 new users per second"));
        assert_eq!(of("essentials").as_deref(), Some("3.33 new users per second"));
        assert_eq!(of("off"), None);
    }
}
