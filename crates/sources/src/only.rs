//! Which records of a source belong to the move: `only = { tenant = "a" }`.
//!
//! A filter by values, the same for files and tables. A piece of SQL was rejected: files have none, and a
//! text that is put into a statement would have to be trusted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::values;

/// For each column, the values that a record of this move has there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Only(BTreeMap<String, OneOrMore>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(Wanted),
    More(Vec<Wanted>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Wanted {
    Flag(bool),
    Number(i64),
    Text(String),
}

impl Only {
    /// The columns that are looked at.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// Whether a column's value is one of those that are wanted there. No value is the empty text.
    pub(crate) fn takes(&self, column: &str, value: &Value) -> bool {
        match self.0.get(column) {
            None => true,
            Some(OneOrMore::One(wanted)) => wanted.is(value),
            Some(OneOrMore::More(all)) => all.iter().any(|wanted| wanted.is(value)),
        }
    }

    /// Each column with what is wanted there, for people.
    pub(crate) fn describe(&self) -> Vec<String> {
        let one = |wanted: &Wanted| match wanted {
            Wanted::Flag(flag) => flag.to_string(),
            Wanted::Number(number) => number.to_string(),
            Wanted::Text(text) => format!("{text:?}"),
        };
        let lines = self.0.iter().map(|(column, wanted)| match wanted {
            OneOrMore::One(wanted) => format!("only records with {column} = {}", one(wanted)),
            OneOrMore::More(all) => {
                format!(
                    "only records with {column} one of {}",
                    all.iter().map(one).collect::<Vec<_>>().join(", ")
                )
            }
        });
        lines.collect()
    }
}

impl Wanted {
    fn is(&self, value: &Value) -> bool {
        let text = match value {
            Value::Bool(flag) => Some(flag.to_string()),
            other => values::text(other).ok().map(Option::unwrap_or_default),
        };
        let Some(text) = text else { return false };
        match self {
            Wanted::Flag(flag) => values::boolean(value) == Ok(Some(*flag)),
            Wanted::Number(number) => text.trim() == number.to_string(),
            Wanted::Text(wanted) => text.trim() == wanted.trim(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_taken_by_text_number_flag_or_one_of_several() {
        let only: Only = serde_json::from_value(json!({
            "tenant": "a", "site": 7, "is_guest": false, "status": ["active", "invited"], "left": "",
        }))
        .unwrap();
        for (column, taken, left) in [
            (
                "tenant",
                vec![json!("a"), json!(" a ")],
                vec![json!("A"), json!("b"), json!(null), json!(["a"])],
            ),
            ("site", vec![json!(7), json!("7")], vec![json!(70), json!("")]),
            ("is_guest", vec![json!(false), json!("f"), json!(0)], vec![json!(true), json!(null)]),
            ("status", vec![json!("active"), json!("invited")], vec![json!("gone")]),
            ("left", vec![json!(null), json!("")], vec![json!("x")]),
            ("another", vec![json!("x"), json!(null)], vec![]),
        ] {
            assert!(taken.iter().all(|value| only.takes(column, value)), "{column}");
            assert!(!left.iter().any(|value| only.takes(column, value)), "{column}");
        }
    }
}
