//! Numbers, shares and ages as people write and read them.

use std::{fmt, str::FromStr, time::Duration};

use ferry_domain::threshold::StopAfter;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// `1 row`, `2 rows`: for words whose plural only has an s more.
pub fn counted(number: i64, one: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {one}{s}")
}

/// A number with its thousands apart: `1,203`.
pub fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

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
///
/// # Errors
/// Says how ages are written.
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

/// A duration that is only known roughly: no digits after the point.
pub fn rounded(time: Duration) -> String {
    match time.as_secs_f64().round() {
        seconds if seconds < 10.0 => format!("{seconds} s"),
        seconds => shown(Duration::from_secs_f64(seconds)),
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
    fn one_thing_is_not_told_as_many() {
        assert_eq!([0, 1, 2].map(|n| counted(n, "row")), ["0 rows", "1 row", "2 rows"]);
    }

    #[test]
    fn limits_on_failures_are_told_in_words() {
        let of = |failures, rate| stop_words(&StopAfter { failures, rate });
        assert_eq!(of(None, None), None);
        assert_eq!(of(Some(20), None).as_deref(), Some("more than 20 users failed"));
        assert_eq!(
            of(Some(20), Some(500)).as_deref(),
            Some("more than 20 users failed, or more than 5 % failed")
        );
    }

    #[test]
    fn ages_have_a_unit() {
        assert_eq!(age("45s"), Ok(Duration::from_secs(45)));
        assert_eq!(age("7d"), Ok(Duration::from_secs(7 * 86_400)));
        for wrong in ["", "7", "d", "-1d", "1.5h", "7 d", "7w", "99999999999999999d", "7é"] {
            assert!(age(wrong).unwrap_err().contains("12h or 7d"), "{wrong}");
        }
        assert_eq!(shown(Duration::from_millis(4_230)), "4.2 s");
        assert_eq!(rounded(Duration::from_millis(4_230)), "4 s");
        assert_eq!(shown(Duration::from_secs(8_000)), "2 h");
        assert_eq!(shown(Duration::from_secs(7 * 86_400)), "7 days");
    }

    #[test]
    fn thousands_are_apart() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1_203, "1,203"), (-100_000, "-100,000"), (1_000_000, "1,000,000")]
        {
            assert_eq!(grouped(number), text);
        }
    }
}
