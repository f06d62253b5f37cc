//! Figures as operators write and read them: shares, ages, numbers of failures.

use std::{fmt, str::FromStr, time::Duration};

use ferry_domain::threshold::StopAfter;
use serde::Deserialize;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A share in hundredths of a percent, 0 to 10,000: the finest that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(pub u32);

impl FromStr for Percent {
    type Err = String;

    /// `5`, `2.5`, `0.25 %`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is no share: write a percentage from 0 to 100, for example 5 or 2.5");
        let number = text.trim().trim_end_matches('%').trim_end();
        let (whole, hundredths) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(hundredths) || hundredths.len() > 2 {
            return Err(wrong());
        }
        let whole: u32 = whole.parse().map_err(|_| wrong())?;
        let hundredths: u32 = format!("{hundredths:0<2}").parse().map_err(|_| wrong())?;
        match whole.checked_mul(100).and_then(|all| all.checked_add(hundredths)) {
            Some(share @ 0..=10_000) => Ok(Percent(share)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 100, self.0 % 100);
        match rest {
            0 => write!(f, "{whole} %"),
            _ if rest.is_multiple_of(10) => write!(f, "{whole}.{} %", rest / 10),
            _ => write!(f, "{whole}.{rest:02} %"),
        }
    }
}

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

/// The limits in words; `None` where there are none.
pub fn stop_words(stop: &StopAfter) -> Option<String> {
    let failures = stop.failures.map(|most| format!("more than {most} users failed"));
    let rate = stop.rate.map(|share| format!("more than {} failed", Percent(share)));
    match (failures, rate) {
        (Some(a), Some(b)) => Some(format!("{a}, or {b}")),
        (a, b) => a.or(b),
    }
}

/// An age: `45s`, `30m`, `12h`, `7d`.
pub fn age(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no age: write a number and s, m, h or d, for example 12h or 7d");
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => MINUTE,
        Some('h') => HOUR,
        Some('d') => DAY,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    number.checked_mul(unit).filter(|&s| s <= 100 * 365 * DAY).map(Duration::from_secs).ok_or_else(wrong)
}

/// A duration for people: two digits say enough.
pub fn shown(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", age.as_secs_f64()),
        10..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / MINUTE),
        7_200..172_800 => format!("{} h", seconds / HOUR),
        _ => format!("{} days", seconds / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_read_and_shown_as_people_write_it() {
        for (text, share, shown) in
            [("5", 500, "5 %"), ("2.5", 250, "2.5 %"), ("0.25%", 25, "0.25 %"), ("100 %", 10_000, "100 %")]
        {
            let parsed: Percent = text.parse().unwrap();
            assert_eq!((parsed, parsed.to_string().as_str()), (Percent(share), shown), "{text}");
        }
        for wrong in ["", "%", "-1", "100.01", "101", "1.234", "five", "1,5", "99999999999"] {
            assert!(wrong.parse::<Percent>().unwrap_err().contains("0 to 100"), "{wrong}");
        }
    }

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
        let both = StopAfter { failures: Some(20), rate: Some(500) };
        assert_eq!(stop_words(&both).as_deref(), Some("more than 20 users failed, or more than 5 % failed"));
    }

    #[test]
    fn ages_have_a_unit() {
        assert_eq!(age("45s"), Ok(Duration::from_secs(45)));
        assert_eq!(age("7d"), Ok(Duration::from_secs(7 * 86_400)));
        for wrong in ["", "7", "d", "-1d", "1.5h", "7 d", "7w", "99999999999999999d", "7é"] {
            assert!(age(wrong).unwrap_err().contains("12h or 7d"), "{wrong}");
        }
        assert_eq!(shown(Duration::from_millis(4_230)), "4.2 s");
        assert_eq!(shown(Duration::from_secs(8_000)), "2 h");
        assert_eq!(shown(Duration::from_secs(7 * 86_400)), "7 days");
    }
}
