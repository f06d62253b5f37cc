//! The port by which others learn immediately that a process has died.

use std::{fmt, future::Future, pin::Pin};

/// A process as the store knows it, for as long as this value lives.
///
/// On PostgreSQL it owns a connection with a session-level advisory lock under the
/// worker's identity: the server frees the lock when the process dies, and rescue
/// needs no time-out. Dropping it gives the registration up.
pub struct Presence {
    /// Why others can't learn of our death immediately, where they can't (a transaction
    /// pooler hides sessions); then only lease expiry tells.
    pub unwatched: Option<String>,
    /// Resolves when the registration is lost although the process lives: drop what
    /// is held, and register anew under another identity.
    pub lost: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Presence {
    /// A registration that can't be lost: the store belongs to this process alone.
    pub fn alone() -> Self {
        Presence { unwatched: None, lost: Box::pin(std::future::pending()) }
    }
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence").field("unwatched", &self.unwatched).finish_non_exhaustive()
    }
}
