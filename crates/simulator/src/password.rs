//! Password policy of a connection. The password is read only here, and not kept.

use std::str::FromStr;

use thiserror::Error;

/// How strong a password must be; the levels of Auth0's database connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PasswordPolicy {
    /// Any password of one character or more.
    None,
    /// Six characters or more.
    Low,
    /// Eight characters or more with a lower case letter, an upper case letter and a digit.
    Fair,
    /// Eight characters or more from three of four classes (lower, upper, digit, other).
    #[default]
    Good,
    /// Ten characters or more from three of four classes, at most two equal ones in a row.
    Excellent,
}

impl PasswordPolicy {
    /// Whether a password is good enough.
    #[must_use]
    pub fn allows(self, password: &str) -> bool {
        let length = password.chars().count();
        let has = |class: fn(char) -> bool| password.chars().any(class);
        let lower = has(|c| c.is_ascii_lowercase());
        let upper = has(|c| c.is_ascii_uppercase());
        let digit = has(|c| c.is_ascii_digit());
        let other = has(|c| !c.is_ascii_alphanumeric());
        let classes = [lower, upper, digit, other].into_iter().filter(|c| *c).count();
        match self {
            Self::None => length >= 1,
            Self::Low => length >= 6,
            Self::Fair => length >= 8 && lower && upper && digit,
            Self::Good => length >= 8 && classes >= 3,
            Self::Excellent => length >= 10 && classes >= 3 && !has_run_of_three(password),
        }
    }

    /// The name that Auth0 uses in `options.passwordPolicy`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Fair => "fair",
            Self::Good => "good",
            Self::Excellent => "excellent",
        }
    }
}

fn has_run_of_three(password: &str) -> bool {
    let characters: Vec<char> = password.chars().collect();
    characters.windows(3).any(|w| w[0] == w[1] && w[1] == w[2])
}

/// A policy name that does not exist.
#[derive(Debug, Error)]
#[error("unknown password policy {0:?}; known: none, low, fair, good, excellent")]
pub struct PasswordPolicyError(String);

impl FromStr for PasswordPolicy {
    type Err = PasswordPolicyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::None, Self::Low, Self::Fair, Self::Good, Self::Excellent]
            .into_iter()
            .find(|policy| policy.name() == text)
            .ok_or_else(|| PasswordPolicyError(text.to_owned()))
    }
}
