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
    /// One of the known keys.
    pub key: &'static str,
    /// At least one, none of them empty.
    pub values: Vec<&'a str>,
}

/// Reads a filter. `known` are the keys that this list has.
///
/// # Errors
/// Says which term is wrong and what there is.
pub fn parse<'a>(text: &'a str, known: &[&'static str]) -> Result<Vec<Term<'a>>, Wrong> {
    let mut terms: Vec<Term<'a>> = Vec::new();
    for word in text.split_whitespace() {
        let Some((key, values)) = word.split_once('=') else {
            let example = known.first().copied().unwrap_or("key");
            return Err(Wrong(format!("{word:?}: terms are written key=value, for example {example}=…")));
        };
        let Some(&key) = known.iter().find(|name| **name == key) else {
            return Err(Wrong(format!("{word:?}: there is no key {key:?}; there are: {}", known.join(", "))));
        };
        if terms.iter().any(|term| term.key == key) {
            return Err(Wrong(format!("{key} is given twice; write several values as {key}=A,B")));
        }
        let values: Vec<&str> = values.split(',').collect();
        if values.iter().any(|value| value.is_empty()) {
            return Err(Wrong(format!("{word:?}: a value is missing")));
        }
        terms.push(Term { key, values });
    }
    Ok(terms)
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
        assert_eq!(parse("  ", &KNOWN), Ok(vec![]));
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
    }
}
