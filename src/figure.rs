//! Limits on failures as the settings have them: a number, or `off`.

use ferry_domain::threshold::StopAfter;
use ferry_operations::units::Percent;
use serde::Deserialize;

/// A limit in the settings: a number, or `off`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Figure {
    /// `100`.
    Whole(i64),
    /// `2.5`.
    Share(f64),
    /// `off`, or a number as the environment and flags give it.
    Word(String),
}

impl Figure {
    /// The figure as it was written; `None` for `off`.
    fn written(&self) -> Option<String> {
        match self {
            Figure::Word(word) if word.trim() == "off" => None,
            Figure::Word(word) => Some(word.trim().to_owned()),
            Figure::Whole(number) => Some(number.to_string()),
            Figure::Share(number) => Some(number.to_string()),
        }
    }
}

/// When a run stops by itself, as the settings say it.
///
/// # Errors
/// Names the setting and what it takes.
pub fn stop_after(failures: &Figure, rate: &Figure) -> Result<StopAfter, String> {
    let failures = match failures.written() {
        None => None,
        Some(text) => match text.parse::<i64>() {
            Ok(most @ 0..) => Some(most),
            _ => {
                return Err(format!(
                    "run.max_failures (--max-failures) = {text}: must be a number of users, 0 or more, or off"
                ));
            }
        },
    };
    let rate = match rate.written() {
        None => None,
        Some(text) => {
            let share: Percent = text
                .parse()
                .map_err(|e| format!("run.max_failure_rate (--max-failure-rate): {e}; or off"))?;
            Some(share.0)
        }
    };
    Ok(StopAfter { failures, rate })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_numbers_words_or_off() {
        let word = |text: &str| Figure::Word(text.to_owned());
        assert_eq!(stop_after(&word("off"), &word("off")), Ok(StopAfter::default()));
        assert_eq!(
            stop_after(&Figure::Whole(0), &Figure::Share(2.5)),
            Ok(StopAfter { failures: Some(0), rate: Some(250) })
        );
        assert_eq!(
            stop_after(&word("20"), &word("5%")),
            Ok(StopAfter { failures: Some(20), rate: Some(500) })
        );
        assert!(stop_after(&Figure::Whole(-1), &word("off")).unwrap_err().contains("max_failures"));
        assert!(stop_after(&word("off"), &word("120")).unwrap_err().contains("max_failure_rate"));
    }
}
