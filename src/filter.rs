//! The filter language of `--where`: `key=value` terms, separated by spaces, all of
//! which must hold; several values of one key are separated by commas.
//!
//! `state=failed code=EMAIL_INVALID,EMAIL_MISSING` means what it says. Rejected: `or`,
//! comparisons, quotes. No key needs them yet, and a filter has to fit into a URL.

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
pub fn parse<'a>(text: &'a str, known: &[&'static str]) -> Result<Vec<Term<'a>>, String> {
    let mut terms: Vec<Term<'a>> = Vec::new();
    for word in text.split_whitespace() {
        let Some((key, values)) = word.split_once('=') else {
            return Err(format!("--where {word:?}: terms are written key=value, for example {}=…", known[0]));
        };
        let Some(&key) = known.iter().find(|name| **name == key) else {
            return Err(format!(
                "--where {word:?}: there is no key {key:?}; there are: {}",
                known.join(", ")
            ));
        };
        if terms.iter().any(|term| term.key == key) {
            return Err(format!("--where: {key} stands twice; write several values as {key}=A,B"));
        }
        let values: Vec<&str> = values.split(',').collect();
        if values.iter().any(|value| value.is_empty()) {
            return Err(format!("--where {word:?}: a value is missing"));
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
    pub fn single(&self) -> Result<&'a str, String> {
        match self.values[..] {
            [value] => Ok(value),
            _ => Err(format!("--where: {} takes one value only", self.key)),
        }
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
        assert!(terms[1].single().unwrap_err().contains("one value"));
        assert_eq!(parse("  ", &KNOWN), Ok(vec![]));
        for (wrong, word) in [
            ("kept", "key=value"),
            ("colour=red", "run, code, state"),
            ("state=", "value is missing"),
            ("code=A,,B", "value is missing"),
            ("state=a state=b", "twice"),
        ] {
            let error = parse(wrong, &KNOWN).unwrap_err();
            assert!(error.contains(word), "{wrong}: {error}");
        }
    }
}
