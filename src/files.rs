//! Small files that a command reads whole: settings, a plan, a secret, a certificate.
//!
//! Secrets and settings may be pipes: `<(vault read …)` is usual for them. A pipe gives its content
//! once and a command asks several times, so what came is kept. Opening one waits for somebody who
//! writes to it, so it is done beside, with an end.

use std::{
    collections::BTreeMap,
    fs::FileType,
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError, mpsc},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretSlice};

use crate::exit::usage;

/// How long a pipe may give nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// What pipes gave.
static PIPES: Mutex<BTreeMap<PathBuf, SecretSlice<u8>>> = Mutex::new(BTreeMap::new());

/// The bytes of a regular file or of a pipe. `what` is how people know it, such as
/// `AUTH0_CLIENT_SECRET_FILE`.
///
/// # Errors
/// Says what is wrong with it, and never what is in it.
pub fn read_once(what: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
    let kind = path.metadata().map_err(|error| cannot(what, path, &error))?.file_type();
    if !std::os::unix::fs::FileTypeExt::is_fifo(&kind) {
        return read(what, path);
    }
    let mut pipes = PIPES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = pipes.get(path) {
        return Ok(known.expose_secret().to_vec());
    }
    let bytes = from_pipe(path.to_owned())
        .ok_or_else(|| {
            let (shown, seconds) = (path.display(), PATIENCE.as_secs());
            usage(format!("{what} {shown} is a pipe, and nobody wrote to it within {seconds} s: name a file"))
        })?
        .map_err(|error| cannot(what, path, &error))?;
    pipes.insert(path.to_owned(), bytes.clone().into());
    Ok(bytes)
}

/// `None` where nothing came in time. The thread that waits then ends with the process.
fn from_pipe(path: PathBuf) -> Option<io::Result<Vec<u8>>> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || tell.send(std::fs::read(path)));
    told.recv_timeout(PATIENCE).ok()
}

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
