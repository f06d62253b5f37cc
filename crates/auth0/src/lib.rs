//! Client for the Auth0 Management API: the port [`Directory`] over HTTP.
//!
//! One call goes like this (`throttle`): take the process's token (`token`), wait
//! for a permit of the limiter, send, pass the headers' figures to the limiter, wait out
//! a 429, renew the token once after a 401, and turn what remains into a
//! [`DirectoryError`] by one table (`classify`).
//!
//! Rejected: a generated client for the whole API (six calls are needed, and its errors
//! carry bodies and URLs); retries inside the client for anything but 429 and 401: the
//! caller knows whether a create that may have happened is to be looked up first.
//!
//! [`Directory`]: ferry_domain::ports::Directory
//! [`DirectoryError`]: ferry_domain::ports::DirectoryError

mod calls;
mod classify;
mod client;
mod errors;
mod response;
mod settings;
mod throttle;
mod token;
mod unanswered;
mod wire;

pub use client::Auth0;
pub use errors::{SettingsError, TokenError};
pub use settings::Auth0Settings;
pub use token::Granted;

/// Directives for the log filter that keep other packages from printing what this one
/// hides. At `trace` they show request heads, and the address is part of the path of
/// `GET /users-by-email`. To be appended to every filter, so that they win.
pub const QUIET_TARGETS: &[&str] =
    &["h2=info", "hyper=info", "hyper_util=info", "reqwest=info", "rustls=info"];
