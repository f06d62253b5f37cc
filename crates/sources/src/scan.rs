//! Reading the bytes of a file for a parser: counted, hashed, and limited.

use std::{
    io::{self, Read},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use ferry_domain::hex::hex;
use sha2::{Digest, Sha256};

/// The most bytes that one record may have. A record that seems longer is a quote or a
/// bracket that was never closed, and would be held in memory whole.
pub(crate) const RECORD: u64 = 1 << 20;
/// Bytes read ahead of the parser.
pub(crate) const AHEAD: usize = 64 << 10;

/// Passes bytes on from a file, and keeps their hash and number.
pub(crate) struct Scan<R> {
    inner: R,
    log: Arc<Log>,
}

/// Hash and number of the bytes of a [`Scan`]; shared, since parsers hide their input.
#[derive(Debug)]
pub(crate) struct Log {
    hash: Mutex<Sha256>,
    read: AtomicU64,
    limit: AtomicU64,
}

impl<R: Read> Scan<R> {
    pub(crate) fn new(inner: R) -> (Self, Arc<Log>) {
        let log = Arc::new(Log {
            hash: Mutex::new(Sha256::new()),
            read: AtomicU64::new(0),
            limit: AtomicU64::new(u64::MAX),
        });
        (Scan { inner, log: Arc::clone(&log) }, log)
    }
}

impl Log {
    /// Bytes read so far.
    pub(crate) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// A record begins about here: from now on [`RECORD`] bytes may be read.
    pub(crate) fn record_begins(&self) {
        self.limit.store(self.read().saturating_add(RECORD), Ordering::Relaxed);
    }

    /// The following bytes are skipped and may be any number.
    pub(crate) fn no_record(&self) {
        self.limit.store(u64::MAX, Ordering::Relaxed);
    }

    /// SHA-256 of what was read so far.
    pub(crate) fn digest(&self) -> String {
        hex(&self.hash.lock().unwrap_or_else(PoisonError::into_inner).clone().finalize())
    }
}

impl<R: Read> Read for Scan<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.log.read() > self.log.limit.load(Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a record has no end"));
        }
        let count = self.inner.read(buffer)?;
        self.log.hash.lock().unwrap_or_else(PoisonError::into_inner).update(&buffer[..count]);
        self.log.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
