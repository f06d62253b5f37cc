//! One embedded process per file.
//!
//! The queue of an embedded run lives in the process, so a second process on
//! the same file would send the same jobs. The lock is the system's, on a file
//! beside the database: it ends with the process, however that ends. A row in
//! the ledger would outlive a kill.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
};

/// Why the file can't be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process works on it.
    #[error(
        "{} is in use by process {}; wait for its end or stop it",
        path.display(),
        pid.map_or_else(|| "(unknown)".to_owned(), |pid| pid.to_string())
    )]
    Held {
        /// The database file.
        path: PathBuf,
        /// The other process, where it has said so.
        pid: Option<u32>,
    },
    /// The lock file can't be made or written.
    #[error("the lock file {} can't be written: {reason}; check the folder's permissions", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

/// The right to be the only embedded process on a file, until dropped.
#[derive(Debug)]
pub struct EmbeddedLock {
    // Closing it frees the lock. The file stays: removing it would race with the next taker.
    _file: File,
}

impl EmbeddedLock {
    /// Takes `<file>.ferry-lock`, without waiting.
    ///
    /// # Errors
    /// `Held` when another process, or another part of this one, has it.
    pub fn take(database: &Path) -> Result<EmbeddedLock, LockError> {
        let mut path = database.as_os_str().to_owned();
        path.push(".ferry-lock");
        let path = PathBuf::from(path);
        let io = |error: std::io::Error| LockError::Io { path: path.clone(), reason: error.to_string() };

        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held { path: database.to_owned(), pid: pid_in(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        file.set_len(0).map_err(io)?;
        writeln!(file, "{}", std::process::id()).map_err(io)?;
        Ok(EmbeddedLock { _file: file })
    }
}

fn pid_in(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
