//! Log lines on stderr, which wait while something is drawn there.

use std::{
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

/// What is kept while lines wait; what comes later is left out, and counted.
const MOST: usize = 64 * 1024;

/// `None` while lines are written immediately.
static HELD: Mutex<Option<Held>> = Mutex::new(None);

#[derive(Debug, Default)]
struct Held {
    lines: Vec<u8>,
    left_out: usize,
}

impl Held {
    fn take(&mut self, line: &[u8]) {
        if self.lines.len() + line.len() <= MOST {
            self.lines.extend_from_slice(line);
        } else {
            self.left_out += 1;
        }
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.lines)?;
        if self.left_out > 0 {
            writeln!(out, "({} more log lines were not kept)", self.left_out)?;
        }
        out.flush()
    }
}

/// From now on log lines are kept, until [`release_lines`].
pub fn hold_lines() {
    HELD.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default();
}

/// Writes the lines that were kept, and those to come immediately.
pub fn release_lines() {
    let held = HELD.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(held) = held {
        let _ = held.write(&mut io::stderr()); // there is no other place to tell it
    }
}

/// Where log lines go: each is one write.
#[derive(Debug)]
pub struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match &mut *HELD.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(held) => held.take(line),
            None => return io::stderr().write(line),
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_wait_come_in_their_order_and_not_without_end() {
        let mut held = Held::default();
        for line in ["one\n", "two\n"] {
            held.take(line.as_bytes());
        }
        held.take(&[b'x'; MOST]);
        let mut out = Vec::new();
        held.write(&mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "one\ntwo\n(1 more log lines were not kept)\n");
    }
}
