//! Words and numbers of a page. `maud` escapes what is put into it; what a reader would not see is
//! made visible here, since marks that turn the direction of text could make a key look like another.

use std::fmt::Write;

use maud::{Markup, html};

/// Most characters of a key, a name or a reason; the CSV has the rest.
const LONGEST: usize = 200;

/// Text of others: marks without a shape are shown as their codes, and it keeps its direction to
/// itself.
pub(super) fn foreign(text: &str) -> Markup {
    html! { @if !text.is_empty() { bdi { (visible(text)) } } }
}

/// A moment as reports have it (RFC 3339, UTC).
pub(super) fn moment(at: &str) -> Markup {
    html! { time datetime=(visible(at)) { (visible(at)) } }
}

/// A sentence of Ferry with names of others in it; its end is not cut as that of a name is.
pub(super) fn sentence(text: &str) -> Markup {
    html! { bdi { (visible_up_to(text, LONGEST * 5)) } }
}

/// A name as plain text.
pub(super) fn visible(text: &str) -> String {
    visible_up_to(text, LONGEST)
}

fn visible_up_to(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for (at, mark) in text.chars().enumerate() {
        if at == most {
            shown.push('…');
            break;
        }
        match mark {
            '\n' | '\r' | '\t' => shown.push(' '),
            mark if mark.is_control() || is_unseen(mark) => {
                // Writing to a String can't fail.
                let _ = write!(shown, "[U+{:04X}]", mark as u32);
            }
            mark => shown.push(mark),
        }
    }
    shown
}

/// Marks of direction, and those of no width.
fn is_unseen(mark: char) -> bool {
    matches!(mark, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A number with its thousands apart.
pub(super) fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A part of a whole; what is there is never told as 0 %, and what is missing never as 100 %.
pub(super) fn share(part: i64, whole: i64) -> String {
    if whole <= 0 {
        return String::new();
    }
    let share = part as f64 * 100.0 / whole as f64;
    match share {
        _ if part > 0 && share < 0.1 => "under 0.1 %".to_owned(),
        _ if part < whole && share > 99.9 => "over 99.9 %".to_owned(),
        share => format!("{} %", shortest(share, 1)),
    }
}

/// A number of an axis: `250`, `1.5 k`, `2 M`.
pub(super) fn brief(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        size if size >= 1e6 => (value / 1e6, " M"),
        size if size >= 1e3 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    format!("{}{unit}", shortest(scaled, 2))
}

/// With up to this number of decimal places, without the zeros at their end.
fn shortest(value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A duration for people: `1.2 s`, `4 min 10 s`, `2 d 3 h`.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as i64;
    match whole {
        ..1 => format!("{} s", shortest(seconds, 2)),
        1..60 => format!("{} s", shortest(seconds, 1)),
        60..3_600 => two((whole / 60, "min"), (whole % 60, "s")),
        3_600..172_800 => two((whole / 3_600, "h"), (whole % 3_600 / 60, "min")),
        _ => two((whole / 86_400, "d"), (whole % 86_400 / 3_600, "h")),
    }
}

fn two(first: (i64, &str), second: (i64, &str)) -> String {
    match second.0 {
        0 => format!("{} {}", first.0, first.1),
        more => format!("{} {} {more} {}", first.0, first.1, second.1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_that_nobody_sees_are_shown() {
        assert_eq!(visible("a\u{202e}gpj.exe\u{200b}\0\n"), "a[U+202E]gpj.exe[U+200B][U+0000] ");
        assert_eq!(foreign("<b>&\"'").into_string(), "<bdi>&lt;b&gt;&amp;&quot;'</bdi>");
        let long = visible(&"é".repeat(100_000));
        assert_eq!((long.chars().count(), long.ends_with('…')), (LONGEST + 1, true));
    }

    #[test]
    fn numbers_are_read_at_a_glance() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567, -1_000].map(count),
            ["0", "999", "1,000", "1,234,567", "-1,000"]
        );
        assert_eq!([0.0, 0.25, 250.0, 1_500.0, 2e6].map(brief), ["0", "0.25", "250", "1.5 k", "2 M"]);
        assert_eq!(share(1, 1_000_000), "under 0.1 %");
        assert_eq!(share(999_999, 1_000_000), "over 99.9 %");
        assert_eq!([share(1, 3), share(3, 3), share(0, 3), share(0, 0)], ["33.3 %", "100 %", "0 %", ""]);
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let told = [0.02, 59.4, 60.0, 250.0, 7_260.0, 180_000.0, 259_200.0].map(duration);
        assert_eq!(told, ["0.02 s", "59.4 s", "1 min", "4 min 10 s", "2 h 1 min", "2 d 2 h", "3 d"]);
    }
}
