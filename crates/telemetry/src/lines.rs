//! Log lines with the ids of the trace and the span in which they were written.

use std::fmt;

use opentelemetry::trace::TraceContextExt;
use tracing::{Event, Span, Subscriber, dispatcher};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

/// A form of lines, with the two ids added where a span is recorded.
pub(crate) struct WithIds<F> {
    inner: F,
    json: bool,
}

impl<F> WithIds<F> {
    /// Lines that are one JSON object each.
    pub(crate) fn json(inner: F) -> Self {
        WithIds { inner, json: true }
    }

    /// Lines for people.
    pub(crate) fn text(inner: F) -> Self {
        WithIds { inner, json: false }
    }
}

impl<S, N, F> FormatEvent<S, N> for WithIds<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        // At a terminal nobody copies ids, and the colours of a part can't be asked for.
        let ids = if writer.has_ansi_escapes() { None } else { ids() };
        let Some([trace, span]) = ids else { return self.inner.format_event(context, writer, event) };
        let mut line = String::new();
        self.inner.format_event(context, Writer::new(&mut line), event)?;
        let end = if self.json { "}" } else { "" };
        let line = line.trim_end_matches('\n');
        let line = line.strip_suffix(end).unwrap_or(line);
        match self.json {
            true => writeln!(writer, r#"{line},"trace_id":"{trace}","span_id":"{span}"}}"#),
            false => writeln!(writer, "{line} trace_id={trace} span_id={span}"),
        }
    }
}

/// The ids of the span that the thread is in, if it is recorded.
fn ids() -> Option<[String; 2]> {
    let id = Span::current().id()?;
    // The subscriber of the process: it is set once, and no other is set for a part.
    let context =
        dispatcher::get_default(|subscriber| tracing_opentelemetry::get_otel_context(&id, subscriber))?;
    let span = context.span();
    let of = span.span_context();
    of.is_valid().then(|| [of.trace_id().to_string(), of.span_id().to_string()])
}
