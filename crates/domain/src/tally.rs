//! Sums that must add up (promise P1).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::item::ItemState;

/// Number of items in each state. Kept on the batch row; a run's is the sum of its batches'.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tally {
    /// All items, counted on their own when they were planned.
    pub source: i64,
    /// Users that Ferry made at Auth0.
    pub created: i64,
    /// Users whose account existed and was taken over.
    pub adopted: i64,
    /// Users left out by a rule that is no fault.
    pub skipped: i64,
    /// Users about whom two sides disagree; a person decides.
    pub conflict: i64,
    /// Users that can't be moved as they are.
    pub failed: i64,
    /// Users given up by a person before they were sent.
    pub cancelled: i64,
    /// Users not decided yet.
    pub pending: i64,
}

impl Tally {
    /// Number of items in a state.
    pub fn count(&self, state: ItemState) -> i64 {
        match state {
            ItemState::Pending => self.pending,
            ItemState::Created => self.created,
            ItemState::Adopted => self.adopted,
            ItemState::Skipped => self.skipped,
            ItemState::Conflict => self.conflict,
            ItemState::Failed => self.failed,
            ItemState::Cancelled => self.cancelled,
        }
    }

    fn slot(&mut self, state: ItemState) -> &mut i64 {
        match state {
            ItemState::Pending => &mut self.pending,
            ItemState::Created => &mut self.created,
            ItemState::Adopted => &mut self.adopted,
            ItemState::Skipped => &mut self.skipped,
            ItemState::Conflict => &mut self.conflict,
            ItemState::Failed => &mut self.failed,
            ItemState::Cancelled => &mut self.cancelled,
        }
    }

    /// Counts one more planned item in a state.
    pub fn add(&mut self, state: ItemState) {
        self.source += 1;
        *self.slot(state) += 1;
    }

    /// Takes one item out of `from` and into `to`.
    pub fn shift(&mut self, from: ItemState, to: ItemState) {
        *self.slot(from) -= 1;
        *self.slot(to) += 1;
    }

    /// The sum of two tallies.
    pub fn plus(mut self, other: &Tally) -> Tally {
        self.source += other.source;
        for state in ItemState::ALL {
            *self.slot(state) += other.count(state);
        }
        self
    }

    /// Whether every item is in exactly one state.
    pub fn adds_up(&self) -> bool {
        self.source == ItemState::ALL.iter().map(|&state| self.count(state)).sum::<i64>()
    }

    /// Items that have an end.
    pub fn finished(&self) -> i64 {
        self.source - self.pending
    }

    /// Whether a person has to look at some of them.
    pub fn needs_a_person(&self) -> bool {
        self.failed + self.conflict > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifting_keeps_the_sum_and_a_lost_item_shows() {
        let mut tally = Tally::default();
        for _ in 0..3 {
            tally.add(ItemState::Pending);
        }
        tally.shift(ItemState::Pending, ItemState::Created);
        tally.shift(ItemState::Pending, ItemState::Failed);
        assert!(tally.adds_up() && tally.needs_a_person());
        assert_eq!((tally.source, tally.created, tally.failed, tally.pending), (3, 1, 1, 1));
        tally.pending -= 1;
        assert!(!tally.adds_up(), "a user that is in no state must be noticed");
    }
}
