//! JSON: one document that is, or holds, an array of users. Streamed: only the
//! present element is in memory, never the array.
//!
//! Lines of a document have no meaning, so origins count the elements. A syntax
//! error ends the reading: after it, it is unknown where the next user begins.

use std::{io::Read, sync::Arc};

use ferry_domain::{Code, ports::SourceError};
use struson::{
    reader::{
        JsonReader, JsonStreamReader, JsonSyntaxError, LinePosition, ReaderError, ReaderSettings,
        SyntaxErrorKind, TransferError, ValueType,
    },
    writer::{JsonStreamWriter, JsonWriter},
};

use crate::{
    error::{refuse, refuse_at},
    found::Found,
    mapping::Mapping,
    names,
    reader::{Input, Pick, RawReader},
    rules::Raw,
    scan::Log,
};

/// Property that holds the array where the mapping names none.
const USUAL_PLACE: &str = "users";

pub(crate) struct JsonFile<R: Read> {
    /// `None` after the end.
    document: Option<JsonStreamReader<Input<R>>>,
    /// Properties that lead to the array: an object is open around it for each.
    path: Vec<String>,
    log: Arc<Log>,
    shown: String,
    pick: Pick,
    record: u64,
    buffer: Vec<u8>,
}

impl<R: Read> JsonFile<R> {
    pub(crate) fn open(
        input: Input<R>,
        log: &Arc<Log>,
        shown: &str,
        mapping: &Mapping,
    ) -> Result<Self, SourceError> {
        let settings =
            ReaderSettings { track_path: false, restrict_number_values: false, ..ReaderSettings::default() };
        let mut document = JsonStreamReader::new_custom(input, settings);
        let path = find_array(&mut document, mapping.users_at.as_deref(), shown)?;
        document.begin_array().map_err(|e| broken(shown, &e))?;
        Ok(JsonFile {
            document: Some(document),
            path,
            log: Arc::clone(log),
            shown: shown.to_owned(),
            pick: Pick::new(mapping),
            record: 0,
            buffer: Vec::new(),
        })
    }

    /// Reads the rest after the array: an incomplete document is refused.
    fn finish(&mut self) -> Result<(), SourceError> {
        let Some(mut document) = self.document.take() else { return Ok(()) };
        let mut rest = || {
            document.end_array()?;
            for name in self.path.iter().rev() {
                while document.has_next()? {
                    if document.next_name()? == name {
                        return Ok(Some(document.current_position(false)));
                    }
                    document.skip_value()?;
                }
                document.end_object()?;
            }
            Ok(None)
        };
        if let Some(at) = rest().map_err(|e| broken(&self.shown, &e))? {
            return Err(two_ways(&self.shown, &self.path.join("."), at.line_pos));
        }
        document.consume_trailing_whitespace().map_err(|e| broken(&self.shown, &e))
    }

    fn element(&mut self) -> Result<Option<Raw>, SourceError> {
        let Some(document) = &mut self.document else { return Ok(None) };
        let failed = |e: ReaderError| broken(&self.shown, &e);
        self.log.record_begins();
        if !document.has_next().map_err(failed)? {
            self.log.no_record();
            return Ok(None);
        }
        if document.peek().map_err(failed)? != ValueType::Object {
            document.skip_value().map_err(failed)?;
            return Ok(Some(Err(Code::RecordInvalid)));
        }
        // Copied out and parsed again, so that what can't be a value for us
        // (a number out of range) costs this record only.
        self.buffer.clear();
        let mut copy = JsonStreamWriter::new(&mut self.buffer);
        document.transfer_to(&mut copy).map_err(|e| match e {
            TransferError::ReaderError(e) => failed(e),
            TransferError::WriterError(_) => {
                refuse(&self.shown, "a record can't be copied", "Report this as a fault of Ferry")
            }
        })?;
        let copied = copy.finish_document().is_ok();
        let text = str::from_utf8(&self.buffer).ok().filter(|_| copied);
        Ok(Some(text.map_or(Err(Code::RecordInvalid), |text| self.pick.parse(text))))
    }
}

impl<R: Read + Send> RawReader for JsonFile<R> {
    fn next(&mut self) -> Result<Option<(u64, Raw)>, SourceError> {
        match self.element()? {
            Some(raw) => {
                self.record += 1;
                Ok(Some((self.record, raw)))
            }
            None => self.finish().map(|()| None),
        }
    }

    fn found(&self) -> &Found {
        self.pick.found()
    }
}

/// Goes to the array of users and returns the properties that lead there.
fn find_array<R: Read>(
    document: &mut JsonStreamReader<Input<R>>,
    users_at: Option<&str>,
    shown: &str,
) -> Result<Vec<String>, SourceError> {
    match (document.peek().map_err(|e| broken(shown, &e))?, users_at) {
        (ValueType::Array, None) => Ok(Vec::new()),
        (ValueType::Array, Some(path)) => {
            let what = format!("the file is an array and has no property {path:?}");
            Err(at_users(refuse(shown, what, "Remove users_at from the mapping")))
        }
        (ValueType::Object, path) => {
            let mut names = Outline::default();
            let path = path.unwrap_or(USUAL_PLACE);
            match descend(document, path, 1, &mut names).map_err(|e| broken(shown, &e))? {
                Way::Leads(mut path) => {
                    path.reverse();
                    Ok(path)
                }
                Way::Splits(at) => Err(two_ways(shown, path, at)),
                Way::Ends => Err(at_users(refuse(
                    shown,
                    format!("there is no array at the property {path:?}"),
                    format!(
                        "Set users_at to the property that holds the users: {}; or pass --format ndjson if each line is a record",
                        names.listed()
                    ),
                ))),
            }
        }
        _ => Err(refuse(
            shown,
            "the file holds neither an array nor an object",
            "Export the users as a JSON array",
        )),
    }
}

/// Which of the two holds the users would be a guess.
fn two_ways(shown: &str, users_at: &str, at: Option<LinePosition>) -> SourceError {
    let what = format!("the property {users_at:?}, which leads to the users, occurs twice");
    let error = refuse(shown, what, "Leave one, or give the other another name");
    SourceError { line: at.map(|at| at.line + 1), ..error }
}

fn at_users(error: SourceError) -> SourceError {
    SourceError { field: Some("users_at".to_owned()), ..error }
}

/// The properties of a document that holds no array where it was looked for.
#[derive(Default)]
struct Outline(Vec<(String, ValueType)>);

impl Outline {
    fn add(&mut self, name: String, kind: ValueType) {
        if self.0.len() < 100 && self.0.iter().all(|(seen, _)| *seen != name) {
            self.0.push((name, kind));
        }
    }

    /// An object of users by address, login or id has values of one kind, and its names are values.
    fn listed(&self) -> String {
        let is_document = self.0.iter().any(|(_, kind)| *kind == ValueType::Array)
            && (self.0.len() == 1 || self.0.iter().any(|(_, kind)| *kind != ValueType::Array));
        names::listed(self.0.iter().map(|(name, _)| name.as_str()), is_document)
    }
}

/// Where a path through objects leads.
enum Way {
    /// To an array, by these properties, the last one first.
    Leads(Vec<String>),
    /// Two ways: a property on it occurs twice, the second time here.
    Splits(Option<LinePosition>),
    /// Nowhere. The object was read to its end.
    Ends,
}

/// Follows a path through objects, up to the first array that it leads to.
fn descend<R: Read>(
    document: &mut JsonStreamReader<Input<R>>,
    path: &str,
    depth: u32,
    names: &mut Outline,
) -> Result<Way, ReaderError> {
    document.begin_object()?;
    let mut on_the_way = Vec::new();
    while document.has_next()? {
        let name = document.next_name_owned()?;
        let at = document.current_position(false).line_pos;
        let kind = document.peek()?;
        let rest = path.strip_prefix(&name).filter(|rest| rest.is_empty() || rest.starts_with('.'));
        if rest.is_some() {
            if on_the_way.contains(&name) {
                return Ok(Way::Splits(at));
            }
            on_the_way.push(name.clone());
        }
        if depth == 1 {
            names.add(name.clone(), kind);
        }
        match rest {
            Some("") if kind == ValueType::Array => return Ok(Way::Leads(vec![name])),
            Some(rest) if kind == ValueType::Object && !rest.is_empty() => {
                match descend(document, &rest[1..], depth + 1, names)? {
                    Way::Leads(mut path) => {
                        path.push(name);
                        return Ok(Way::Leads(path));
                    }
                    splits @ Way::Splits(_) => return Ok(splits),
                    Way::Ends => {}
                }
            }
            _ => document.skip_value()?,
        }
    }
    document.end_object()?;
    Ok(Way::Ends)
}

/// The reader's own texts may quote values; ours don't.
fn broken(shown: &str, error: &ReaderError) -> SourceError {
    let remedy = "Correct the file, or export it again";
    let (what, location) = match error {
        ReaderError::SyntaxError(JsonSyntaxError { kind: SyntaxErrorKind::IncompleteDocument, location }) => {
            ("the file ends in the middle of the JSON document", Some(location))
        }
        ReaderError::SyntaxError(JsonSyntaxError { kind: SyntaxErrorKind::TrailingData, location }) => {
            ("there is more text after the end of the JSON document", Some(location))
        }
        ReaderError::SyntaxError(syntax) => ("this is not JSON", Some(&syntax.location)),
        ReaderError::IoError { error, location } if error.kind() == std::io::ErrorKind::InvalidData => {
            let line = location.line_pos.map(|at| at.line + 1);
            return SourceError {
                line,
                ..refuse(shown, "INVALID_UTF8: the file is not UTF-8", "Save it as UTF-8")
            };
        }
        ReaderError::IoError { error, location } if error.kind() == std::io::ErrorKind::FileTooLarge => {
            ("a record is longer than 1 MiB", Some(location))
        }
        ReaderError::IoError { error, .. } => return crate::reader::unreadable(shown, error),
        ReaderError::MaxNestingDepthExceeded { location, .. } => {
            ("values are nested too deep", Some(location))
        }
        ReaderError::UnexpectedValueType { location, .. }
        | ReaderError::UnexpectedStructure { location, .. }
        | ReaderError::UnsupportedNumberValue { location, .. } => {
            ("this can't be read as users", Some(location))
        }
        _ => ("this can't be read as users", None), // a later version of the library may have more reasons
    };
    match location.and_then(|at| at.line_pos) {
        Some(at) => refuse_at(shown, at.line + 1, what, remedy),
        None => refuse(shown, what, remedy),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::{self, BufReader};

    use serde_json::Value;

    use super::*;
    use crate::{
        mapping::EmailVerified,
        scan::{AHEAD, Scan},
    };

    const HOW_MANY: u32 = 100_000;

    /// A large document that comes into being as it is read.
    struct Large {
        next: u32,
        pending: Vec<u8>,
    }

    impl Read for Large {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.pending.is_empty() && self.next <= HOW_MANY {
                let n = self.next;
                self.pending = match n {
                    0 => b"{\"made\": {\"by\": [1, 2]}, \"users\": [{}".to_vec(),
                    HOW_MANY => b"], \"more\": null}".to_vec(),
                    n => format!(",\n{{\"id\": {n}, \"email\": \"user{n}@example.com\"}}").into_bytes(),
                };
                self.next += 1;
            }
            let count = self.pending.len().min(buffer.len());
            buffer[..count].copy_from_slice(&self.pending[..count]);
            self.pending.drain(..count);
            Ok(count)
        }
    }

    #[test]
    fn a_large_array_is_never_held_nor_read_ahead() {
        let mut mapping = Mapping { email_verified: EmailVerified::Never, ..Mapping::default() };
        mapping.columns.key = Some("id".into());
        mapping.columns.email = Some("email".into());
        let (scan, log) = Scan::new(Large { next: 0, pending: Vec::new() });
        let mut file =
            JsonFile::open(BufReader::with_capacity(AHEAD, scan), &log, "users.json", &mapping).unwrap();
        for _ in 0..100 {
            assert!(file.next().unwrap().is_some());
        }
        assert!(log.read() < 200_000, "100 users took {} bytes", log.read());
        let mut count = 100;
        let mut last = None;
        while let Some((line, raw)) = file.next().unwrap() {
            count += 1;
            last = Some((line, raw.unwrap()[0].clone()));
        }
        assert_eq!(count, HOW_MANY);
        assert_eq!(last, Some((u64::from(HOW_MANY), Value::from(HOW_MANY - 1))));
    }
}
