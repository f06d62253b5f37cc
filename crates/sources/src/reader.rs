//! What parsers of all file formats have in common: the trait, their input, the error of a
//! broken file, and the wanted fields of JSON records.

use std::io::BufReader;

use ferry_domain::ports::SourceError;
use serde_json::Value;

use crate::{
    error::{listed, refuse},
    fields::{Field, Target},
    mapping::Mapping,
    rules::Raw,
    scan::Scan,
    values::dig,
};

/// A parser of one format: records in file order, each with its line (or its
/// number, where the format has no lines).
pub(crate) trait RawReader: Send {
    fn next(&mut self) -> Result<Option<(u64, Raw)>, SourceError>;
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
/// any record, as is usual in JSON; but if no record has the key, the mapping is wrong.
pub(crate) struct Pick {
    fields: Vec<Field>,
    saw_key: bool,
    names: Vec<String>,
}

impl Pick {
    pub(crate) fn new(mapping: &Mapping) -> Self {
        let fields = mapping.fields();
        let saw_key = !fields.iter().any(|field| field.target == Target::Key);
        Pick { fields, saw_key, names: Vec::new() }
    }

    pub(crate) fn take(&mut self, record: &Value) -> Vec<Value> {
        if self.names.is_empty() {
            self.names = record.as_object().map(|o| o.keys().cloned().collect()).unwrap_or_default();
        }
        let mut values = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            let found = field.names.iter().find_map(|name| dig(record, name));
            self.saw_key |= field.target == Target::Key && found.is_some();
            values.push(found.unwrap_or(Value::Null));
        }
        values
    }

    /// To be called at the end of the file.
    pub(crate) fn check(&self, shown: &str) -> Result<(), SourceError> {
        if self.saw_key || self.names.is_empty() {
            return Ok(());
        }
        let key =
            self.fields.iter().find(|field| field.target == Target::Key).map_or("", |field| &field.names[0]);
        Err(SourceError {
            field: Some("key".to_owned()),
            ..refuse(
                shown,
                format!("no record has the property {key:?}"),
                format!("Map key to one of: {}", listed(&self.names)),
            )
        })
    }
}
