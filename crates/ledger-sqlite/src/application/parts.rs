//! Which rows are written together, where a trigger ends the whole transaction.
//!
//! `RAISE(ROLLBACK)` and constraints of that kind undo everything, savepoints too, and what comes
//! after would be written without a fence. So the transaction is made again with the group in
//! smaller parts, until the row is alone: it is refused, and left out from then on.

use std::ops::Range;

/// A group of rows in parts. Begins as one.
#[derive(Debug, Default)]
pub(crate) struct Parts(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub rows: Range<usize>,
    /// What SQLite said when this one row ended the transaction.
    pub refused: Option<String>,
}

impl Parts {
    /// The parts, of a group with this many rows.
    pub(super) fn of(&mut self, rows: usize) -> Vec<Part> {
        if self.0.is_empty() && rows > 0 {
            self.0.push(Part { rows: 0..rows, refused: None });
        }
        self.0.clone()
    }

    /// Whether no row has ended the transaction yet.
    pub(super) fn is_whole(&self) -> bool {
        self.0.is_empty()
    }

    /// One of these rows ended the transaction: they are parts of their own from now on. The first time they
    /// are the whole group.
    pub(super) fn divide(&mut self, ended: &Range<usize>, said: &str) {
        if self.0.is_empty() {
            self.0.push(Part { rows: ended.clone(), refused: None });
        }
        let Some(at) = self.0.iter().position(|part| part.rows.contains(&ended.start)) else { return };
        let whole = self.0[at].rows.clone();
        let middle = ended.start + ended.len() / 2;
        let alone = ended.len() == 1;
        let cuts = [whole.start, ended.start, middle, ended.end, whole.end];
        let parts = cuts.windows(2).map(|cut| cut[0]..cut[1]).filter(|rows| !rows.is_empty());
        let parts = parts.map(|rows| {
            let refused = (alone && rows == *ended).then(|| said.to_owned());
            Part { rows, refused }
        });
        let parts: Vec<Part> = parts.collect();
        self.0.splice(at..=at, parts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_ends_the_transaction_is_found_and_no_other_is_left_out() {
        let mut parts = Parts::default();
        let (rows, harsh) = (20, [6, 7, 19]);
        let mut tries = 0;
        loop {
            tries += 1;
            assert!(tries < 40, "{parts:?}");
            let ends =
                |part: &&Part| part.refused.is_none() && harsh.iter().any(|row| part.rows.contains(row));
            match parts.of(rows).iter().find(ends) {
                Some(part) => parts.divide(&part.rows, "SQLite code 1811"),
                None => break,
            }
        }
        let found = parts.of(rows);
        let refused: Vec<_> =
            found.iter().filter(|part| part.refused.is_some()).map(|part| part.rows.start).collect();
        assert_eq!(refused, harsh);
        let all: Vec<usize> = found.iter().flat_map(|part| part.rows.clone()).collect();
        assert_eq!(all, (0..rows).collect::<Vec<_>>(), "every row is in one part");
    }
}
