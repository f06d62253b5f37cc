//! The published limits of Auth0's plans, by name (state of the documentation: August 2026).

use std::str::FromStr;

use thiserror::Error;

use super::bucket::Rate;

/// The rate limits of a plan. `FromStr` reads a name; see [`PlanError`] for the names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    name: String,
    pub(super) global: Option<Rate>,
    pub(super) user_writes: Option<Rate>,
    pub(super) user_deletes: Option<Rate>,
    pub(super) user_reads: Option<Rate>,
    pub(super) connection_reads: Option<Rate>,
    pub(super) rest: Option<Rate>,
    pub(super) token: Option<Rate>,
}

impl Plan {
    /// No limits, and no rate-limit headers.
    #[must_use]
    pub fn off() -> Self {
        Self {
            name: "off".to_owned(),
            global: None,
            user_writes: None,
            user_deletes: None,
            user_reads: None,
            connection_reads: None,
            rest: None,
            token: None,
        }
    }

    /// The name it was made from.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One bucket for the whole Management API, `token` requests per second for tokens.
    fn overall(name: &str, burst: u32, per_second: u32, token: u32) -> Self {
        Self {
            name: name.to_owned(),
            global: Some(Rate::per_second(burst, per_second)),
            token: Some(Rate::per_second(token, token)),
            ..Self::off()
        }
    }

    /// Essentials and Professional: no overall bucket, one per group of endpoints.
    fn by_group(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            global: None,
            user_writes: Some(Rate::per_minute(20, 200)),
            user_deletes: Some(Rate::per_minute(20, 200)),
            user_reads: Some(Rate::per_minute(40, 500)),
            connection_reads: Some(Rate::per_minute(5, 50)),
            rest: Some(Rate::per_minute(10, 150)),
            token: Some(Rate::per_second(25, 25)),
        }
    }

    /// `custom:BURST:PER_SECOND`.
    fn custom(text: &str) -> Option<Self> {
        let (burst, per_second) = text.strip_prefix("custom:")?.split_once(':')?;
        let positive = |number: &str| number.parse::<u32>().ok().filter(|n| *n > 0);
        Some(Self::overall(text, positive(burst)?, positive(per_second)?, 100))
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self::off()
    }
}

/// A plan name that does not exist. The text lists those that do.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "unknown rate limit plan {0:?}; known: off, free, essentials, professional, enterprise, \
     enterprise-dev, private-20, private-100, private-500, private-1500, private-3000, \
     private-6000, private-10000, custom:BURST:PER_SECOND (both at least 1)"
)]
pub struct PlanError(String);

impl FromStr for Plan {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Private clouds are named by their total rate; the Management API has half of it.
        Ok(match text {
            "off" => Self::off(),
            "free" => Self::overall(text, 2, 2, 30),
            "essentials" | "professional" => Self::by_group(text),
            "enterprise" => Self::overall(text, 50, 16, 100),
            "enterprise-dev" => Self::overall(text, 10, 2, 100),
            "private-20" => Self::overall(text, 20, 20, 100),
            "private-100" => Self::overall(text, 50, 50, 100),
            "private-500" => Self::overall(text, 250, 250, 500),
            "private-1500" => Self::overall(text, 750, 750, 1_500),
            "private-3000" => Self::overall(text, 1_500, 1_500, 3_000),
            "private-6000" => Self::overall(text, 3_000, 3_000, 6_000),
            "private-10000" => Self::overall(text, 5_000, 5_000, 10_000),
            _ => Self::custom(text).ok_or_else(|| PlanError(text.to_owned()))?,
        })
    }
}
