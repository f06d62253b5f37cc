//! What parsers of all file formats have in common: the trait, their input, the error of a
//! broken file, and the wanted fields of JSON records.

use std::io::BufReader;

use ferry_domain::{Code, ports::SourceError};
use serde_json::Value;

use crate::{
    digits,
    error::refuse,
    fields::Field,
    found::Found,
    mapping::Mapping,
    rules::Raw,
    scan::Scan,
    strict::{self, Parsed},
    values::{Dug, dig},
};

/// A parser of one format: records in file order, each with its line (or its
/// number, where the format has no lines).
pub(crate) trait RawReader: Send {
    fn next(&mut self) -> Result<Option<(u64, Raw)>, SourceError>;

    /// What was found of the wanted fields so far.
    fn found(&self) -> &Found;
}

/// What parsers read from.
pub(crate) type Input<R> = BufReader<Scan<R>>;

/// The file broke while it was read.
pub(crate) fn unreadable(shown: &str, error: &std::io::Error) -> SourceError {
    refuse(
        shown,
        format!("the file can't be read to its end ({})", error.kind()),
        "Check the disk and plan again",
    )
}

/// Whether a field is read of what a path leads to.
fn is_read(field: &Field, path: &[String]) -> bool {
    let dotted = path.join(".");
    field.names.iter().any(|name| strict::touches(name, &dotted))
}

/// Takes the wanted fields out of JSON records. A property may be missing in
/// any record, as is usual in JSON.
pub(crate) struct Pick {
    found: Found,
}

impl Pick {
    pub(crate) fn new(mapping: &Mapping) -> Self {
        Pick { found: Found::new(mapping, Vec::new()) }
    }

    /// The wanted values of a record that is still text.
    pub(crate) fn parse(&mut self, text: &str) -> Raw {
        let reads = |path: &[String]| self.found.fields().any(|field| is_read(field, path));
        let parsed = strict::parse(&digits::keep(text), reads);
        let Some(Parsed { value: record @ Value::Object(_), twice }) = parsed else {
            return Err(Code::RecordInvalid);
        };
        let mut values = self.take(&record);
        for (field, value) in self.found.fields().zip(&mut values) {
            if twice.iter().any(|path| is_read(field, path)) {
                *value = Dug::Twice.into_value();
            }
        }
        Ok(values)
    }

    fn take(&mut self, record: &Value) -> Vec<Value> {
        self.found.sample(record);
        let of = |field: &Field| Dug::first(field.names.iter().map(|name| dig(record, name)));
        let values: Vec<Dug> = self.found.fields().map(of).collect();
        let noted = values.into_iter().enumerate().map(|(at, dug)| {
            if let Some(there) = dug.is_there() {
                self.found.note(at, there);
            }
            dug.into_value()
        });
        noted.collect()
    }

    pub(crate) fn found(&self) -> &Found {
        &self.found
    }
}
