//! What a scenario came to: one JSON line in the file that `FERRY_CHAOS_RESULTS` names.

use std::{fs::File, io::Write, time::Duration};

use serde_json::json;

/// What a story tells at its end.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// From the fault until work goes on.
    pub recovery: Option<Duration>,
    /// For people, in a few words.
    pub note: String,
}

impl Told {
    pub fn note(note: impl Into<String>) -> Told {
        Told { recovery: None, note: note.into() }
    }

    pub fn recovered(after: Duration, note: impl Into<String>) -> Told {
        Told { recovery: Some(after), note: note.into() }
    }
}

/// How a scenario ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Passed,
    Failed,
    Skipped,
}

/// What is counted over the users of a scenario.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub users: i64,
    /// Rows with neither an id nor a reason.
    pub lost: i64,
    /// Users that are at the simulator more than once.
    pub doubled: i64,
    /// `POST /users` beyond one for each user that needed one.
    pub repeated_requests: i64,
}

pub fn record(number: u32, name: &str, seed: u64, ending: Ending, counts: Counts, told: &Told) {
    let line = json!({
        "number": number,
        "name": name,
        "seed": seed,
        "passed": ending == Ending::Passed,
        "skipped": ending == Ending::Skipped,
        "users": counts.users,
        "lost": counts.lost,
        "doubled": counts.doubled,
        "repeated_requests": counts.repeated_requests,
        "recovery_ms": told.recovery.map(|after| u64::try_from(after.as_millis()).unwrap()),
        "note": told.note,
    });
    println!("{line}");
    if let Some(path) = std::env::var_os("FERRY_CHAOS_RESULTS") {
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        writeln!(file, "{line}").unwrap();
    }
}

/// Says visibly that a scenario did not take place.
pub fn skip(number: u32, name: &str, why: &str) {
    println!("skipped: scenario {number}, {name}: {why}");
    record(number, name, 0, Ending::Skipped, Counts::default(), &Told::note(why));
}
