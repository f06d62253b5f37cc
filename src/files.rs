//! Small files that a command reads whole: settings, a plan, a secret, a certificate.

use std::{fs::FileType, io, path::Path};

use crate::exit::usage;

/// The bytes of a regular file. `what` is how people know it, such as `REDIS_CA_FILE`.
///
/// # Errors
/// Says what is wrong with it, and never what is in it.
pub fn read(what: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
    check(what, path)?;
    std::fs::read(path).map_err(|error| cannot(what, path, &error))
}

/// Refuses what is no regular file. Opening a pipe would wait for somebody who writes to it,
/// for ever.
///
/// # Errors
/// Names the file and what it is.
pub fn check(what: &str, path: &Path) -> anyhow::Result<()> {
    let kind = path.metadata().map_err(|error| cannot(what, path, &error))?.file_type();
    match wrong_kind(kind) {
        None => Ok(()),
        Some(found) => Err(usage(format!(
            "{what} {} is {found}: write its content to a file, and name that",
            path.display()
        ))),
    }
}

/// What a path is, where it is no regular file.
pub fn wrong_kind(kind: FileType) -> Option<&'static str> {
    match kind {
        _ if kind.is_file() => None,
        _ if kind.is_dir() => Some("a folder"),
        _ => Some(ferry_sources::special(kind)),
    }
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> anyhow::Error {
    usage(format!("{what} {} can't be read: {error}", path.display()))
}
