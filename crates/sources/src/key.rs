//! What a record's key may be.
//!
//! Auth0 ids and marks are made of keys, so a key that a program destroyed on the way makes
//! a user whom nobody finds again. In a file it is refused where that can be told for sure:
//! `1.23457E+18` and `9,87654e+17` are what spreadsheets and statistics programs write for a
//! long number (Java without the sign, `1.234567890E18`), `#N/A` and `####` for none. `1E5` may be an id and is one. In a
//! table the key is what the application itself uses, whatever it looks like.

use ferry_domain::{Code, Outcome, SourceKey};
use serde_json::Value;

use crate::{
    fields::Target,
    values::{self, Unfit},
    words::means_none_somewhere,
};

/// Characters of a key. Not a limit of Auth0 but of a database index.
const MOST: usize = 255;

/// The key that a value is.
pub(crate) fn of(value: &Value, from_table: bool) -> Result<SourceKey, Outcome> {
    let fault = |code: Code| Outcome::failed(code).at_field(Target::Key.name());
    let text = match values::text(value) {
        Ok(None) => return Err(Outcome::failed(Code::KeyMissing)),
        Ok(Some(text)) => text,
        Err(Unfit) => return Err(fault(Code::FieldInvalid)),
    };
    if text.chars().any(char::is_control) {
        return Err(fault(Code::FieldInvalid));
    }
    if text.chars().count() > MOST {
        return Err(fault(Code::FieldTooLong));
    }
    if !from_table {
        let written = text.trim();
        if is_shortened(written, value.is_number()) || is_spreadsheet_error(written) {
            return Err(fault(Code::KeyDamaged));
        }
        if means_none_somewhere(written) {
            return Err(fault(Code::FieldInvalid));
        }
    }
    Ok(SourceKey(text))
}

/// Scientific notation. As a number always; as text with a plus sign, or as Java writes it: a
/// fraction, and an exponent of 7 or more.
fn is_shortened(text: &str, is_number: bool) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let Some((digits, exponent)) = text.split_once(['e', 'E']) else { return false };
    let power = exponent.trim_start_matches(['+', '-']);
    let (whole, fraction) = digits.split_once(['.', ',']).unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let is_scientific = all_digits(whole) && all_digits(fraction) && all_digits(power) && power.len() <= 3;
    let of_java = digits != whole && exponent.parse().is_ok_and(|power: u16| power >= 7);
    is_scientific && (is_number || exponent.starts_with('+') || of_java)
}

/// What spreadsheets write in place of a value: `#N/A`, `#REF!`, `#NAME?`, in any language,
/// and `####` where the column was too narrow.
fn is_spreadsheet_error(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('#') else { return false };
    let word = rest.trim_end_matches(['!', '?']);
    let named = word.len() < rest.len()
        && word.chars().all(|c| c.is_uppercase() || c == '/' || c == '0')
        && word.chars().any(char::is_uppercase);
    named
        || matches!(rest, "N/A" | "NV" | "N/D" | "N/B")
        || (rest.len() > 1 && rest.bytes().all(|b| b == b'#'))
}

/// How often keys look as if a program had changed them, though it can't be told of one alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyLooks {
    /// Whole numbers with `.0` behind.
    pub(crate) decimal: u64,
    /// Numbers of more than 15 digits.
    pub(crate) long: u64,
    /// Those of them with nothing but zeros behind the 15th digit.
    pub(crate) rounded: u64,
}

impl KeyLooks {
    pub(crate) fn see(&mut self, key: &SourceKey) {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if key.0.strip_suffix(".0").is_some_and(digits) {
            self.decimal += 1;
        }
        if digits(&key.0) && key.0.len() > 15 {
            self.long += 1;
            self.rounded += u64::from(key.0.as_bytes()[15..].iter().all(|b| *b == b'0'));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn refused(value: Value) -> Option<Code> {
        of(&value, false).err().map(|outcome| outcome.code.unwrap())
    }

    #[test]
    fn an_id_that_a_spreadsheet_shortened_is_no_key() {
        for damaged in [
            "1.23457E+18",
            "9,87654E+17",
            "1E+18",
            "1.234568e+18",
            " 1.5E+20 ",
            "1.2345678901234568E18",
            "-1.2E+19",
            "#N/A",
            "#REF!",
            "#NAME?",
            "#DIV/0!",
            "#NV",
            "#WERT!",
            "########",
        ] {
            assert_eq!(refused(json!(damaged)), Some(Code::KeyDamaged), "{damaged}");
            assert_eq!(
                of(&json!(damaged), true).map(|key| key.0),
                Ok(damaged.into()),
                "{damaged} of a table"
            );
        }
        for number in ["1.23457E+18", "1.5e30"] {
            let number: Value = serde_json::from_str(number).unwrap();
            assert_eq!(refused(number), Some(Code::KeyDamaged));
        }
    }

    #[test]
    fn what_may_be_an_id_is_one() {
        for id in [
            "1E5", "12E34", "1.5E3", "1e10", "E+1", "1E-05", "A1E+5", "#12", "#NEW", "1.5", "0012", "#",
            "1E+5B",
        ] {
            assert_eq!(of(&json!(id), false).map(|key| key.0), Ok(id.into()));
        }
        assert_eq!(of(&json!(u64::MAX), false).map(|key| key.0), Ok(u64::MAX.to_string()));
    }

    #[test]
    fn a_word_for_no_value_is_nobody_s_key() {
        for word in ["None", "nil", "undefined", "N/A", "-", "NaN"] {
            assert_eq!(refused(json!(word)), Some(Code::FieldInvalid), "{word}");
            assert!(of(&json!(word), true).is_ok(), "{word} of a table");
        }
    }

    #[test]
    fn keys_that_look_changed_are_counted() {
        let mut looks = KeyLooks::default();
        for key in ["1.0", "12.50", "123456789012345000", "1234567890123456", "1000", "v1.0"] {
            looks.see(&SourceKey(key.into()));
        }
        assert_eq!(looks, KeyLooks { decimal: 1, long: 2, rounded: 1 });
    }
}
