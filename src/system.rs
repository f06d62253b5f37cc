//! The real clock, real chance and the environment: the one place that reads them.

use ferry_domain::ports::{Clock, Random};
use rand::{TryRng, rngs::SysRng};
use time::OffsetDateTime;

/// The system's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that is passed in")]
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }
}

/// The operating system's generator.
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        // Without chance no id and no password can be made: there is nothing to go on with.
        SysRng.try_fill_bytes(bytes).expect("the operating system gives random bytes");
    }
}

/// A variable of the environment; an empty one counts as absent. See [`crate::servers`].
#[expect(clippy::disallowed_methods, reason = "this is the place that reads the environment")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Name of this machine as its files have it.
pub fn host() -> String {
    std::fs::read_to_string("/etc/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}
