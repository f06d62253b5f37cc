//! CSV: a header row, then a row per user. Comma, semicolon, tab or bar.
//!
//! What may be before the header is in `header`. Comment lines are allowed there only: after
//! it, a `#` may be the beginning of a value. Line numbers are those an editor shows, also with
//! blank lines, quoted line breaks and any line ends; the parser's own count is
//! not used because it does not see blank lines.
//!
//! A row with more cells than the header is broken, and so is one too short to
//! have all mapped cells. One that lacks only cells that are not mapped is read:
//! well-known exports omit empty cells at the end in some rows or in all
//! (seen in samples of Clerk and Supabase). A row of nothing but separators, as spreadsheets leave
//! behind where cells were once filled, is no record, as a blank line is none.
//!
//! A cell like `="0012"` is how an export tells a spreadsheet to keep a text: the text is its value.
//!
//! A quote that is never closed would swallow the rest of the file into one
//! cell without an error. So a mark is appended to the file: if the parser does
//! not return it as a row of its own, a quote is open.

use std::{
    borrow::Cow,
    collections::VecDeque,
    io::{self, Chain, Cursor, Read},
    sync::Arc,
};

use csv::{ByteRecord, Reader, ReaderBuilder};
use ferry_domain::{Code, ports::SourceError};
use serde_json::Value;

use crate::{
    error::refuse_at,
    found::Found,
    header::{Cell, Header, first_line},
    mapping::Mapping,
    reader::{Input, RawReader, unreadable},
    rules::Raw,
    scan::Log,
    values::dig,
    words::says_nothing,
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
    found: Found,
    record: ByteRecord,
}

impl<R: Read> CsvReader<R> {
    pub(crate) fn open(
        mut input: Input<R>,
        log: &Arc<Log>,
        shown: &str,
        mapping: &Mapping,
    ) -> Result<Self, SourceError> {
        let first = first_line(&mut input, mapping.comment.as_deref().unwrap_or("#"), shown)?;
        let line = first.line;
        let text = Lines::new(Cursor::new(first.bytes).chain(input), line).chain(END);
        let mut rows = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(first.delimiter)
            .from_reader(text);
        let mut record = ByteRecord::new();
        rows.read_byte_record(&mut record).map_err(|e| broken(shown, line, &e))?;
        if record.as_slice().ends_with(END_SWALLOWED) {
            return Err(open_quote(shown, line));
        }
        let fields = mapping.fields();
        let header = Header::read(&record, &fields, shown, line)?;
        let cells = fields.iter().map(|field| header.cell(field)).collect::<Result<_, _>>()?;
        Ok(CsvReader {
            rows,
            log: Arc::clone(log),
            shown: shown.to_owned(),
            width: header.width(),
            cells,
            found: Found::new(mapping, header.into_columns()),
            record,
        })
    }

    fn values(&mut self) -> Raw {
        if self.record.len() > self.width {
            return Err(Code::RecordInvalid);
        }
        let CsvReader { cells, record, found, .. } = self;
        let mut read = |(at, cell): (usize, &Option<Cell>)| {
            let Some(cell) = cell else {
                found.note(at, false);
                return Ok(Value::Null);
            };
            let bytes = record.get(cell.at).ok_or(Code::RecordInvalid)?;
            let text = str::from_utf8(bytes).map_err(|_| Code::InvalidUtf8)?;
            let value = Value::String(as_text(text).into_owned());
            if cell.path.is_empty() {
                found.note(at, true);
                return Ok(value);
            }
            let inner = dig(&value, &cell.path);
            if !says_nothing(&value)
                && let Some(there) = inner.is_there()
            {
                found.note(at, there);
            }
            Ok(inner.into_value())
        };
        cells.iter().enumerate().map(&mut read).collect()
    }

    fn is_blank(&self) -> bool {
        self.record.iter().all(|cell| str::from_utf8(cell).is_ok_and(|text| text.trim().is_empty()))
    }
}

/// The text of a cell: of `="0012"`, it is 0012.
fn as_text(cell: &str) -> Cow<'_, str> {
    match cell.trim().strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"')) {
        Some(text) => Cow::Owned(text.replace("\"\"", "\"")),
        None => Cow::Borrowed(cell),
    }
}

impl<R: Read + Send> RawReader for CsvReader<R> {
    fn next(&mut self) -> Result<Option<(u64, Raw)>, SourceError> {
        loop {
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
            if !self.is_blank() {
                return Ok(Some((line, self.values())));
            }
        }
    }

    fn found(&self) -> &Found {
        &self.found
    }
}

fn broken(shown: &str, line: u64, error: &csv::Error) -> SourceError {
    match error.kind() {
        csv::ErrorKind::Io(e) if e.kind() == io::ErrorKind::FileTooLarge => {
            let what = "this row is longer than 1 MiB: a quote in it is never closed, or a cell is too long";
            refuse_at(
                shown,
                line,
                what,
                "Close the quote, double one that belongs to a value, or shorten the cell",
            )
        }
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
