//! What all file formats share: opening, chunks, digest, and the pick of fields.
//!
//! Parsers are plain blocking code. Each chunk is read in one blocking call that
//! takes the parser along and brings it back, so there is no thread to end and
//! nothing is read ahead of the chunk asked for, but one buffer.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
    sync::Arc,
};

use async_trait::async_trait;
use ferry_domain::{
    Origin, SourceIdentity,
    ports::{Candidate, Source, SourceError},
};
use serde_json::Value;

use crate::{
    csv::CsvReader,
    error::{listed, refuse},
    fields::{Field, Target},
    json::JsonFile,
    location::Format,
    mapping::Mapping,
    ndjson::NdjsonReader,
    rules::{Raw, Rules},
    scan::{AHEAD, Log, Scan},
    values::dig,
};

/// A parser of one format: records in file order, each with its line (or its
/// number, where the format has no lines).
pub(crate) trait RawReader: Send {
    fn next(&mut self) -> Result<Option<(u64, Raw)>, SourceError>;
}

/// What parsers read from.
pub(crate) type Input<R> = BufReader<Scan<R>>;

pub(crate) struct FileSource {
    identity: SourceIdentity,
    /// Path as given, for errors.
    shown: String,
    /// File name, for origins.
    name: String,
    rules: Arc<Rules>,
    log: Arc<Log>,
    /// Away while a chunk is read.
    reader: Option<Box<dyn RawReader>>,
    records: u64,
    ended: bool,
}

impl FileSource {
    pub(crate) async fn open(path: &Path, format: Format, mapping: &Mapping) -> Result<Self, SourceError> {
        let (path, mapping) = (path.to_owned(), mapping.clone());
        let shown = path.display().to_string();
        let task = tokio::task::spawn_blocking(move || Self::open_blocking(&path, format, &mapping));
        task.await.unwrap_or_else(|_| Err(interrupted(&shown)))
    }

    fn open_blocking(path: &Path, format: Format, mapping: &Mapping) -> Result<Self, SourceError> {
        let shown = path.display().to_string();
        let broken = |e: std::io::Error| {
            refuse(
                &shown,
                format!("the file can't be opened ({})", e.kind()),
                "Check the path, and that this user may read it",
            )
        };
        let canonical = path.canonicalize().map_err(broken)?;
        if canonical.is_dir() {
            return Err(refuse(&shown, "this is a folder", "Name the file in it"));
        }
        let (scan, log) = Scan::new(File::open(&canonical).map_err(broken)?);
        let mut input = BufReader::with_capacity(AHEAD, scan);
        begin(&mut input, &shown)?;
        let reader: Box<dyn RawReader> = match format {
            Format::Csv => Box::new(CsvReader::open(input, &log, &shown, mapping)?),
            Format::Json => Box::new(JsonFile::open(input, &log, &shown, mapping)?),
            Format::Ndjson => Box::new(NdjsonReader::open(input, &log, &shown, mapping)?),
        };
        let name =
            canonical.file_name().map_or_else(|| shown.clone(), |name| name.to_string_lossy().into_owned());
        Ok(FileSource {
            identity: SourceIdentity { kind: format.to_string(), location: canonical.display().to_string() },
            shown,
            name,
            rules: Arc::new(Rules::new(mapping)),
            log,
            reader: Some(reader),
            records: 0,
            ended: false,
        })
    }
}

#[async_trait]
impl Source for FileSource {
    fn identity(&self) -> SourceIdentity {
        self.identity.clone()
    }

    async fn next_chunk(&mut self, most: usize) -> Result<Vec<Candidate>, SourceError> {
        if self.ended {
            return Ok(Vec::new());
        }
        let Some(mut reader) = self.reader.take() else { return Err(interrupted(&self.shown)) };
        let (rules, name) = (Arc::clone(&self.rules), self.name.clone());
        let task = tokio::task::spawn_blocking(move || {
            let chunk = read_chunk(reader.as_mut(), &rules, &name, most);
            (reader, chunk)
        });
        let Ok((reader, chunk)) = task.await else { return Err(interrupted(&self.shown)) };
        let chunk = chunk?; // after an error there is nothing to go on with
        self.reader = Some(reader);
        self.records += chunk.len() as u64;
        self.ended = chunk.len() < most;
        if self.ended && self.records == 0 {
            return Err(refuse(&self.shown, "the file holds no record", "Check that it is the right file"));
        }
        Ok(chunk)
    }

    fn digest(&self) -> Option<String> {
        self.ended.then(|| self.log.digest())
    }
}

fn read_chunk(
    reader: &mut dyn RawReader,
    rules: &Rules,
    name: &str,
    most: usize,
) -> Result<Vec<Candidate>, SourceError> {
    let mut chunk = Vec::new();
    while chunk.len() < most {
        let Some((line, raw)) = reader.next()? else { break };
        chunk.push(rules.judge(Origin { place: name.to_owned(), line }, raw));
    }
    Ok(chunk)
}

/// Skips a byte order mark and refuses what is no text at all.
fn begin<R: Read>(input: &mut Input<R>, shown: &str) -> Result<(), SourceError> {
    let start = input.fill_buf().map_err(|e| unreadable(shown, &e))?;
    let (bom, known) = match start {
        [] => return Err(refuse(shown, "the file is empty", "Check that it is the right file")),
        [0xEF, 0xBB, 0xBF, ..] => (3, None),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => (0, Some(("the file is UTF-16", "Save it as UTF-8"))),
        [0x1F, 0x8B, ..] | [b'P', b'K', 3, 4, ..] => (0, Some(("the file is compressed", "Unpack it first"))),
        _ => (0, None),
    };
    input.consume(bom);
    known.map_or(Ok(()), |(what, remedy)| Err(refuse(shown, what, remedy)))
}

/// The file broke while it was read.
pub(crate) fn unreadable(shown: &str, error: &std::io::Error) -> SourceError {
    refuse(
        shown,
        format!("the file can't be read to its end ({})", error.kind()),
        "Check the disk and plan again",
    )
}

fn interrupted(shown: &str) -> SourceError {
    refuse(shown, "reading was interrupted", "Open the source again")
}

/// Takes the wanted fields out of JSON records. A property may be missing in
/// any record, that is the nature of JSON; but a key that no record has is a
/// mapping that does not fit.
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

    /// To be asked at the end of the file.
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
