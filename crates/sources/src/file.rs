//! A file as a source: opening, chunks and digest, the same for all formats.
//!
//! Parsers are blocking code. Each chunk is read in one blocking call that owns the
//! parser and returns it, so there is no thread to end, and only one buffer is read
//! ahead of the chunk asked for.

use std::{
    fs::{File, FileType},
    io::{BufRead, BufReader, ErrorKind, Read},
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use ferry_domain::{
    Origin, SourceIdentity,
    ports::{Candidate, Source, SourceError, SourceWarning},
};
use time::OffsetDateTime;

use crate::{
    csv::CsvReader,
    error::refuse,
    json::JsonFile,
    location::Format,
    mapping::Mapping,
    ndjson::NdjsonReader,
    notes::Notes,
    reader::{Input, RawReader, unreadable},
    rules::Rules,
    scan::{AHEAD, Log, Scan},
};

pub(crate) struct FileSource {
    identity: SourceIdentity,
    /// Path as given, for errors.
    shown: String,
    /// File name, for origins.
    name: String,
    rules: Arc<Rules>,
    log: Arc<Log>,
    /// `None` while a chunk is read, and after an error.
    reader: Option<Box<dyn RawReader>>,
    notes: Notes,
    records: u64,
    ended: bool,
}

impl FileSource {
    pub(crate) async fn open(
        path: &Path,
        format: Format,
        mapping: &Mapping,
        now: OffsetDateTime,
    ) -> Result<Self, SourceError> {
        let (path, mapping) = (path.to_owned(), mapping.clone());
        let shown = path.display().to_string();
        let task = tokio::task::spawn_blocking(move || Self::open_blocking(&path, format, &mapping, now));
        task.await.unwrap_or_else(|_| Err(interrupted(&shown)))
    }

    fn open_blocking(
        path: &Path,
        format: Format,
        mapping: &Mapping,
        now: OffsetDateTime,
    ) -> Result<Self, SourceError> {
        let shown = path.display().to_string();
        let canonical = existing(path)?;
        let (scan, log) = Scan::new(File::open(&canonical).map_err(|e| not_opened(&shown, &e))?);
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
            rules: Arc::new(Rules::new(mapping, false, now)),
            log,
            reader: Some(reader),
            notes: Notes::default(),
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
        let (rules, name, mut notes) =
            (Arc::clone(&self.rules), self.name.clone(), std::mem::take(&mut self.notes));
        let task = tokio::task::spawn_blocking(move || {
            let chunk = read_chunk(reader.as_mut(), &rules, &name, most, &mut notes);
            (reader, notes, chunk)
        });
        let Ok((reader, notes, chunk)) = task.await else { return Err(interrupted(&self.shown)) };
        let chunk = chunk?; // after an error the parser can't continue
        self.notes = notes;
        if chunk.len() < most {
            reader.found().check(&self.shown)?;
        }
        self.reader = Some(reader);
        self.records += chunk.len() as u64;
        self.ended = chunk.len() < most;
        if self.ended && self.records == 0 && self.notes.left_out == 0 {
            return Err(refuse(&self.shown, "the file holds no record", "Check that it is the right file"));
        }
        Ok(chunk)
    }

    fn digest(&self) -> Option<String> {
        self.ended.then(|| self.log.digest())
    }

    fn warnings(&self) -> Vec<SourceWarning> {
        let found = self.reader.as_ref().filter(|_| self.ended).map(|reader| reader.found().warnings());
        found.unwrap_or_default().into_iter().chain(self.notes.warnings()).collect()
    }
}

fn read_chunk(
    reader: &mut dyn RawReader,
    rules: &Rules,
    name: &str,
    most: usize,
    notes: &mut Notes,
) -> Result<Vec<Candidate>, SourceError> {
    let mut chunk = Vec::new();
    while chunk.len() < most {
        let Some((line, raw)) = reader.next()? else { break };
        chunk.extend(rules.judge(Origin { place: name.to_owned(), line }, raw, notes));
    }
    Ok(chunk)
}

/// The whole path of a regular file that exists.
///
/// # Errors
/// There is no such file, it is a folder, or it is a pipe or device: opening a pipe waits for
/// somebody who writes to it, for ever, and a source is read more than once.
pub(crate) fn existing(path: &Path) -> Result<PathBuf, SourceError> {
    let shown = path.display().to_string();
    let kind = path.metadata().map_err(|e| not_opened(&shown, &e))?.file_type();
    if kind.is_dir() {
        return Err(refuse(&shown, "this is a folder", "Name the file in it"));
    }
    if !kind.is_file() {
        let what = format!("this is {}, and no file", special(kind));
        return Err(refuse(
            &shown,
            what,
            "Write its content to a file, and name that: a source is read twice",
        ));
    }
    path.canonicalize().map_err(|e| not_opened(&shown, &e))
}

/// What a path is that is neither file nor folder.
pub fn special(kind: FileType) -> &'static str {
    match kind {
        _ if kind.is_fifo() => "a pipe",
        _ if kind.is_socket() => "a socket",
        _ => "a device",
    }
}

fn not_opened(shown: &str, error: &std::io::Error) -> SourceError {
    match error.kind() {
        ErrorKind::NotFound => refuse(shown, "there is no such file", "Check the path"),
        ErrorKind::PermissionDenied => {
            refuse(shown, "this user may not read the file", "Let this user read it, and open its folder")
        }
        kind => refuse(shown, format!("the file can't be opened ({kind})"), "Check the path"),
    }
}

const UTF16: (&str, &str) = (
    "the file is UTF-16",
    "Save it as UTF-8 (a spreadsheet calls it CSV UTF-8), or: iconv -f UTF-16 -t UTF-8 FILE > NEW",
);

/// Skips a byte order mark and refuses what is no text at all.
fn begin<R: Read>(input: &mut Input<R>, shown: &str) -> Result<(), SourceError> {
    let start = input.fill_buf().map_err(|e| unreadable(shown, &e))?;
    let (bom, known) = match start {
        [] => return Err(refuse(shown, "the file is empty", "Check that it is the right file")),
        [0xEF, 0xBB, 0xBF, ..] => (3, None),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => (0, Some(UTF16)),
        // Without a byte order mark: every second byte of plain letters is 0.
        [1..=0x7F, 0, 1..=0x7F, 0, ..] | [0, 1..=0x7F, 0, 1..=0x7F, ..] => (0, Some(UTF16)),
        [0x1F, 0x8B, ..] | [b'P', b'K', 3, 4, ..] => (0, Some(("the file is compressed", "Unpack it first"))),
        _ => (0, None),
    };
    input.consume(bom);
    known.map_or(Ok(()), |(what, remedy)| Err(refuse(shown, what, remedy)))
}

fn interrupted(shown: &str) -> SourceError {
    refuse(shown, "reading was interrupted", "Open the source again")
}
