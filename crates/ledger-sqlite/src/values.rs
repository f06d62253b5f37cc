//! Values as SQLite's statements take them.

use std::time::Duration;

use uuid::Uuid;

/// A duration as the store counts it: microseconds, at most 292,000 years.
pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}

/// A stored span of time; a clock that was set back makes none negative.
pub(crate) fn span(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// A number of rows.
pub(crate) fn count(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// An id as JSON carries it into SQL, where `unhex` takes it back.
pub(crate) fn hex(id: Uuid) -> String {
    id.simple().to_string()
}

/// Lists as JSON, for `json_each`; for `jsonb_each` where what is listed is read by its parts: the other
/// makes text of a row anew for each `value ->>`, which was half of what a new item cost.
pub(crate) fn json<T: serde::Serialize + ?Sized>(rows: &T) -> String {
    // Can't fail: all that is passed has string keys and plain values only.
    serde_json::to_string(rows).unwrap_or_default()
}
