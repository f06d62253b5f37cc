//! The result of a scenario: one JSON line in the file that `FERRY_CHAOS_RESULTS` names.

use std::{collections::BTreeMap, fmt::Write as _, fs::File, io::Write, time::Duration};

use serde_json::{Value, json};

use crate::watch::Recovery;

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

    /// After a death: until everything was claimed again.
    pub fn taken_over(recovery: Recovery, note: impl Into<String>) -> Told {
        let back = recovery.taken_back.as_millis();
        Told {
            recovery: Some(recovery.claimed),
            note: format!("{}; taken back after {back} ms", note.into()),
        }
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

/// Not a test: `tests/chaos/run` has the table made by it, from `FERRY_CHAOS_RESULTS`
/// into `FERRY_CHAOS_TABLE`.
#[test]
#[ignore = "tests/chaos/run calls it"]
fn the_table() {
    let (Some(results), Some(table)) =
        (std::env::var_os("FERRY_CHAOS_RESULTS"), std::env::var_os("FERRY_CHAOS_TABLE"))
    else {
        return println!("skipped: the table is made by tests/chaos/run");
    };
    let mut scenarios: BTreeMap<i64, Vec<Value>> = BTreeMap::new();
    for line in std::fs::read_to_string(results).unwrap().lines() {
        let run: Value = serde_json::from_str(line).unwrap();
        scenarios.entry(run["number"].as_i64().unwrap()).or_default().push(run);
    }
    std::fs::write(table, markdown(&scenarios)).unwrap();
}

fn markdown(scenarios: &BTreeMap<i64, Vec<Value>>) -> String {
    let mut text = "| # | scenario | runs | passed | users | lost | doubled | repeated requests | \
        recovery ms p50 / p95 / max | note |\n|---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for (number, runs) in scenarios {
        let sum = |key: &str| runs.iter().filter_map(|run| run[key].as_i64()).sum::<i64>();
        let times = |key: &str| runs.iter().filter(|run| run[key] == true).count();
        let passed = match times("skipped") {
            skipped if skipped == runs.len() => "skipped".to_owned(),
            _ => times("passed").to_string(),
        };
        let mut took: Vec<i64> = runs.iter().filter_map(|run| run["recovery_ms"].as_i64()).collect();
        took.sort_unstable();
        let at = |percent: usize| took[(took.len() * percent).div_ceil(100).max(1) - 1];
        let recovery = match took.len() {
            0 => "–".to_owned(),
            _ => format!("{} / {} / {}", at(50), at(95), at(100)),
        };
        let (last, word) = (runs.last().unwrap(), |value: &Value| value.as_str().unwrap().replace('|', "/"));
        let (name, note) = (word(&last["name"]), word(&last["note"]));
        let [users, lost, doubled, repeated] = ["users", "lost", "doubled", "repeated_requests"].map(sum);
        let many = runs.len();
        writeln!(
            text,
            "| {number} | {name} | {many} | {passed} | {users} | {lost} | {doubled} | {repeated} | {recovery} | {note} |"
        )
        .unwrap();
    }
    text
}

#[test]
fn percentiles_are_of_the_measured_values() {
    let run = |took: i64| {
        json!({"number": 1, "name": "kill", "passed": true, "skipped": false, "users": 10, "lost": 0,
            "doubled": 0, "repeated_requests": 2, "recovery_ms": took, "note": "a|b"})
    };
    let table = markdown(&BTreeMap::from([(1, (1..=20).map(|n| run(n * 10)).collect())]));
    assert!(
        table.ends_with("| 1 | kill | 20 | 20 | 200 | 0 | 0 | 40 | 100 / 190 / 200 | a/b |\n"),
        "{table}"
    );
}
