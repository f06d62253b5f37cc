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
    rules::{Raw, Unread},
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
        let reads = |path: &[String]| self.field_at(path).is_some();
        let parsed = strict::parse(&digits::keep(text), reads);
        let Some(Parsed { value: record @ Value::Object(_), twice }) = parsed else {
            return Err(Code::RecordInvalid.into());
        };
        let values = self.take(&record);
        match twice {
            Some(path) => Err(Unread { code: Code::PropertyTwice, field: self.field_at(&path) }),
            None => Ok(values),
        }
    }

    /// What a property is mapped to; `None` where nobody reads it.
    fn field_at(&self, path: &[String]) -> Option<String> {
        let dotted = path.join(".");
        let is_at = |name: &String| strict::touches(name, &dotted);
        let mut mapped = self.found.fields().filter(|field| field.names.iter().any(is_at));
        mapped.next().map(|field| field.target.name())
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
