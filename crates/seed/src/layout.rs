//! Which user is which case, without a list.
//!
//! All ids are put on a circle and numbered by walking it in equal strides near
//! the golden section, so that neighbouring numbers lie far apart. The first
//! numbers are the planted users, a fixed share per case; the others are plain.
//! The stride has no common factor with the number of users, so the walk meets
//! every id once and can be run backwards: both directions cost one
//! multiplication. A shuffled list would do the same with memory for each user.

use crate::case::Case;
use crate::random::{Random, Stream};

/// The fewest users that leave room for every planted case among plain ones.
pub const MIN_USERS: u64 = 40;
/// The most users: far above any test, far below where ids would overflow.
pub const MAX_USERS: u64 = 100_000_000;

/// Cases that take one share each; a pair of colliding rows takes two.
const SINGLE: [Case; 9] = [
    Case::NoEmail,
    Case::InvalidEmail,
    Case::OverlongName,
    Case::Unicode,
    Case::Retired,
    Case::Blocked,
    Case::ExistsVerified,
    Case::ExistsUnverified,
    Case::TwoHospitals,
];

/// The planted users of each case are at most this many …
const MOST_PER_CASE: u64 = 25;
/// … and otherwise one in this many.
const ONE_IN: u64 = 200;

/// A user's case, and which of that case's users it is (from 0).
pub(crate) struct Place {
    pub(crate) case: Case,
    pub(crate) index: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Layout {
    users: u64,
    per_case: u64,
    stride: u64,
    back: u64,
    offset: u64,
}

impl Layout {
    pub(crate) fn new(users: u64, seed: u64) -> Self {
        let mut random = Random::of_row(seed, Stream::Layout, 0);
        let offset = random.below(users);
        // 0.60 to 0.64 of the circle: around the golden section, moved by the seed.
        let mut stride = users * (600 + random.below(40)) / 1000;
        let back = loop {
            match inverse(stride, users) {
                Some(back) => break back,
                None => stride += 1,
            }
        };
        Self { users, per_case: (users / ONE_IN).clamp(1, MOST_PER_CASE), stride, back, offset }
    }

    /// The number of users of this case.
    pub(crate) fn count(&self, case: Case) -> u64 {
        match case {
            Case::Plain => self.users - self.planted(),
            _ => self.per_case,
        }
    }

    /// The case of a user; ids outside of 1 to the number of users are plain.
    pub(crate) fn place(&self, id: u64) -> Place {
        if id == 0 || id > self.users {
            return Place { case: Case::Plain, index: 0 };
        }
        let number = self.number_of(id);
        let pairs = 2 * self.per_case;
        if number < pairs {
            let case =
                if id < self.id_at(number ^ 1) { Case::CaseCollisionFirst } else { Case::CaseCollisionLater };
            return Place { case, index: number / 2 };
        }
        let rest = number - pairs;
        match SINGLE.get((rest / self.per_case) as usize) {
            Some(&case) => Place { case, index: rest % self.per_case },
            None => Place { case: Case::Plain, index: rest - SINGLE.len() as u64 * self.per_case },
        }
    }

    /// The lower id of the colliding pair with this index.
    pub(crate) fn first_of_pair(&self, index: u64) -> u64 {
        self.id_at(2 * index).min(self.id_at(2 * index + 1))
    }

    /// The ids of all planted users, a few hundred at most, in no order.
    pub(crate) fn planted_ids(&self) -> impl Iterator<Item = u64> + '_ {
        (0..self.planted()).map(|number| self.id_at(number))
    }

    fn planted(&self) -> u64 {
        self.per_case * (2 + SINGLE.len() as u64)
    }

    fn id_at(&self, number: u64) -> u64 {
        let steps = u128::from(number) * u128::from(self.stride) + u128::from(self.offset);
        (steps % u128::from(self.users)) as u64 + 1
    }

    fn number_of(&self, id: u64) -> u64 {
        let from_start = id - 1 + self.users - self.offset;
        (u128::from(from_start) * u128::from(self.back) % u128::from(self.users)) as u64
    }
}

/// The number that undoes multiplication by `value` on a circle of `modulus`,
/// if there is one (extended Euclid).
fn inverse(value: u64, modulus: u64) -> Option<u64> {
    let (mut r, mut next_r) = (i128::from(modulus), i128::from(value));
    let (mut t, mut next_t) = (0_i128, 1_i128);
    while next_r != 0 {
        let quotient = r / next_r;
        (r, next_r) = (next_r, r - quotient * next_r);
        (t, next_t) = (next_t, t - quotient * next_t);
    }
    (r == 1).then(|| t.rem_euclid(i128::from(modulus)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walk_meets_every_id_once_and_runs_backwards() {
        for users in [40, 41, 97, 210, 1_000, 4_096] {
            let layout = Layout::new(users, 7);
            let mut met: Vec<u64> = (0..users).map(|number| layout.id_at(number)).collect();
            for (number, &id) in met.iter().enumerate() {
                assert_eq!(layout.number_of(id), number as u64);
            }
            met.sort_unstable();
            assert_eq!(met, (1..=users).collect::<Vec<_>>());
        }
    }

    #[test]
    fn each_case_has_its_share() {
        for users in [40, 999, 7_000] {
            let layout = Layout::new(users, 3);
            for case in Case::ALL {
                let found = (1..=users).filter(|&id| layout.place(id).case == case).count();
                assert_eq!(found as u64, layout.count(case), "{} of {users}", case.name());
            }
        }
    }

    #[test]
    fn planted_users_are_spread_over_the_ids() {
        let layout = Layout::new(10_000, 7);
        let tenths: std::collections::BTreeSet<u64> =
            layout.planted_ids().map(|id| (id - 1) / 1_000).collect();
        assert_eq!(tenths.len(), 10);
    }
}
