//! The random numbers that all values are drawn from.
//!
//! SplitMix64, written out: its twelve lines are fixed for ever, whereas a
//! crate's generator may change with a version and would silently change every
//! digest. It must not generate secrets; the API keys here give access to nothing.

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// What a stream of numbers is for, so that two tables never share one.
#[derive(Clone, Copy)]
pub(crate) enum Stream {
    Layout = 1,
    Wards = 2,
    Users = 3,
}

/// A stream of numbers that belongs to one row.
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// The stream of one row. Distinct ids get distinct states, because every
    /// step is reversible; so the first number of each user's stream is unique.
    pub(crate) fn of_row(seed: u64, stream: Stream, id: u64) -> Self {
        let base = mix(seed ^ mix(stream as u64));
        Self { state: mix(base ^ id.wrapping_mul(GOLDEN)) }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// A number from 0 up to but not including `end`. The bias of the remainder
    /// is below one in a billion for the small ranges used here.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_published_generator() {
        // First outputs of the reference SplitMix64 for state 1234567.
        let mut random = Random { state: 1_234_567 };
        let drawn = [random.next(), random.next(), random.next()];
        assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }
}
