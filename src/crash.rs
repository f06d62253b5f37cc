//! Only in builds with the feature `crash-points`: `FERRY_CRASH_AT=NAME[:NTH]` ends the
//! process at a named point, `user:KEY` at a chosen user; `panic:KEY` panics there once, and
//! `block:SECONDS` blocks its threads. `ferry crash-points` lists the points.

use ferry_domain::crash::{POINTS, arm, is_for_users};

use crate::{exit::Exit, system::environment};

/// Arms what the environment names; an exit code where nothing else is to be done.
pub fn prepare() -> Option<Exit> {
    if std::env::args().nth(1).as_deref() == Some("crash-points") {
        for (name, between) in POINTS {
            println!("{name}\t{between}");
        }
        return Some(Exit::Done);
    }
    let wanted = environment("FERRY_CRASH_AT")?;
    let (name, nth) = match wanted.rsplit_once(':') {
        Some((name, nth)) if !is_for_users(&wanted) => (name, nth.parse().ok()?),
        _ => (wanted.as_str(), 1),
    };
    match arm(name, nth) {
        Ok(()) => None,
        Err(error) => {
            eprintln!("ferry: FERRY_CRASH_AT: {error}");
            Some(Exit::Usage)
        }
    }
}
