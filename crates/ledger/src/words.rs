//! Words of columns turned into the domain's types. A word that means nothing is `Corrupt`,
//! naming table and row, never the value: it may be a user's data.

use std::time::Duration;

use ferry_domain::{
    BatchState, Code, ItemState, JobKind, JobState, Origin, RunSpec, RunState, WriteBackTarget,
    code::FoundBy,
    ports::{LedgerError, QueueState},
    threshold::StopAfter,
};
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Result;

/// A row that makes no sense. Tables are named without schema or prefix.
pub fn corrupt(table: &'static str, row: impl ToString, why: impl Into<String>) -> LedgerError {
    LedgerError::Corrupt { table, row: row.to_string(), why: why.into() }
}

/// A time as a store keeps it.
pub trait StoredTime {
    /// The time of a row of this table.
    fn moment(self, table: &'static str, row: &dyn ToString) -> Result<OffsetDateTime>;
}

impl StoredTime for OffsetDateTime {
    fn moment(self, _: &'static str, _: &dyn ToString) -> Result<OffsetDateTime> {
        Ok(self)
    }
}

/// Microseconds since 1970.
impl StoredTime for i64 {
    fn moment(self, table: &'static str, row: &dyn ToString) -> Result<OffsetDateTime> {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self) * 1_000)
            .map_err(|_| corrupt(table, row.to_string(), "a time is out of range"))
    }
}

/// A span of time in seconds; a clock that was set back makes none negative.
pub fn span(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default()
}

/// JSON of a column. serde's own words quote the value; the place of the fault is enough.
pub fn json<T: DeserializeOwned>(
    table: &'static str,
    row: impl ToString,
    column: &str,
    text: &str,
) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        let (kind, at) = (error.classify(), error.column());
        corrupt(table, row, format!("{column} can't be read ({kind:?} error at character {at})"))
    })
}

/// `runs.spec`.
pub fn run_spec(run: Uuid, text: &str) -> Result<RunSpec> {
    json("runs", run, "spec", text)
}

/// `write_back` of `runs.spec`, where there is one.
pub fn write_back(run: Uuid, text: Option<&str>) -> Result<Option<WriteBackTarget>> {
    text.map_or(Ok(None), |text| json("runs", run, "spec.write_back", text))
}

/// `stop_after` of `runs.spec`.
pub fn stop_after(run: Uuid, text: &str) -> Result<StopAfter> {
    json("runs", run, "spec.stop_after", text)
}

/// `runs.state`.
pub fn run_state(run: Uuid, word: &str) -> Result<RunState> {
    RunState::parse(word).ok_or_else(|| corrupt("runs", run, "unknown state"))
}

/// `batches.state`.
pub fn batch_state(row: impl ToString, word: &str) -> Result<BatchState> {
    BatchState::parse(word).ok_or_else(|| corrupt("batches", row, "unknown state"))
}

/// `items.state`.
pub fn item_state(row: impl ToString, word: &str) -> Result<ItemState> {
    ItemState::parse(word).ok_or_else(|| corrupt("items", row, "unknown state"))
}

/// `code` of any table.
pub fn code(table: &'static str, row: impl ToString, word: &str) -> Result<Code> {
    word.parse().map_err(|_| corrupt(table, row, "unknown code"))
}

/// `items.code` of an item that has to have one.
pub fn settled_code(row: impl ToString, state: ItemState, word: Option<&str>) -> Result<Code> {
    match word {
        Some(word) => code("items", row, word),
        None => Err(corrupt("items", row, format!("a settled item is {} without a code", state.as_str()))),
    }
}

/// Codes of users whose account is this run's own work: another try finds it by the chosen id. All
/// others that failed and have an id got it from an earlier run, and keep it.
pub fn refused_by_application() -> Vec<Code> {
    Code::ALL.iter().copied().filter(|code| code.found_by() == FoundBy::Application).collect()
}

/// `place` and `line` of `items`.
pub fn origin(row: impl ToString, place: String, line: i64) -> Result<Origin> {
    let line = u64::try_from(line).map_err(|_| corrupt("items", row, "negative line"))?;
    Ok(Origin { place, line })
}

/// `jobs.kind`.
pub fn job_kind(row: impl ToString, word: &str) -> Result<JobKind> {
    JobKind::parse(word).ok_or_else(|| corrupt("jobs", row, "unknown kind"))
}

/// Where a job stands that is not done.
pub fn queue_state(row: impl ToString, word: &str) -> Result<QueueState> {
    QueueState::parse(word).ok_or_else(|| corrupt("jobs", row, "unknown state"))
}

/// `jobs.state`.
pub fn job_state(row: impl ToString, word: &str) -> Result<JobState> {
    JobState::parse(word).ok_or_else(|| corrupt("jobs", row, "unknown state"))
}

/// Codes as the statements take them.
pub fn codes(codes: &[Code]) -> Vec<&'static str> {
    codes.iter().copied().map(Code::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_read_is_named_without_its_value() {
        let run = Uuid::nil();
        let why = run_spec(run, r#"{"tenant": "secret@example.com"}"#).unwrap_err().to_string();
        assert!(why.contains("runs") && why.contains("spec") && !why.contains("secret"), "{why}");
        let why = run_state(run, "secret@example.com").unwrap_err().to_string();
        assert!(why.contains("unknown state") && !why.contains("secret"), "{why}");
        assert!(write_back(run, None).unwrap().is_none());
        assert!(origin(7, "a.csv".into(), -1).is_err());
    }

    #[test]
    fn stored_times_are_the_same_in_both_forms() {
        let text = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        assert_eq!(1_800_000_000_000_000_i64.moment("runs", &"1").unwrap(), text);
        assert_eq!(text.moment("runs", &"1").unwrap(), text);
        assert!(i64::MAX.moment("runs", &"1").is_err());
    }

    #[test]
    fn a_span_is_never_negative() {
        assert_eq!(span(-3.0), Duration::ZERO);
        assert_eq!(span(1.5), Duration::from_millis(1_500));
    }
}
