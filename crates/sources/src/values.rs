//! Reading a raw value as the type that a field needs.
//!
//! Every reader delivers JSON values: CSV cells as strings, table cells in the
//! type of their column. A blank string is the same as null everywhere, since
//! CSV has no null.

use ferry_domain::Code;
use serde_json::Value;
use time::{Date, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset, macros::format_description};

use crate::{
    digits,
    strict::{self, Parsed},
    words::says_nothing,
};

/// The value is not of the type that the field needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unfit;

/// Null, or a string without anything visible in it.
pub(crate) fn is_absent(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        _ => false,
    }
}

/// Text unchanged; numbers in decimal. `None` where absent.
pub(crate) fn text(value: &Value) -> Result<Option<String>, Unfit> {
    match value {
        _ if is_absent(value) => Ok(None),
        // NUL can't be stored by PostgreSQL, neither as text nor in JSON.
        Value::String(text) if text.contains('\0') => Err(Unfit),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Number(number) => Ok(Some(number.to_string())),
        _ => Err(Unfit),
    }
}

/// true/false, yes/no, t/f, y/n, 1/0 in any case. `None` where absent.
pub(crate) fn boolean(value: &Value) -> Result<Option<bool>, Unfit> {
    let word = match value {
        Value::Bool(yes) => return Ok(Some(*yes)),
        _ => match text(value)? {
            None => return Ok(None),
            Some(word) => word.trim().to_ascii_lowercase(),
        },
    };
    match word.as_str() {
        "true" | "t" | "yes" | "y" | "1" => Ok(Some(true)),
        "false" | "f" | "no" | "n" | "0" => Ok(Some(false)),
        _ => Err(Unfit),
    }
}

/// Whether an address is verified: a boolean; a time, which means yes; a list
/// of verified addresses, which means yes if the address is among them;
/// an absent value means no.
pub(crate) fn verified(value: &Value, address: &str) -> Result<bool, Unfit> {
    if let Ok(answer) = boolean(value) {
        return Ok(answer.unwrap_or(false));
    }
    if let Value::Array(list) = value {
        return Ok(list.iter().any(|one| one.as_str().is_some_and(|one| one.eq_ignore_ascii_case(address))));
    }
    let text = text(value)?.unwrap_or_default();
    let text = text.trim();
    if text.contains('@') {
        let mut list = text.split([',', ';', ' ', '|']);
        return Ok(list.any(|one| one.eq_ignore_ascii_case(address)));
    }
    if is_time(text) { Ok(true) } else { Err(Unfit) }
}

/// What a column says that holds a time, or whether something is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Yes or no, without a time.
    Flag(bool),
    /// A time; one without an offset is taken as UTC.
    At(OffsetDateTime),
    /// PostgreSQL's `infinity`.
    Never,
}

/// A moment: a flag, or a time as [`verified`] takes it. `None` where absent; MySQL's date of
/// zeros is its way to write that.
pub(crate) fn moment(value: &Value) -> Result<Option<Moment>, Unfit> {
    if let Ok(flag) = boolean(value) {
        return Ok(flag.map(Moment::Flag));
    }
    let text = text(value)?.unwrap_or_default();
    let text = text.trim();
    match text {
        "infinity" => return Ok(Some(Moment::Never)),
        "-infinity" => return Ok(Some(Moment::At(OffsetDateTime::UNIX_EPOCH))),
        zero if zero.starts_with("0000-00-00") => return Ok(None),
        _ if !is_time(text) => return Err(Unfit),
        _ => {}
    }
    time_of(text).map(|time| Some(Moment::At(time))).ok_or(Unfit)
}

/// The time that a text accepted by [`is_time`] means.
fn time_of(text: &str) -> Option<OffsetDateTime> {
    if let Some(second) = since_1970(text) {
        return OffsetDateTime::from_unix_timestamp(second).ok();
    }
    let (day, rest) = text.split_at_checked(10)?;
    let day = Date::parse(day, format_description!("[year]-[month]-[day]")).ok()?;
    if rest.is_empty() {
        return Some(day.midnight().assume_utc());
    }
    let minute = Time::parse(rest.get(1..6)?, format_description!("[hour]:[minute]")).ok()?;
    let tail = rest.get(6..)?;
    let offset = tail.rfind(['+', '-']).map_or(Some(UtcOffset::UTC), |sign| offset_of(&tail[sign..]))?;
    Some(PrimitiveDateTime::new(day, minute).assume_offset(offset)) // seconds decide nothing here
}

/// `+02`, `+0200`, `-05:30`.
fn offset_of(text: &str) -> Option<UtcOffset> {
    let digits: String = text[1..].chars().filter(char::is_ascii_digit).collect();
    let part = |at: usize| digits.get(at..at + 2).map_or(Some(0), |part| part.parse::<i8>().ok());
    let (hours, minutes) = (part(0)?, part(2)?);
    let sign = if text.starts_with('-') { -1 } else { 1 };
    UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok()
}

/// The second, of a number of seconds, milliseconds or microseconds since 1970; from September
/// 2001 on, when seconds got their tenth digit. **Any other number is no time**: where a column
/// holds a status, 2 may mean anything, and must not mean "verified".
fn since_1970(text: &str) -> Option<i64> {
    if text.starts_with('0') || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: i64 = text.parse().ok()?;
    match text.len() {
        10 => Some(number),
        13 => Some(number / 1_000),
        16 => Some(number / 1_000_000),
        _ => None,
    }
}

/// A date, alone or with a time of day, as databases and exports write it; or a time
/// [`since_1970`].
fn is_time(text: &str) -> bool {
    if since_1970(text).is_some() {
        return true;
    }
    let (Some(day), Some(rest)) = (text.get(..10), text.get(10..)) else { return false };
    if Date::parse(day, format_description!("[year]-[month]-[day]")).is_err() {
        return false;
    }
    if rest.is_empty() {
        return true;
    }
    let Some(clock) = rest.strip_prefix(['T', 't', ' ']) else { return false };
    let Some((minutes, tail)) = clock.get(..5).zip(clock.get(5..)) else { return false };
    let tail_is_plain =
        tail.bytes().all(|b| b.is_ascii_digit() || b":.+-Zz ".contains(&b)) || tail.ends_with(" UTC");
    Time::parse(minutes, format_description!("[hour]:[minute]")).is_ok() && tail_is_plain
}

/// Where a path into JSON leads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Dug {
    /// To this value.
    Found(Value),
    /// Nowhere: the record does not have it.
    Nowhere,
    /// To a text on the way that should hold JSON and does not: what the record has is not known.
    Broken,
    /// To a text on the way that names a property of the path twice: which one counts is not known.
    Twice,
}

impl Dug {
    /// The first that is found, else what hides one.
    pub(crate) fn first(all: impl Iterator<Item = Dug>) -> Dug {
        let mut end = Dug::Nowhere;
        for dug in all {
            match dug {
                found @ Dug::Found(_) => return found,
                hidden @ (Dug::Broken | Dug::Twice) => end = hidden,
                Dug::Nowhere => {}
            }
        }
        end
    }

    /// Whether the record has it; `None` where that is not known.
    pub(crate) fn is_there(&self) -> Option<bool> {
        match self {
            Dug::Found(_) => Some(true),
            Dug::Nowhere => Some(false),
            Dug::Broken | Dug::Twice => None,
        }
    }

    /// As the rules take it: null for nowhere, and what [`hidden`] knows.
    pub(crate) fn into_value(self) -> Value {
        match self {
            Dug::Found(value) => value,
            Dug::Nowhere => Value::Null,
            Dug::Broken => Value::String(BROKEN.to_owned()),
            Dug::Twice => Value::String(TWICE.to_owned()),
        }
    }
}

/// In place of a value that can't be known. No source can hold a text with NUL that is taken for
/// anything else: it is refused in every field.
const BROKEN: &str = "\0 no JSON";
const TWICE: &str = "\0 named twice";

/// Why a value can't be known, if it can't.
pub(crate) fn hidden(value: &Value) -> Option<Code> {
    match value.as_str() {
        Some(BROKEN) => Some(Code::FieldInvalid),
        Some(TWICE) => Some(Code::PropertyTwice),
        _ => None,
    }
}

/// Follows a path of names and positions through JSON; a name that contains
/// dots itself is found too. Strings that hold JSON are opened on the way.
pub(crate) fn dig(value: &Value, path: &str) -> Dug {
    match value {
        Value::Object(members) => {
            if let Some(found) = members.get(path) {
                return Dug::Found(found.clone());
            }
            let splits = path.match_indices('.').map(|(at, _)| (&path[..at], &path[at + 1..]));
            Dug::first(splits.filter_map(|(name, rest)| Some(dig(members.get(name)?, rest))))
        }
        Value::Array(items) => {
            let (position, rest) = path.split_once('.').unwrap_or((path, ""));
            let item = position.parse::<usize>().ok().and_then(|at| items.get(at));
            match item {
                Some(item) if rest.is_empty() => Dug::Found(item.clone()),
                Some(item) => dig(item, rest),
                None => Dug::Nowhere,
            }
        }
        Value::String(_) if says_nothing(value) => Dug::Nowhere,
        Value::String(text) => dig_text(text, path),
        _ => Dug::Nowhere,
    }
}

fn dig_text(text: &str, path: &str) -> Dug {
    let reads = |twice: &[String]| strict::touches(path, &twice.join("."));
    match strict::parse(&digits::keep(text), reads) {
        Some(Parsed { twice, .. }) if !twice.is_empty() => Dug::Twice,
        Some(Parsed { value: inner @ (Value::Object(_) | Value::Array(_)), .. }) => dig(&inner, path),
        Some(_) => Dug::Nowhere,
        None => Dug::Broken,
    }
}

/// What is wrong with a metadata value, if anything.
pub(crate) fn metadata_fault(value: &Value) -> Option<MetadataFault> {
    match value {
        Value::String(text) if text.contains('\0') => Some(MetadataFault::Value),
        Value::Array(items) => items.iter().find_map(metadata_fault),
        Value::Object(members) => members.iter().find_map(|(key, value)| {
            if key.is_empty() || key.contains(['.', '$', '\0']) {
                return Some(MetadataFault::Key);
            }
            metadata_fault(value)
        }),
        _ => None,
    }
}

/// A fault that [`metadata_fault`] finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetadataFault {
    /// A nested key has a dot or a dollar sign in it.
    Key,
    /// A text that can't be stored.
    Value,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn booleans_come_in_many_spellings() {
        for yes in
            [json!(true), json!(1), json!("true"), json!("TRUE"), json!("yes"), json!("t"), json!(" 1 ")]
        {
            assert_eq!(boolean(&yes), Ok(Some(true)), "{yes}");
        }
        for no in [json!(false), json!(0), json!("false"), json!("No"), json!("f"), json!("0")] {
            assert_eq!(boolean(&no), Ok(Some(false)), "{no}");
        }
        for absent in [json!(null), json!(""), json!("  ")] {
            assert_eq!(boolean(&absent), Ok(None), "{absent}");
        }
        for unfit in [json!("maybe"), json!(2), json!([]), json!({})] {
            assert_eq!(boolean(&unfit), Err(Unfit), "{unfit}");
        }
    }

    #[test]
    fn a_time_means_verified_and_null_means_not() {
        for time in [
            json!("2024-01-15T10:30:00.000Z"),
            json!("2024-01-15 10:30:00.000000+00"),
            json!("2024-01-15 10:30:00"),
            json!("2024-01-15T10:30:00+02:00"),
            json!("2024-01-15 10:30:00 UTC"),
            json!("2024-01-15"),
            json!(1_704_067_200),
            json!("1704067200000"),
        ] {
            assert_eq!(verified(&time, "a@example.com"), Ok(true), "{time}");
        }
        for no in [json!(null), json!(""), json!(false), json!("0")] {
            assert_eq!(verified(&no, "a@example.com"), Ok(false), "{no}");
        }
        for unfit in [
            json!("perhaps"),
            json!(2),
            json!("2"),
            json!("3"),
            json!("99"),
            json!("-1"),
            json!("20240115"),
            json!("0000000002"),
            json!("2024-13-15"),
            json!("2024-01-15 25:00"),
            json!(-5),
            json!({}),
            json!("24-01"),
        ] {
            assert_eq!(verified(&unfit, "a@example.com"), Err(Unfit), "{unfit}");
        }
    }

    #[test]
    fn a_moment_is_a_flag_or_a_time_in_its_own_offset() {
        let at = |text: &str| moment(&json!(text));
        let time = |year, hour| {
            let day = Date::from_calendar_date(year, time::Month::January, 15).unwrap();
            Ok(Some(Moment::At(
                PrimitiveDateTime::new(day, Time::from_hms(hour, 30, 0).unwrap()).assume_utc(),
            )))
        };
        for text in [
            "2024-01-15T10:30:00.000Z",
            "2024-01-15 10:30:00+00",
            "2024-01-15 10:30:00 UTC",
            "2024-01-15T12:30+02:00",
            "2024-01-15 12:30:59.5+0200",
            "2024-01-15T05:00:00-05:30",
            "1705314600",
            "1705314600000000",
            "1705314600000",
        ] {
            assert_eq!(at(text), time(2024, 10), "{text}");
        }
        assert_eq!(moment(&json!(1_705_314_600)), time(2024, 10));
        assert_eq!(at("infinity"), Ok(Some(Moment::Never)));
        for none in [json!(null), json!(" "), json!("0000-00-00 00:00:00")] {
            assert_eq!(moment(&none), Ok(None), "{none}");
        }
        assert_eq!(
            (at("0"), moment(&json!(true))),
            (Ok(Some(Moment::Flag(false))), Ok(Some(Moment::Flag(true))))
        );
        for unfit in [
            "2",
            "-1",
            "99",
            "20240115",
            "45306",
            "0000000002",
            "soon",
            "15.01.2024",
            "2024-13-01",
            "2024-01-15T99:00",
        ] {
            assert_eq!(at(unfit), Err(Unfit), "{unfit}");
        }
    }

    #[test]
    fn a_list_of_verified_addresses_is_searched() {
        for list in [json!("b@example.com, A@example.com"), json!("a@example.com"), json!(["A@Example.com"])]
        {
            assert_eq!(verified(&list, "a@example.com"), Ok(true), "{list}");
        }
        for list in [json!("aa@example.com"), json!([]), json!(["b@example.com"])] {
            assert_eq!(verified(&list, "a@example.com"), Ok(false), "{list}");
        }
    }

    #[test]
    fn a_path_goes_through_objects_arrays_and_json_in_strings() {
        let record = json!({
            "_id": {"$oid": "7"}, "traits.email": "flat", "traits": {"email": "deep"},
            "emails": [{"email": "first"}], "cell": "{\"a\": {\"b\": 1}}", "plain": "no json",
            "cut": "{\"a\": {\"b\"", "blank": " ", "none": "NULL", "number": "7",
        });
        let found = |path| match dig(&record, path) {
            Dug::Found(value) => Some(value),
            _ => None,
        };
        assert_eq!(found("_id.$oid"), Some(json!("7")));
        assert_eq!(found("traits.email"), Some(json!("flat")), "the literal name wins");
        assert_eq!(found("emails.0.email"), Some(json!("first")));
        assert_eq!(found("emails.0"), Some(json!({"email": "first"})));
        assert_eq!(found("cell.a.b"), Some(json!(1)));
        let missing =
            ["nothing", "emails.1.email", "emails.x", "_id.$oid.more", "blank.a", "none.a", "number.a"];
        for path in missing {
            assert_eq!(dig(&record, path), Dug::Nowhere, "{path}");
        }
        for broken in ["plain.a", "cut.a.b"] {
            assert_eq!(dig(&record, broken), Dug::Broken, "{broken}");
            assert_eq!(hidden(&dig(&record, broken).into_value()), Some(Code::FieldInvalid));
        }
        assert_eq!(text(&Dug::Broken.into_value()), Err(Unfit));
    }

    #[test]
    fn text_is_kept_as_it_stands_and_nul_is_refused() {
        assert_eq!(text(&json!(" Ann ")), Ok(Some(" Ann ".into())));
        assert_eq!(text(&json!(42)), Ok(Some("42".into())));
        assert_eq!(text(&json!("\t")), Ok(None));
        for unfit in [json!("a\0b"), json!(true), json!([]), json!({"a": 1})] {
            assert_eq!(text(&unfit), Err(Unfit), "{unfit}");
        }
    }

    #[test]
    fn nested_metadata_keys_obey_the_same_rule() {
        assert_eq!(metadata_fault(&json!({"a": [{"b": "c"}]})), None);
        assert_eq!(metadata_fault(&json!({"a": [{"b.c": 1}]})), Some(MetadataFault::Key));
        assert_eq!(metadata_fault(&json!({"$a": 1})), Some(MetadataFault::Key));
        assert_eq!(metadata_fault(&json!(["x\0"])), Some(MetadataFault::Value));
    }
}
