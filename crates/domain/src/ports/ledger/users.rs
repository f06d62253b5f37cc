//! Users of a run as people look for them: a filter, pages in source order, and a count.
//!
//! Rejected: an `OFFSET`, for which a ledger reads all pages before; a page of another order, which
//! would need an index that each plan pays for.

use std::fmt;

use async_trait::async_trait;
use uuid::Uuid;

use super::{ItemView, Result};
use crate::{
    code::Code,
    ids::{BatchId, ItemSeq, RunId, SourceKey},
    item::ItemState,
};

/// Records that are looked at for the names of properties.
pub const LOOKED_AT: i64 = 1_000;

/// Which users of a run: all of what is given must hold. The default means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserFilter {
    /// In one of these states; all when empty.
    pub states: Vec<ItemState>,
    /// With one of these codes; all when empty.
    pub codes: Vec<Code>,
    /// With one of these keys; all when empty.
    pub keys: Vec<SourceKey>,
    /// From one of these files or tables; all when empty.
    pub places: Vec<String>,
    /// On these lines of their file or table.
    pub lines: Lines,
    /// In one of these batches.
    pub batches: BatchIds,
    /// With these properties.
    pub properties: Vec<Property>,
}

impl UserFilter {
    /// All users with one of these codes; all users without any.
    pub fn with_codes(codes: &[Code]) -> Self {
        UserFilter { codes: codes.to_vec(), ..UserFilter::default() }
    }

    /// Whether it looks at nothing but states, so that tallies answer how many there are.
    pub fn is_of_states(&self) -> bool {
        *self == UserFilter { states: self.states.clone(), ..UserFilter::default() }
    }

    /// Whether it looks at nothing but codes.
    pub fn is_of_codes(&self) -> bool {
        *self == UserFilter::with_codes(&self.codes)
    }
}

/// As a person writes it, for the audit. Of properties the names alone: a value may be personal.
impl fmt::Display for UserFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let UserFilter { states, codes, keys, places, lines, batches, properties } = self;
        let listed = [
            ("state", states.iter().map(|state| state.as_str().to_owned()).collect::<Vec<_>>()),
            ("code", codes.iter().map(ToString::to_string).collect()),
            ("key", keys.iter().map(SourceKey::shown).collect()),
            ("place", places.clone()),
        ];
        let mut terms: Vec<String> = Vec::new();
        for (key, values) in listed.iter().filter(|(_, values)| !values.is_empty()) {
            terms.push(format!("{key}={}", values.join(",")));
        }
        if *lines != Lines::default() {
            terms.push(format!("line={}..{}", lines.first, lines.last));
        }
        if *batches != BatchIds::default() {
            terms.push(format!("batch={batches}"));
        }
        terms.extend(properties.iter().map(|of| format!("app.{}=…", of.name)));
        f.write_str(&terms.join(" "))
    }
}

/// How all their ids begin.
impl fmt::Display for BatchIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.first.to_string(), self.last.to_string());
        let alike = first.chars().zip(last.chars()).take_while(|(one, other)| one == other);
        f.write_str(&alike.map(|(one, _)| one).collect::<String>())
    }
}

/// Lines of a file, records of an array or rows of a table, from 1; both ends are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines {
    /// The first.
    pub first: i64,
    /// The last.
    pub last: i64,
}

impl Default for Lines {
    fn default() -> Self {
        Lines { first: 0, last: i64::MAX }
    }
}

/// Batches by the order of their ids; both ends are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchIds {
    /// The first.
    pub first: BatchId,
    /// The last.
    pub last: BatchId,
}

impl Default for BatchIds {
    fn default() -> Self {
        BatchIds { first: BatchId(Uuid::nil()), last: BatchId(Uuid::max()) }
    }
}

/// What the application knows of a user (`app_metadata` of the record), such as a hospital. A text, a
/// number or yes and no; a list or an object is none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// As the record calls it.
    pub name: String,
    /// One of these.
    pub values: Vec<String>,
}

/// A user in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedUser {
    /// The item.
    pub item: ItemView,
    /// The batch that it is in.
    pub batch: BatchId,
}

/// Questions about the users of a run.
#[async_trait]
pub trait Users: Send + Sync {
    /// Up to `most` users after a position, in source order.
    async fn list_users(
        &self,
        run: RunId,
        filter: &UserFilter,
        after: ItemSeq,
        most: i64,
    ) -> Result<Vec<ListedUser>>;

    /// Number of users that a filter means. May read the whole run.
    async fn count_users(&self, run: RunId, filter: &UserFilter) -> Result<i64>;

    /// Names of the properties that the first [`LOOKED_AT`] records of a run have, in order.
    async fn properties(&self, run: RunId) -> Result<Vec<String>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_says_what_it_looks_at() {
        let states = UserFilter { states: vec![ItemState::Failed], ..UserFilter::default() };
        let codes = UserFilter::with_codes(&[Code::Ghost]);
        let all = UserFilter::default();
        let of = |filter: &UserFilter| (filter.is_of_states(), filter.is_of_codes());
        assert_eq!([of(&states), of(&codes), of(&all)], [(true, false), (false, true), (true, true)]);
        let line = UserFilter { lines: Lines { first: 2, last: 2 }, ..states };
        assert_eq!(of(&line), (false, false));
    }
}
