//! The fields that codes speak of, counted one by one: how they come together says nothing to a
//! person, and there may be as many combinations as records.

use std::collections::BTreeMap;

use ferry_domain::{
    Code, ItemState, RunId,
    ports::{FailureGroup, ItemFilter, ItemPages, Items, LedgerError},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Codes that say little without the field they speak of.
pub const BY_FIELD: [Code; 5] = [
    Code::FieldInvalid,
    Code::FieldTooLong,
    Code::MetadataKeyForbidden,
    Code::ChangedSinceMoved,
    Code::PropertyTwice,
];
/// Users read from the ledger in one statement.
const PAGE: i64 = 1_000;
/// What stands between the fields of one record.
const BETWEEN: &str = ", ";

/// A field, and how many users a code speaks of it for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldCount {
    /// Its name.
    pub field: String,
    /// Number of users.
    pub count: i64,
}

/// Fields that are being counted.
#[derive(Clone, Debug, Default)]
struct Counts(BTreeMap<String, i64>);

impl Counts {
    fn add(&mut self, fields: &str, items: i64) {
        for field in fields.split(BETWEEN).filter(|field| !field.is_empty()) {
            match self.0.get_mut(field) {
                Some(count) => *count += items,
                None => drop(self.0.insert(field.to_owned(), items)),
            }
        }
    }

    fn counted(self) -> Vec<FieldCount> {
        let mut counted: Vec<_> =
            self.0.into_iter().map(|(field, count)| FieldCount { field, count }).collect();
        counted.sort_by_key(|field| std::cmp::Reverse(field.count)); // stable: else by name
        counted
    }
}

/// Fields as items name them, several of one item in one text, with the number of such items; the
/// field of most users comes first.
pub fn count_fields<'a>(told: impl IntoIterator<Item = (&'a str, i64)>) -> Vec<FieldCount> {
    let mut counts = Counts::default();
    told.into_iter().for_each(|(fields, items)| counts.add(fields, items));
    counts.counted()
}

/// The fields that codes of a run speak of, by end and code. Users are read page by page.
pub(crate) async fn of_groups(
    items: &dyn Items,
    run: RunId,
    groups: &[FailureGroup],
) -> Result<Vec<(ItemState, Code, Vec<FieldCount>)>, LedgerError> {
    let mut counts: Vec<_> = groups
        .iter()
        .filter(|group| BY_FIELD.contains(&group.code))
        .map(|group| (group.state, group.code, Counts::default()))
        .collect();
    if counts.is_empty() {
        return Ok(Vec::new());
    }
    let mut filter = ItemFilter {
        states: counts.iter().map(|of| of.0).collect(),
        codes: counts.iter().map(|of| of.1).collect(),
    };
    filter.states.dedup();
    let mut pages = ItemPages::of(items, run, filter, PAGE);
    while let Some(page) = pages.next().await? {
        for item in &page {
            let alike = |of: &&mut (ItemState, Code, Counts)| (of.0, Some(of.1)) == (item.state, item.code);
            if let (Some(of), Some(field)) = (counts.iter_mut().find(alike), item.field.as_deref()) {
                of.2.add(field, 1);
            }
        }
    }
    Ok(counts.into_iter().map(|(state, code, counts)| (state, code, counts.counted())).collect())
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
