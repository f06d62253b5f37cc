//! Starting the logs. Data goes to stdout, messages and logs to stderr.
//!
//! The filter always ends with directives that keep the HTTP stack quiet: its
//! own trace events print whole URLs, and `users-by-email` carries an address in
//! the query.

use std::{io::IsTerminal, str::FromStr};

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for Format {
    type Err = LogError;
    fn from_str(word: &str) -> Result<Self, LogError> {
        match word {
            "text" => Ok(Format::Text),
            "json" => Ok(Format::Json),
            _ => Err(LogError::Format(word.to_owned())),
        }
    }
}

/// Why logs could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A word that names no format.
    #[error("unknown log format {0:?}: take text or json")]
    Format(String),
    /// The filter can't be read.
    #[error("log level {0:?} can't be read: take error, warn, info, debug, trace, or target=level pairs")]
    Filter(String),
    /// They were started before.
    #[error("logs are started already")]
    Started,
}

/// Starts logs on stderr.
///
/// `quiet` are directives appended to the filter whatever the operator asks for.
pub fn start(format: Format, filter: &str, quiet: &[&str]) -> Result<(), LogError> {
    let mut layers = EnvFilter::builder().parse(filter).map_err(|_| LogError::Filter(filter.to_owned()))?;
    for directive in quiet {
        let directive = directive.parse().map_err(|_| LogError::Filter((*directive).to_owned()))?;
        layers = layers.add_directive(directive);
    }
    let registry = tracing_subscriber::registry().with(layers);
    let lines = fmt::layer().with_writer(std::io::stderr);
    let started = match format {
        Format::Json => registry.with(lines.json().flatten_event(true)).try_init(),
        Format::Text => registry.with(lines.with_ansi(colours())).try_init(),
    };
    started.map_err(|_| LogError::Started)
}

#[expect(clippy::disallowed_methods, reason = "NO_COLOR is asked for here and nowhere else")]
fn colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
