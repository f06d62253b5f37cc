//! Starting the logs. Data goes to stdout, messages and logs to stderr.
//!
//! The filter always ends with directives that keep the HTTP stack quiet: its
//! own trace events print whole URLs, and `users-by-email` carries an address in
//! the query.

use std::{io::IsTerminal, str::FromStr};

use ferry_domain::telemetry::traces::TARGET;
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer, filter::filter_fn, fmt, layer::SubscriberExt, registry::LookupSpan,
    util::SubscriberInitExt,
};

use crate::{Traces, held::Lines, lines::WithIds};

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

/// Starts logs on stderr, and hands spans to `traces`.
///
/// `quiet` are directives appended to the filter whatever the operator asks for. The filter is
/// that of the logs alone: a trace has all its spans at any log level.
///
/// # Errors
/// When the filter can't be read, or logs were started before.
pub fn start(format: Format, filter: &str, quiet: &[&str], traces: &Traces) -> Result<(), LogError> {
    let mut shown = EnvFilter::builder().parse(filter).map_err(|_| LogError::Filter(filter.to_owned()))?;
    // Spans that are for traces alone would lengthen each line.
    let no_traces = format!("{TARGET}=off");
    for directive in quiet.iter().copied().chain([no_traces.as_str()]) {
        let directive = directive.parse().map_err(|_| LogError::Filter(directive.to_owned()))?;
        shown = shown.add_directive(directive);
    }
    let registry = tracing_subscriber::registry();
    let started = match traces.tracer() {
        // One filter for all, as long as the lines are all there is.
        None => registry.with(shown).with(lines(format)).try_init(),
        Some(tracer) => {
            let spans = tracing_opentelemetry::layer().with_tracer(tracer);
            // What costs most of a span and says nothing here: places in the source code, threads.
            let spans = spans.with_location(false).with_threads(false).with_tracked_inactivity(false);
            let spans = spans.with_level(false).with_target(false);
            let ours = filter_fn(|what| what.is_span() && what.target().starts_with(TARGET));
            registry.with(lines(format).with_filter(shown)).with(spans.with_filter(ours)).try_init()
        }
    };
    started.map_err(|_| LogError::Started)
}

/// Lines on stderr, in a form.
fn lines<S>(format: Format) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let lines = fmt::layer().with_writer(|| Lines);
    match format {
        Format::Json => lines.json().flatten_event(true).map_event_format(WithIds::json).boxed(),
        Format::Text => lines.with_ansi(colours()).map_event_format(WithIds::text).boxed(),
    }
}

/// Whether stderr is a terminal and nobody asked for no colours.
#[expect(clippy::disallowed_methods, reason = "NO_COLOR is asked for here and nowhere else")]
pub fn colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
