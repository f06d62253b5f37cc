//! Words that stand for something else: those that exports write where there is no
//! value, and those of the application that mean yes or no.
//!
//! A word that a database or its tools write for NULL is read as empty in every file. In a
//! table such a text is a value, except where it can't be one: as Auth0 id, as password hash
//! and as address. Words of programming languages and spreadsheets (`None`, `N/A`, `-`) are too
//! often real values, so they stay what they are; where they are carried, a warning counts them.

use ferry_domain::null;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{fields::Target, mapping::Mapping, values};

/// What other programs write where there is no value, and people as a value.
const DOUBTFUL: &[&str] =
    &["None", "nil", "undefined", "NaN", "NA", "N/A", "n/a", "#N/A", "-", "--", "Null", "NIL"];

/// Which words count as no value, in which fields.
#[derive(Clone, Debug)]
pub(crate) struct NullWords {
    /// Set by the mapping: then it holds for every field of every source.
    own: Option<Vec<String>>,
    from_table: bool,
}

impl NullWords {
    pub(crate) fn new(mapping: &Mapping, from_table: bool) -> Self {
        NullWords { own: mapping.null_words.clone(), from_table }
    }

    /// The values, with null in place of words that stand for it.
    pub(crate) fn cleared(&self, targets: &[Target], mut values: Vec<Value>) -> Vec<Value> {
        for (target, value) in targets.iter().zip(&mut values) {
            if let Value::String(text) = value
                && self.is_none(target, text.trim())
            {
                *value = Value::Null;
            }
        }
        values
    }

    fn is_none(&self, target: &Target, text: &str) -> bool {
        // No value of these fields can be such a word, whatever the mapping says.
        let never_a_value = matches!(target, Target::Auth0UserId | Target::PasswordHash | Target::Email);
        if never_a_value && null::WORDS.contains(&text) {
            return true;
        }
        match &self.own {
            Some(own) => own.iter().any(|word| word == text),
            None => !self.from_table && null::WORDS.contains(&text),
        }
    }

    /// The word that a carried text is, where it may mean that there is no value.
    pub(crate) fn doubtful(&self, value: &Value) -> Option<&'static str> {
        if self.own.is_some() {
            return None; // the operator decided
        }
        let text = value.as_str()?.trim();
        let words: &[&str] = if self.from_table { &null::WORDS } else { &[] };
        words.iter().chain(DOUBTFUL).copied().find(|word| *word == text)
    }
}

/// No value, or a word that databases write for it.
pub(crate) fn says_nothing(value: &Value) -> bool {
    values::is_absent(value) || value.as_str().is_some_and(|text| null::WORDS.contains(&text.trim()))
}

/// Whether a text is a word for "no value" in some program. As the key of a file's record it is
/// none: the same word may stand for another user in the next export.
pub(crate) fn means_none_somewhere(text: &str) -> bool {
    DOUBTFUL.contains(&text) || null::WORDS.contains(&text)
}

/// The application's words for yes and no in one field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct YesNo {
    /// Words that mean yes. Case does not matter.
    pub yes: Vec<String>,
    /// Words that mean no.
    pub no: Vec<String>,
}

/// The application's words for yes and no, by field. What is not listed is read as usual.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Words {
    /// Words of the column `active`.
    pub active: YesNo,
    /// Words of the column `blocked`.
    pub blocked: YesNo,
    /// Words of the column `email_verified`.
    pub email_verified: YesNo,
}

impl YesNo {
    /// What a value means by these words.
    pub(crate) fn read(&self, value: &Value) -> Option<bool> {
        let text = match value {
            Value::Bool(yes) => yes.to_string(),
            other => values::text(other).ok()??,
        };
        let among = |words: &[String]| {
            words.iter().any(|word| word.trim().to_lowercase() == text.trim().to_lowercase())
        };
        match (among(&self.yes), among(&self.no)) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        }
    }

    /// A word that means both.
    pub(crate) fn contradiction(&self) -> bool {
        self.yes.iter().any(|yes| self.no.iter().any(|no| no.trim().eq_ignore_ascii_case(yes.trim())))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.yes.is_empty() && self.no.is_empty()
    }
}

impl Words {
    /// Each field with its words.
    pub(crate) fn all(&self) -> [(&'static str, &YesNo); 3] {
        [("active", &self.active), ("blocked", &self.blocked), ("email_verified", &self.email_verified)]
    }
}
