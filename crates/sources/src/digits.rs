//! Numbers of more digits than JSON libraries keep.
//!
//! `serde_json` reads a number beyond 64 bits as a float of 15 to 17 digits: ids of
//! `numeric` columns and of other exports would become equal. Its feature `arbitrary_precision`
//! keeps them, but changes numbers for every package of the build. So a number that would lose
//! digits is put into quotes before the text is parsed: it is carried as text, with all digits.

use std::borrow::Cow;

/// Fewer digits than this are never lost.
const SAFE: usize = 16;

/// The same JSON, with quotes around each number that would lose digits. What is no JSON stays so.
pub(crate) fn keep(json: &str) -> Cow<'_, str> {
    let bytes = json.as_bytes();
    let mut kept = String::new();
    let (mut copied, mut at, mut in_string) = (0, 0, false);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if in_string => at += 1, // the next byte is escaped
            b'"' => in_string = !in_string,
            b'-' | b'0'..=b'9' if !in_string => {
                let end = at + bytes[at..].iter().take_while(|b| is_of_number(**b)).count();
                if stands_as_value(bytes, at, end) && loses_digits(&json[at..end]) {
                    kept.push_str(&json[copied..at]);
                    kept.push('"');
                    kept.push_str(&json[at..end]);
                    kept.push('"');
                    copied = end;
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    kept.push_str(&json[copied..]);
    Cow::Owned(kept)
}

fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_digit() || b"+-.eE".contains(&byte)
}

/// Whether what is around a number is what JSON has around a value; else the text is no JSON.
fn stands_as_value(bytes: &[u8], at: usize, end: usize) -> bool {
    let before = bytes[..at].iter().rev().find(|b| !b.is_ascii_whitespace());
    let after = bytes[end..].iter().find(|b| !b.is_ascii_whitespace());
    matches!(before, None | Some(b'[' | b',' | b':')) && matches!(after, None | Some(b']' | b',' | b'}'))
}

/// Whether a number in JSON's form has digits that neither 64 bits nor a float keep. One with an
/// exponent has said itself that its last digits are unknown.
fn loses_digits(number: &str) -> bool {
    if number.len() < SAFE || number.contains(['e', 'E']) {
        return false;
    }
    let unsigned = number.strip_prefix('-').unwrap_or(number);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || (whole.len() > 1 && whole.starts_with('0')) {
        return false; // no number of JSON
    }
    if !number.contains('.') {
        return number.parse::<i64>().is_err() && number.parse::<u64>().is_err();
    }
    // A float is displayed with all digits that it keeps, and without an exponent.
    number.parse::<f64>().is_ok_and(|float| plain(&float.to_string()) != plain(number))
}

/// A decimal fraction without zeros that say nothing.
fn plain(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_number_beyond_64_bits_keeps_every_digit() {
        let json = r#"{"id":100000000000000000000000000001, "list":[-123456789012345678901,1234567890123456789.25]}"#;
        let value: Value = serde_json::from_str(&keep(json)).unwrap();
        assert_eq!(value["id"], "100000000000000000000000000001");
        assert_eq!(value["list"], json!(["-123456789012345678901", "1234567890123456789.25"]));
        let huge = format!("[1{}]", "0".repeat(400));
        assert_eq!(keep(&huge), format!("[\"1{}\"]", "0".repeat(400)));
    }

    #[test]
    fn other_numbers_and_texts_stay_as_they_are() {
        for json in [
            "[18446744073709551615,-9223372036854775808,1,12.5,0.1]",
            "[13.404953999999975,0.30000000000000004,12.500000000000000000]",
            r#"{"a":"100000000000000000000000000001","b\"100000000000000000000000000001":1}"#,
            "[1e999]",
            "[1.23456789012345678901e5]",
        ] {
            assert_eq!(keep(json), json);
        }
    }

    #[test]
    fn what_is_no_json_does_not_become_json() {
        for broken in [
            "[01234567890123456789012]",
            "{100000000000000000000000000001:1}",
            "[100000000000000000000000000001x]",
            "[1 100000000000000000000000000001]",
            "[1234567890123456789012.]",
            "[--123456789012345678901234]",
        ] {
            assert!(serde_json::from_str::<Value>(&keep(broken)).is_err(), "{broken}");
        }
    }
}
