//! The fields that codes speak of, counted one by one: how they come together says nothing to a
//! person, and there may be as many combinations as records.

use std::collections::BTreeMap;

use ferry_domain::Code;
use serde::{Deserialize, Serialize};

/// Codes that say little without the field they speak of.
pub const BY_FIELD: [Code; 4] =
    [Code::FieldInvalid, Code::FieldTooLong, Code::MetadataKeyForbidden, Code::ChangedSinceMoved];
/// What stands between the fields of one record.
const BETWEEN: &str = ", ";

/// A field, and how many users a code speaks of it for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldCount {
    /// Its name.
    pub field: String,
    /// Number of users.
    pub count: i64,
}

/// Fields as items name them, several of one item in one text, with the number of such items; the
/// field of most users comes first.
pub fn count_fields<'a>(told: impl IntoIterator<Item = (&'a str, i64)>) -> Vec<FieldCount> {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for (fields, items) in told {
        for field in fields.split(BETWEEN).filter(|field| !field.is_empty()) {
            *counts.entry(field).or_insert(0) += items;
        }
    }
    let mut counted: Vec<_> =
        counts.into_iter().map(|(field, count)| FieldCount { field: field.to_owned(), count }).collect();
    counted.sort_by_key(|field| std::cmp::Reverse(field.count)); // stable: else by name
    counted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_come_together_are_counted_each_for_itself() {
        let counted = count_fields([("name, email", 2), ("email", 3), ("blocked, name", 1), ("", 9)]);
        let told: Vec<_> = counted.iter().map(|field| (field.field.as_str(), field.count)).collect();
        assert_eq!(told, [("email", 5), ("name", 3), ("blocked", 1)]);
        assert_eq!(count_fields([]), []);
    }
}
