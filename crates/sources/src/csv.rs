//! CSV: a header row, then a row per user. Comma, semicolon, tab or bar.
//!
//! Comment lines are allowed before the header only: after it, a `#` may be the
//! beginning of a value. Line numbers are those an editor shows, also with
//! blank lines, quoted line breaks and any line ends; the parser's own count is
//! not used because it does not see blank lines.
//!
//! A row with more cells than the header is broken, and so is one too short to
//! have all mapped cells. One that lacks only cells that are not mapped is read:
//! well-known exports omit empty cells at the end in some rows or in all
//! (seen in samples of Clerk and Supabase).
//!
//! A quote that is never closed would swallow the rest of the file into one
//! cell without an error. So a mark is appended to the file: if the parser does
//! not return it as a row of its own, a quote is open.

use std::{
    collections::VecDeque,
    io::{self, BufRead, Chain, Cursor, Read},
    sync::Arc,
};

use csv::{ByteRecord, Reader, ReaderBuilder};
use ferry_domain::{Code, ports::SourceError};
use serde_json::Value;

use crate::{
    email,
    error::{no_column, refuse, refuse_at},
    fields::Field,
    mapping::Mapping,
    reader::{Input, RawReader, unreadable},
    rules::Raw,
    scan::{Log, RECORD},
    values::dig,
};

const END: &[u8] = b"\n\0end of the file\0\n";
/// The mark as a row of its own, and as the end of a cell that swallowed it.
const END_ROW: &[u8] = b"\0end of the file\0";
const END_SWALLOWED: &[u8] = b"\0end of the file\0\n";

type Text<R> = Chain<Lines<Chain<Cursor<Vec<u8>>, Input<R>>>, &'static [u8]>;

pub(crate) struct CsvReader<R: Read> {
    rows: Reader<Text<R>>,
    log: Arc<Log>,
    shown: String,
    /// Cells of the header; a row has no more.
    width: usize,
    cells: Vec<Option<Cell>>,
    record: ByteRecord,
}

/// Position of a wanted field: a cell, and a path into the JSON that it may hold.
struct Cell {
    at: usize,
    path: String,
}

impl<R: Read> CsvReader<R> {
    pub(crate) fn open(
        mut input: Input<R>,
        log: &Arc<Log>,
        shown: &str,
        mapping: &Mapping,
    ) -> Result<Self, SourceError> {
        let comment = mapping.comment.as_deref().unwrap_or("#");
        let (first, line) = header_line(&mut input, comment, shown)?;
        let delimiter = sniff(&first);
        let text = Lines::new(Cursor::new(first).chain(input), line).chain(END);
        let mut rows =
            ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(text);
        let mut record = ByteRecord::new();
        rows.read_byte_record(&mut record).map_err(|e| broken(shown, line, &e))?;
        if record.as_slice().ends_with(END_SWALLOWED) {
            return Err(open_quote(shown, line));
        }
        let header = header(&record, shown, line)?;
        let cells = mapping.fields().iter().map(|f| find(f, &header, shown)).collect::<Result<_, _>>()?;
        Ok(CsvReader {
            rows,
            log: Arc::clone(log),
            shown: shown.to_owned(),
            width: header.len(),
            cells,
            record,
        })
    }

    fn values(&self) -> Raw {
        if self.record.len() > self.width {
            return Err(Code::RecordInvalid);
        }
        let read = |cell: &Option<Cell>| {
            let Some(cell) = cell else { return Ok(Value::Null) };
            let bytes = self.record.get(cell.at).ok_or(Code::RecordInvalid)?;
            let text = str::from_utf8(bytes).map_err(|_| Code::InvalidUtf8)?;
            let value = Value::String(text.to_owned());
            Ok(if cell.path.is_empty() { value } else { dig(&value, &cell.path).unwrap_or(Value::Null) })
        };
        self.cells.iter().map(read).collect()
    }
}

impl<R: Read + Send> RawReader for CsvReader<R> {
    fn next(&mut self) -> Result<Option<(u64, Raw)>, SourceError> {
        self.log.record_begins();
        let begin = self.rows.position().byte();
        let more = self.rows.read_byte_record(&mut self.record);
        let line = self.rows.get_mut().get_mut().0.line_of(begin);
        if !more.map_err(|e| broken(&self.shown, line, &e))? || self.record.as_slice() == END_ROW {
            return Ok(None);
        }
        if self.record.as_slice().ends_with(END_SWALLOWED) {
            return Err(open_quote(&self.shown, line));
        }
        Ok(Some((line, self.values())))
    }
}

/// Skips blank and comment lines; the first other line and its number.
fn header_line<R: Read>(
    input: &mut Input<R>,
    comment: &str,
    shown: &str,
) -> Result<(Vec<u8>, u64), SourceError> {
    for line in 1.. {
        let mut bytes = Vec::new();
        let read =
            input.by_ref().take(RECORD).read_until(b'\n', &mut bytes).map_err(|e| unreadable(shown, &e))?;
        if read == 0 {
            break;
        }
        let text = bytes.trim_ascii();
        let is_comment = !comment.is_empty() && text.starts_with(comment.as_bytes());
        if !text.is_empty() && !is_comment {
            return Ok((bytes, line));
        }
    }
    Err(refuse(shown, "the file has no header row", "Let the first row name the columns"))
}

/// The separator that is most frequent in the header, outside of quotes.
fn sniff(line: &[u8]) -> u8 {
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0), (b'|', 0)];
    let mut quoted = false;
    for byte in line.iter().take_while(|byte| **byte != b'\r' && **byte != b'\n') {
        quoted ^= *byte == b'"';
        for (separator, count) in &mut counts {
            *count += u32::from(!quoted && byte == separator);
        }
    }
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
    counts.iter().find(|(_, count)| *count == most).map_or(b',', |(separator, _)| *separator)
}

/// The names of the columns. A row of values must not end up in an error text,
/// so it is distinguished from a header before any name is shown.
fn header(record: &ByteRecord, shown: &str, line: u64) -> Result<Vec<String>, SourceError> {
    let mut names: Vec<String> = Vec::new();
    for cell in record {
        let name = str::from_utf8(cell).map_err(|_| {
            refuse_at(shown, line, "INVALID_UTF8: the header row is not UTF-8", "Save the file as UTF-8")
        })?;
        names.push(name.trim().to_owned());
    }
    if names.iter().any(|name| email::check(name).is_ok() || name.starts_with("$2")) {
        let what = "the header row is missing: the first row holds values";
        return Err(refuse_at(shown, line, what, "Put a row with the names of the columns before it"));
    }
    let mut twice: Vec<String> = Vec::new();
    for (at, name) in names.iter().enumerate() {
        if !name.is_empty() && names[..at].contains(name) && !twice.contains(name) {
            twice.push(name.clone());
        }
    }
    if twice.is_empty() {
        return Ok(names);
    }
    let what = format!("these columns occur twice in the header: {}", twice.join(", "));
    Err(refuse_at(shown, line, what, "Give each column a name of its own"))
}

fn find(field: &Field, header: &[String], shown: &str) -> Result<Option<Cell>, SourceError> {
    let literal = field.names.iter().find_map(|name| {
        Some(Cell { at: header.iter().position(|column| column == name)?, path: String::new() })
    });
    let into_json = || {
        let name = &field.names[0];
        name.match_indices('.').find_map(|(dot, _)| {
            let at = header.iter().position(|column| *column == name[..dot])?;
            Some(Cell { at, path: name[dot + 1..].to_owned() })
        })
    };
    match literal.or_else(into_json) {
        None if !field.optional => Err(no_column(shown, &field.target.name(), &field.names[0], header)),
        found => Ok(found),
    }
}

fn broken(shown: &str, line: u64, error: &csv::Error) -> SourceError {
    match error.kind() {
        csv::ErrorKind::Io(e) if e.kind() == io::ErrorKind::FileTooLarge => open_quote(shown, line),
        csv::ErrorKind::Io(e) => unreadable(shown, e),
        _ => refuse_at(shown, line, "this row can't be read", "Correct the row"),
    }
}

fn open_quote(shown: &str, line: u64) -> SourceError {
    let what = "a quote that begins in this row is never closed";
    refuse_at(shown, line, what, "Close it, or double a quote that belongs to a value")
}

/// Remembers where lines end among the bytes the parser has taken but not yet
/// turned into rows.
struct Lines<R> {
    inner: R,
    /// Bytes passed on so far.
    offset: u64,
    last: u8,
    /// Offset of each CR and LF, and whether a new line begins after it.
    ends: VecDeque<(u64, bool)>,
    line: u64,
}

impl<R: Read> Lines<R> {
    fn new(inner: R, line: u64) -> Self {
        Lines { inner, offset: 0, last: 0, ends: VecDeque::new(), line }
    }

    /// The line of the first visible byte at or after `offset`. Offsets must not go back.
    fn line_of(&mut self, mut offset: u64) -> u64 {
        while let Some(&(end, begins_line)) = self.ends.front()
            && end <= offset
        {
            if end == offset {
                offset += 1;
            }
            self.line += u64::from(begins_line);
            self.ends.pop_front();
        }
        self.line
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        for &byte in &buffer[..count] {
            if byte == b'\n' || byte == b'\r' {
                // The LF of a CR LF begins no second line.
                self.ends.push_back((self.offset, byte == b'\r' || self.last != b'\r'));
            }
            self.last = byte;
            self.offset += 1;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_separator_is_told_from_the_header() {
        assert_eq!(sniff(b"id,email,name\n1;2;3;4;5"), b',');
        assert_eq!(sniff(b"id;email;\"last,first,middle\""), b';');
        assert_eq!(sniff(b"id\temail"), b'\t');
        assert_eq!(sniff(b"id|email"), b'|');
        assert_eq!(sniff(b"email"), b',');
    }

    #[test]
    fn lines_are_counted_as_an_editor_does() {
        let text: &[u8] = b"a\nb\r\n\r\n\nc\rd";
        let mut lines = Lines::new(text, 1);
        lines.read_to_end(&mut Vec::new()).expect("a slice can be read");
        let of = |byte: u8| text.iter().position(|b| *b == byte).expect("it is there") as u64;
        assert_eq!(lines.line_of(of(b'a')), 1);
        assert_eq!(lines.line_of(of(b'b')), 2);
        assert_eq!(lines.line_of(of(b'b') + 1), 5, "blank lines are skipped to the next row");
        assert_eq!(lines.line_of(of(b'd')), 6);
    }
}
