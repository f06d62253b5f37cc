//! The constants of the shared brake and of foreign use, written once: the script gets
//! them as a header of Lua locals, and the reference in the tests uses the same.
//!
//! Those that both brakes have are in `brake` and `foreign`. What differs is when the
//! brake is applied (see the header of `shared`) and how the rate climbs back.

use std::time::Duration;

use crate::{
    brake::{DOUBLINGS, FLOOR, LOWERED, PAUSE, REGAINED, SOON},
    foreign::{ENOUGH, WINDOW},
    turns::EVERY,
};

/// After a 429 the rate climbs quickly to this share of what it was, then slowly.
pub(super) const NEAR: f64 = 0.98;
/// Share of the plan regained each second while it climbs slowly.
pub(super) const PROBED: f64 = 0.001;
/// How long it climbs slowly.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// 429s within this time count once.
pub(super) const INCIDENT: Duration = Duration::from_secs(1);
/// A process that was not heard of for this long is gone.
pub(super) const MEMBER: Duration = Duration::from_secs(3);
/// After an outage all processes come back within this time.
pub(super) const RETURNED: Duration = Duration::from_secs(2);

/// A process whose callers waited for slots that go first, and which was not heard of for this
/// long, no longer keeps others from reading back.
pub(super) const WAITS: Duration = Duration::from_millis(600);

/// A time as the script counts it.
pub(super) fn micros(time: Duration) -> f64 {
    time.as_micros() as f64
}

/// The constants as Lua locals, for the head of the script.
pub(super) fn as_lua() -> String {
    [
        ("FACTOR_LOWERED", LOWERED),
        ("FACTOR_FLOOR", FLOOR),
        ("REGAINED", REGAINED),
        ("PROBED", PROBED),
        ("NEAR", NEAR),
        ("PATIENCE", PATIENCE.as_secs_f64()),
        ("PAUSE", micros(PAUSE)),
        ("DOUBLINGS", DOUBLINGS.into()),
        ("SOON", micros(SOON)),
        ("INCIDENT", micros(INCIDENT)),
        ("MEMBER", micros(MEMBER)),
        ("WINDOW", micros(WINDOW)),
        ("ENOUGH", ENOUGH.into()),
        ("RETURNED", micros(RETURNED)),
        ("WAITS", micros(WAITS)),
        ("EVERY", EVERY.into()),
    ]
    // Lua reads `{:?}` of a float as the same number.
    .map(|(name, value): (&str, f64)| format!("local {name} = {value:?}\n"))
    .concat()
}

#[cfg(test)]
mod tests {
    #[test]
    fn lua_gets_plain_numbers_and_microseconds() {
        let lua = super::as_lua();
        assert!(lua.starts_with("local FACTOR_LOWERED = 0.8\nlocal FACTOR_FLOOR = 0.05\n"), "{lua}");
        assert!(lua.contains("\nlocal PATIENCE = 20.0\nlocal PAUSE = 250000.0\n"), "{lua}");
        assert!(lua.contains("\nlocal MEMBER = 3000000.0\n"), "{lua}");
    }
}
