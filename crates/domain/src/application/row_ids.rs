//! What the rows of the application's table carry of the ids of users who have an account.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the table has of the id of one user, who has an account at Auth0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowId {
    /// The row carries it.
    Carried,
    /// The row carries none.
    Lacking,
    /// The row carries another one.
    Another,
    /// No row has the user's key.
    NoRow,
    /// The database user sees no row with this key, and policies decide which ones it sees.
    Unseen,
    /// Several rows have the user's key.
    Several,
}

impl RowId {
    /// By what was found of a key: how many rows, whether they carry none, whether they carry the
    /// user's own, and whether policies may hide rows.
    pub fn of(rows: i64, lacking: bool, own: bool, hides: bool) -> Self {
        match rows {
            0 if hides => RowId::Unseen,
            0 => RowId::NoRow,
            1 if own => RowId::Carried,
            1 if lacking => RowId::Lacking,
            1 => RowId::Another,
            _ => RowId::Several,
        }
    }
}

/// The same of many users, as numbers. Field names are part of reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RowIds {
    /// Rows that carry the id of their user.
    pub carried: i64,
    /// Rows without an id.
    pub lacking: i64,
    /// Rows with another id.
    pub another_id: i64,
    /// Users whose key no row has.
    pub no_row: i64,
    /// Users without a row that can be seen, where policies may hide it.
    pub unseen: i64,
    /// Users whose key several rows have.
    pub several_rows: i64,
}

impl RowIds {
    /// Counts one more.
    pub fn add(&mut self, found: RowId) {
        *match found {
            RowId::Carried => &mut self.carried,
            RowId::Lacking => &mut self.lacking,
            RowId::Another => &mut self.another_id,
            RowId::NoRow => &mut self.no_row,
            RowId::Unseen => &mut self.unseen,
            RowId::Several => &mut self.several_rows,
        } += 1;
    }

    /// All users.
    pub fn users(&self) -> i64 {
        self.carried + self.lacking + self.other()
    }

    /// Users whose id is nowhere, or in doubt: a person has to act. A row that is gone is none,
    /// for applications remove people.
    pub fn lost(&self) -> i64 {
        self.lacking + self.another_id + self.several_rows
    }

    /// Those to whose row nothing can be written.
    pub fn other(&self) -> i64 {
        self.another_id + self.no_row + self.unseen + self.several_rows
    }

    /// What is not as a run leaves it, in words: `2 rows lack their id, 1 user has no row`; empty
    /// where every row carries its id.
    pub fn told(&self) -> String {
        let one = |n: i64, one: &str, many: &str| match n {
            0 => None,
            1 => Some(format!("1 {one}")),
            n => Some(format!("{n} {many}")),
        };
        let unseen = "no row that this database user sees (row-level security)";
        [
            one(self.lacking, "row lacks its id", "rows lack their id"),
            one(self.another_id, "row carries another Auth0 id", "rows carry another Auth0 id"),
            one(self.no_row, "user has no row any more", "users have no row any more"),
            one(self.unseen, &format!("user has {unseen}"), &format!("users have {unseen}")),
            one(self.several_rows, "key is carried by several rows", "keys are carried by several rows"),
        ]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_the_one_answer_that_is_its_own() {
        let own = RowId::of(1, false, true, false);
        assert_eq!((own, RowId::of(1, true, false, false)), (RowId::Carried, RowId::Lacking));
        assert_eq!(RowId::of(1, false, false, true), RowId::Another, "what is seen is not hidden");
        assert_eq!(RowId::of(2, true, true, false), RowId::Several);
        assert_eq!(
            (RowId::of(0, false, false, false), RowId::of(0, false, false, true)),
            (RowId::NoRow, RowId::Unseen)
        );
        let mut rows = RowIds::default();
        assert_eq!(rows.told(), "");
        for found in [RowId::Carried, RowId::Lacking, RowId::Lacking, RowId::NoRow, RowId::Several] {
            rows.add(found);
        }
        assert_eq!((rows.users(), rows.other(), rows.lost()), (5, 2, 3));
        assert_eq!(
            rows.told(),
            "2 rows lack their id, 1 user has no row any more, 1 key is carried by several rows"
        );
    }
}
