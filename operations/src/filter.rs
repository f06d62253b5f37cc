//! The filter language of `--where`: `key=value` terms, separated by spaces, all of
//! which must hold; several values of one key are separated by commas.
//!
//! `state=failed code=EMAIL_INVALID,EMAIL_MISSING` means what it says. Rejected: `or`,
//! comparisons, quotes. No key needs them yet, and a filter has to fit into a URL.

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
    for word in text.split_whitespace() {
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
        let values: Vec<&str> = values.split(',').collect();
        if values.iter().any(|value| value.is_empty()) {
            return Err(Wrong(format!("{}: a value is missing", shown(word))));
        }
        terms.push(Term { key, values });
    }
    Ok(terms)
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
