//! Errors for a source that can't be read.

use ferry_domain::ports::SourceError;

/// An error about a place as a whole.
pub(crate) fn refuse(place: &str, what: impl Into<String>, remedy: impl Into<String>) -> SourceError {
    SourceError { place: place.to_owned(), line: None, field: None, what: what.into(), remedy: remedy.into() }
}

/// An error at a line.
pub(crate) fn refuse_at(
    place: &str,
    line: u64,
    what: impl Into<String>,
    remedy: impl Into<String>,
) -> SourceError {
    SourceError { line: Some(line), ..refuse(place, what, remedy) }
}

/// A mapped column that is not there, with those that are.
pub(crate) fn no_column(place: &str, field: &str, column: &str, there: &str) -> SourceError {
    SourceError {
        field: Some(field.to_owned()),
        ..refuse(place, format!("there is no column {column:?}"), format!("Map {field} to one of: {there}"))
    }
}

/// Names of a catalogue, at most 40 of them. Names in a file may be values: see `names::listed`.
pub(crate) fn listed(names: &[String]) -> String {
    const MOST: usize = 40;
    match names.len() {
        0 => "(there are none)".to_owned(),
        n if n > MOST => format!("{} and {} more", names[..MOST].join(", "), n - MOST),
        _ => names.join(", "),
    }
}
