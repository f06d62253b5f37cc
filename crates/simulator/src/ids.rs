//! Ids in the forms of Auth0, and the mixing function that all random numbers of the simulator
//! come from.
//!
//! Numbers are drawn by position (seed and a counter), not from a shared generator: the nth draw of
//! a kind is the same whatever other requests do in between, which keeps runs with many concurrent
//! requests repeatable, and there is no lock to wait for.

use std::sync::atomic::{AtomicU64, Ordering};

const ALPHANUMERIC: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A well-spread number for a position: splitmix64.
pub(crate) fn mix(seed: u64, position: u64) -> u64 {
    let mut z = seed.wrapping_add(position.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Source of ids.
pub(crate) struct Ids {
    seed: u64,
    drawn: AtomicU64,
}

impl Ids {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, drawn: AtomicU64::new(0) }
    }

    fn draw(&self) -> u64 {
        mix(self.seed, self.drawn.fetch_add(1, Ordering::Relaxed))
    }

    /// Id of a database user: 24 hex digits, the first eight are the second of creation.
    pub(crate) fn object_id(&self, now_ms: u64) -> String {
        let second = (now_ms / 1000) & 0xffff_ffff;
        format!("{second:08x}{:016x}", self.draw())
    }

    /// Id of a connection: `con_` and 16 letters or digits.
    pub(crate) fn connection_id(&self) -> String {
        let mut id = String::from("con_");
        for _ in 0..2 {
            let mut rest = self.draw();
            for _ in 0..8 {
                let index = usize::try_from(rest % 62).unwrap_or(0);
                id.push(char::from(ALPHANUMERIC[index]));
                rest /= 62;
            }
        }
        id
    }

    /// Id of a request, as in `ot-baggage-auth0-request-id`: 16 hex digits.
    pub(crate) fn request_id(&self) -> String {
        format!("{:016x}", self.draw())
    }
}
