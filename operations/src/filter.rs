//! The filter language of `--where`: `key=value` terms, separated by spaces, all of
//! which must hold; several values of one key are separated by commas.
//!
//! `state=failed code=EMAIL_INVALID,EMAIL_MISSING` means what it says. A value with a space or a comma
//! in it is put in quotes, single or double: `hospital="St. Mary"`. Rejected: `or` and comparisons,
//! which no key needs.

use std::{fmt::Display, str::FromStr};

/// A filter that can't be read; says which term is wrong and what there is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the filter can't be read: {0}")]
pub struct Wrong(pub String);

/// One term.
#[derive(Debug, PartialEq, Eq)]
pub struct Term<'a> {
    /// One of the known keys; or another, where the list takes others.
    pub key: &'a str,
    /// At least one, none of them empty.
    pub values: Vec<&'a str>,
}

/// Reads a filter. `known` are the keys that this list has.
///
/// # Errors
/// Says which term is wrong and what there is.
pub fn parse<'a>(text: &'a str, known: &[&'static str]) -> Result<Vec<Term<'a>>, Wrong> {
    let terms = parse_any(text, known)?;
    match terms.iter().find(|term| !known.contains(&term.key)) {
        Some(term) => Err(no_key(term.key, known, "")),
        None => Ok(terms),
    }
}

/// Reads a filter whose keys are `known`, or others that the caller knows.
///
/// # Errors
/// Says which term is wrong.
pub fn parse_any<'a>(text: &'a str, known: &[&'static str]) -> Result<Vec<Term<'a>>, Wrong> {
    if text.trim().is_empty() {
        return Err(Wrong("it is empty; leave --where out to mean all".to_owned()));
    }
    let mut terms: Vec<Term<'a>> = Vec::new();
    for word in words(text)? {
        let Some((key, values)) = word.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            let example = known.first().copied().unwrap_or("key");
            return Err(Wrong(format!(
                "{}: terms are written key=value, for example {example}=…",
                shown(word)
            )));
        };
        if terms.iter().any(|term| term.key == key) {
            return Err(Wrong(format!("{key} is given twice; write several values as {key}=A,B")));
        }
        let values = values_of(values);
        if values.iter().any(|value| value.is_empty()) {
            return Err(Wrong(format!("{}: a value is missing", shown(word))));
        }
        terms.push(Term { key, values });
    }
    Ok(terms)
}

/// The quote that a value begins with. A quote in the middle of one is a part of it: `name=O'Neill`.
fn quote(value: &str) -> Option<char> {
    value.chars().next().filter(|first| matches!(first, '"' | '\''))
}

/// Where a value ends: at its closing quote, or before what `is_end`.
fn end_of(value: &str, is_end: impl Fn(char) -> bool) -> Option<usize> {
    match quote(value) {
        Some(quote) => value[1..].find(quote).map(|at| at + 2), // quotes are one byte long
        None => Some(value.find(is_end).unwrap_or(value.len())),
    }
}

/// The terms, each with its quotes.
fn words(text: &str) -> Result<Vec<&str>, Wrong> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let mut end = rest.find(|letter: char| letter == '=' || letter.is_whitespace()).unwrap_or(rest.len());
        while rest[end..].starts_with(['=', ',']) {
            let value = end + 1;
            let ends = |letter: char| letter == ',' || letter.is_whitespace();
            let Some(length) = end_of(&rest[value..], ends) else {
                return Err(Wrong(format!("{}: its quote is not closed", shown(rest))));
            };
            end = value + length;
        }
        if let Some(after) = rest[end..].chars().next().filter(|letter| !letter.is_whitespace()) {
            let term = shown(&rest[..end]);
            return Err(Wrong(format!(
                "{term}: {after:?} follows a quote; a value ends with a comma or a space"
            )));
        }
        words.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    Ok(words)
}

/// The values of a term, without their quotes.
fn values_of(mut text: &str) -> Vec<&str> {
    let mut values = Vec::new();
    loop {
        // It was read as a word before, so that each quote is closed.
        let end = end_of(text, |letter| letter == ',').unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        values.push(quote(value).map_or(value, |quote| value.trim_matches(quote)));
        match rest.strip_prefix(',') {
            Some(rest) => text = rest,
            None => return values,
        }
    }
}

/// The one error about a key that a list does not have. `also` says what else there is.
pub fn no_key(key: &str, known: &[&str], also: &str) -> Wrong {
    let meant = meant(key, known.iter().copied());
    Wrong(format!("there is no key {}{meant}; there are: {}{also}", shown(key), known.join(", ")))
}

/// A word of a person as an error may show it: it may hold an address.
pub(crate) fn shown(word: &str) -> String {
    if word.contains('@') { "a term with an @ in it".to_owned() } else { format!("{word:?}") }
}

/// `; did you mean …?` where a word is nearly one that there is.
pub(crate) fn meant<'a>(word: &str, of: impl IntoIterator<Item = &'a str>) -> String {
    let most = if word.chars().count() < 5 { 1 } else { 2 };
    let near = of.into_iter().map(|known| (changes(word, known), known)).min_by_key(|(changes, _)| *changes);
    match near {
        Some((changes, known)) if changes <= most => format!(" (did you mean {known}?)"),
        _ => String::new(),
    }
}

/// Characters to add, remove or replace until one word is the other, in whatever case.
fn changes(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (nth, a) in one.chars().enumerate() {
        let mut above = row[0];
        row[0] = nth + 1;
        for (at, b) in other.iter().enumerate() {
            let replaced = above + usize::from(!a.eq_ignore_ascii_case(b));
            above = row[at + 1];
            row[at + 1] = replaced.min(above + 1).min(row[at] + 1);
        }
    }
    row[other.len()]
}

impl<'a> Term<'a> {
    /// The value of a key that takes one only.
    ///
    /// # Errors
    /// When there are several.
    pub fn single(&self) -> Result<&'a str, Wrong> {
        match self.values[..] {
            [value] => Ok(value),
            _ => Err(Wrong(format!("{} takes one value only", self.key))),
        }
    }

    /// A value as what it means.
    ///
    /// # Errors
    /// When it is none.
    pub fn parsed<T: FromStr<Err: Display>>(&self, value: &str) -> Result<T, Wrong> {
        value.parse().map_err(|error| Wrong(format!("{}={value}: {error}", self.key)))
    }

    /// All values as what they mean.
    ///
    /// # Errors
    /// When one is none.
    pub fn all<T: FromStr<Err: Display>>(&self) -> Result<Vec<T>, Wrong> {
        self.values.iter().map(|value| self.parsed(value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 3] = ["run", "code", "state"];

    #[test]
    fn terms_are_read_and_what_is_wrong_is_named() {
        let terms = parse(" state=kept  code=A,B ", &KNOWN).unwrap();
        assert_eq!(terms[0], Term { key: "state", values: vec!["kept"] });
        assert_eq!(terms[1], Term { key: "code", values: vec!["A", "B"] });
        assert_eq!(terms[0].single(), Ok("kept"));
        assert!(terms[1].single().unwrap_err().to_string().contains("one value"));
        assert!(parse("  ", &KNOWN).unwrap_err().to_string().contains("leave --where out"));
        for (wrong, word) in [
            ("kept", "key=value"),
            ("colour=red", "run, code, state"),
            ("state=", "value is missing"),
            ("code=A,,B", "value is missing"),
            ("state=a state=b", "twice"),
            ("state='a", "quote is not closed"),
            ("state=\"\"", "value is missing"),
            ("state='a'b", "follows a quote"),
        ] {
            let error = parse(wrong, &KNOWN).unwrap_err();
            assert!(error.to_string().contains(word), "{wrong}: {error}");
        }
        let near = parse("stat=a", &KNOWN).unwrap_err().to_string();
        assert!(near.contains("did you mean state?"), "{near}");
        assert!(!parse("ann@example.com", &KNOWN).unwrap_err().to_string().contains("ann"));
        assert_eq!(parse_any("hospital=H-12", &KNOWN).unwrap()[0].key, "hospital");
    }

    #[test]
    fn values_with_spaces_and_commas_stand_in_quotes() {
        let values = |text| {
            let terms = parse_any(text, &KNOWN).unwrap();
            terms.iter().map(|term| (term.key, term.values.clone())).collect::<Vec<_>>()
        };
        assert_eq!(
            values("hospital=\"St. Mary\",'A, B',H-1 ward='the \"old\" one'  code=A"),
            [
                ("hospital", vec!["St. Mary", "A, B", "H-1"]),
                ("ward", vec!["the \"old\" one"]),
                ("code", vec!["A"])
            ]
        );
        assert_eq!(values("name=O'Neill,d'Arc\""), [("name", vec!["O'Neill", "d'Arc\""])]);
        assert_eq!(values("a=b=c"), [("a", vec!["b=c"])]);
        assert_eq!(values("stadt='Köln Süd'"), [("stadt", vec!["Köln Süd"])]);
    }

    #[test]
    fn a_word_that_is_nearly_another_is_taken_for_it() {
        let of = |word| meant(word, ["state", "code", "line"]);
        for (word, known) in [("stat", "state"), ("STATE", "state"), ("cod", "code"), ("lines", "line")] {
            assert_eq!(of(word), format!(" (did you mean {known}?)"));
        }
        for word in ["hospital", "ward", "", "x"] {
            assert_eq!(of(word), "");
        }
    }
}
