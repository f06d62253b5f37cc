//! NDJSON: one JSON object per line. A broken line costs that record only.

use std::{
    io::{BufRead, Read},
    sync::Arc,
};

use ferry_domain::{Code, ports::SourceError};

use crate::{
    error::refuse_at,
    found::Found,
    mapping::Mapping,
    reader::{Input, Pick, RawReader, unreadable},
    rules::Raw,
    scan::{Log, RECORD},
};

pub(crate) struct NdjsonReader<R> {
    input: Input<R>,
    shown: String,
    pick: Pick,
    line: u64,
    buffer: Vec<u8>,
}

impl<R: Read> NdjsonReader<R> {
    pub(crate) fn open(
        mut input: Input<R>,
        _log: &Arc<Log>,
        shown: &str,
        mapping: &Mapping,
    ) -> Result<Self, SourceError> {
        let start = input.fill_buf().map_err(|e| unreadable(shown, &e))?;
        if start.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
            let what = "this is one JSON array, not a record per line";
            return Err(refuse_at(shown, 1, what, "Pass --format json"));
        }
        Ok(NdjsonReader {
            input,
            shown: shown.to_owned(),
            pick: Pick::new(mapping),
            line: 0,
            buffer: Vec::new(),
        })
    }

    /// One line, without its end; `None` at the end of the file. A line that is
    /// longer than a record may be is cut off, and so is broken.
    fn read_line(&mut self) -> Result<Option<()>, SourceError> {
        self.buffer.clear();
        let mut part = (&mut self.input).take(RECORD);
        let read = part.read_until(b'\n', &mut self.buffer).map_err(|e| unreadable(&self.shown, &e))?;
        if read == 0 {
            return Ok(None);
        }
        self.line += 1;
        if !self.buffer.ends_with(b"\n") && read as u64 == RECORD {
            self.input.skip_until(b'\n').map_err(|e| unreadable(&self.shown, &e))?;
        }
        Ok(Some(()))
    }
}

impl<R: Read + Send> RawReader for NdjsonReader<R> {
    fn next(&mut self) -> Result<Option<(u64, Raw)>, SourceError> {
        loop {
            if self.read_line()?.is_none() {
                return Ok(None);
            }
            let text = match str::from_utf8(&self.buffer) {
                Ok(text) if text.trim().is_empty() => continue,
                Ok(text) => text,
                Err(_) => return Ok(Some((self.line, Err(Code::InvalidUtf8)))),
            };
            return Ok(Some((self.line, self.pick.parse(text))));
        }
    }

    fn found(&self) -> &Found {
        self.pick.found()
    }
}
