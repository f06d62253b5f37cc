//! The beginning of a CSV file: which separator, and the names of the columns.
//!
//! Blank lines, comments, rows of nothing but separators and the line `sep=;`, which spreadsheets write
//! and read, may be before the header. A file without a header has a row of values there. That row must
//! not get into an error, so names are shown by the rules of `names` only.

use std::io::{BufRead, Read};

use csv::ByteRecord;
use ferry_domain::ports::SourceError;

use crate::{
    email,
    error::{no_column, refuse, refuse_at},
    fields::Field,
    names,
    reader::{Input, unreadable},
    scan::RECORD,
};

/// The first line that is neither blank nor a comment.
pub(crate) struct First {
    pub(crate) bytes: Vec<u8>,
    /// Its number, from 1.
    pub(crate) line: u64,
    /// What separates cells.
    pub(crate) delimiter: u8,
}

/// Skips what may be before the header.
pub(crate) fn first_line<R: Read>(
    input: &mut Input<R>,
    comment: &str,
    shown: &str,
) -> Result<First, SourceError> {
    let mut named = None;
    for line in 1.. {
        let mut bytes = Vec::new();
        let read =
            input.by_ref().take(RECORD).read_until(b'\n', &mut bytes).map_err(|e| unreadable(shown, &e))?;
        if read == 0 {
            break;
        }
        if named.is_none()
            && let Some(separator) = named_separator(&bytes)
        {
            named = Some(separator);
            continue;
        }
        let text = bytes.trim_ascii();
        let is_comment = !comment.is_empty() && text.starts_with(comment.as_bytes());
        let is_blank = text.iter().all(|byte| b",;\t|\" ".contains(byte) || Some(*byte) == named);
        if !is_blank && !is_comment {
            let delimiter = named.unwrap_or_else(|| sniff(&bytes));
            return Ok(First { bytes, line, delimiter });
        }
    }
    Err(refuse(shown, "the file has no header row", "Let the first row name the columns"))
}

/// The separator of a line like `sep=;`, with more separators behind where a program filled it up.
fn named_separator(line: &[u8]) -> Option<u8> {
    let line = line.trim_ascii_start();
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line.strip_prefix(b"\"").unwrap_or(line);
    let (word, rest) = line.split_at_checked(4)?;
    let separator = *rest.first()?;
    let rest_is_empty = rest.iter().all(|byte| *byte == separator || *byte == b'"');
    (word.eq_ignore_ascii_case(b"sep=") && separator.is_ascii() && separator != b'"' && rest_is_empty)
        .then_some(separator)
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

/// The names of the columns.
pub(crate) struct Header {
    columns: Vec<String>,
    /// All of them must be names, so that each may be shown.
    trusted: bool,
    shown: String,
}

/// Position of a wanted field: a cell, and a path into the JSON that it may hold.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) at: usize,
    pub(crate) path: String,
}

impl Header {
    /// Reads the header row.
    ///
    /// # Errors
    /// A row of values; a row without any of the wanted names; two columns with one name.
    pub(crate) fn read(
        record: &ByteRecord,
        fields: &[Field],
        shown: &str,
        line: u64,
    ) -> Result<Header, SourceError> {
        let mut columns: Vec<String> = Vec::new();
        for cell in record {
            let name = str::from_utf8(cell).map_err(|_| {
                refuse_at(shown, line, "INVALID_UTF8: the header row is not UTF-8", "Save the file as UTF-8")
            })?;
            columns.push(name.trim().to_owned());
        }
        if columns.iter().any(|name| email::check(name).is_ok() || name.starts_with("$2")) {
            let what = "the header row is missing: the first row holds values";
            return Err(refuse_at(shown, line, what, "Put a row with the names of the columns before it"));
        }
        let wanted: Vec<&Field> = fields.iter().filter(|field| !field.optional).collect();
        let found: Vec<&str> =
            wanted.iter().filter(|f| find(f, &columns).is_some()).map(|f| f.names[0].as_str()).collect();
        let is_complete = found.len() == wanted.len();
        if !is_complete && !columns.iter().any(|name| names::is_proof(name, &found)) {
            let what = "the first row holds values, or names the columns otherwise than the mapping";
            let remedy = format!(
                "Put a row with the names of the columns before it, or map its names; it has {} columns",
                columns.len()
            );
            return Err(refuse_at(shown, line, what, remedy));
        }
        let trusted = names::are_names(&found, wanted.len());
        let header = Header { columns, trusted, shown: shown.to_owned() };
        header.check_doubled(line)?;
        Ok(header)
    }

    /// Number of columns.
    pub(crate) fn width(&self) -> usize {
        self.columns.len()
    }

    /// The names of all columns.
    pub(crate) fn into_columns(self) -> Vec<String> {
        self.columns
    }

    fn check_doubled(&self, line: u64) -> Result<(), SourceError> {
        let mut twice: Vec<&str> = Vec::new();
        let mut places: Vec<String> = Vec::new();
        for (at, name) in self.columns.iter().enumerate() {
            let first = self.columns.iter().position(|other| other == name).unwrap_or(at); // it finds itself
            if !name.is_empty() && first < at {
                places.push(format!("{} and {}", first + 1, at + 1));
                if !twice.contains(&name.as_str()) {
                    twice.push(name);
                }
            }
        }
        if twice.is_empty() {
            return Ok(());
        }
        let what = if self.trusted {
            format!("these columns occur twice in the header: {}", names::listed(twice, true))
        } else {
            format!("the header names columns alike: {}", places.join(", "))
        };
        Err(refuse_at(&self.shown, line, what, "Give each column a name of its own"))
    }

    /// Where a field is read from; `None` for an optional one that is not there.
    ///
    /// # Errors
    /// A mapped column that is not there, with those that are.
    pub(crate) fn cell(&self, field: &Field) -> Result<Option<Cell>, SourceError> {
        match find(field, &self.columns) {
            None if !field.optional => {
                let there = names::listed(self.columns.iter().map(String::as_str), self.trusted);
                Err(no_column(&self.shown, &field.target.name(), &field.names[0], &there))
            }
            found => Ok(found),
        }
    }
}

fn find(field: &Field, header: &[String]) -> Option<Cell> {
    let literal = field.names.iter().find_map(|name| {
        Some(Cell { at: header.iter().position(|column| column == name)?, path: String::new() })
    });
    literal.or_else(|| {
        let name = &field.names[0];
        name.match_indices('.').find_map(|(dot, _)| {
            let at = header.iter().position(|column| *column == name[..dot])?;
            Some(Cell { at, path: name[dot + 1..].to_owned() })
        })
    })
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
    fn a_spreadsheet_s_own_line_names_the_separator() {
        for (line, separator) in [
            ("sep=;\r\n", b';'),
            ("SEP=,\n", b','),
            ("\"sep=;\"\n", b';'),
            ("sep=\t\n", b'\t'),
            ("sep=;;;;", b';'),
            ("sep=^\n", b'^'),
        ] {
            assert_eq!(named_separator(line.as_bytes()), Some(separator), "{line:?}");
        }
        for line in ["sep=\n", "sep=ab\n", "separator\n", "id;sep=\n", "sep=é\n", "se"] {
            assert_eq!(named_separator(line.as_bytes()), None, "{line:?}");
        }
    }
}
