//! Traces over OTLP: spans of this process, tied to those of others.

mod ids;
mod sending;
mod settings;
mod share;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, KeyValue,
    trace::{
        Span as _, SpanContext, SpanId, SpanKind, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
        TracerProvider,
    },
};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider};
use tracing::{Span, warn};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use self::{
    ids::Ids,
    sending::{Counted, CountingExporter, Counts},
    share::ShareOfRuns,
};
pub use settings::TraceSettings;

use crate::otlp::{Told, scope};

/// Spans that wait to be sent, at most, unless the environment says otherwise; about 1 kB each.
const QUEUE: usize = 8_192;

/// Traces can't be started: a fault of the program, or of the machine's TLS.
#[derive(Debug, thiserror::Error)]
#[error("traces can't be started: {0}")]
pub struct TracesError(#[from] ExporterBuildError);

/// The traces of this process; without any where none are asked for.
#[derive(Default)]
pub struct Traces(Option<Recording>);

struct Recording {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    counts: Arc<Counts>,
    told: Arc<Told>,
}

impl Traces {
    /// Starts to send. Nothing is connected yet: a collector that is away is told once there is
    /// something to send. `instance` names this process.
    ///
    /// # Errors
    /// When the exporter can't be built.
    pub fn start(settings: &TraceSettings, instance: &str) -> Result<Self, TracesError> {
        let mut exporter = SpanExporter::builder().with_http().with_endpoint(settings.otlp.endpoint.as_str());
        if let Some(timeout) = settings.otlp.timeout {
            exporter = exporter.with_timeout(timeout);
        }
        let counts = Arc::new(Counts::default());
        let endpoint = settings.otlp.endpoint.to_string();
        let told = Arc::new(Told::new("traces", "They are lost until it answers", endpoint));
        let exporter =
            CountingExporter { inner: exporter.build()?, counts: counts.clone(), told: told.clone() };
        let mut queue = BatchConfigBuilder::default();
        if !settings.queue_is_set {
            queue = queue.with_max_queue_size(QUEUE);
        }
        let inner = BatchSpanProcessor::builder(exporter).with_batch_config(queue.build()).build();
        let provider = SdkTracerProvider::builder()
            .with_id_generator(Ids::default())
            .with_sampler(ShareOfRuns(settings.runs))
            .with_span_processor(Counted { inner, counts: counts.clone() })
            .with_resource(settings.otlp.resource(instance))
            .build();
        let tracer = provider.tracer_with_scope(scope());
        Ok(Traces(Some(Recording { provider, tracer, counts, told })))
    }

    pub(crate) fn tracer(&self) -> Option<SdkTracer> {
        self.0.as_ref().map(|recording| recording.tracer.clone())
    }

    /// Makes `span` a child of the one that `traceparent` names. To be called before anything
    /// else is done with the span; a text that is no `traceparent` leaves it a root.
    pub fn continue_from(&self, span: &Span, traceparent: &str) {
        if let Some(parent) = self.0.as_ref().and_then(|_| context_of(traceparent)) {
            let parent = Context::new().with_remote_span_context(parent);
            if span.set_parent(parent).is_err() {
                warn!("a span was begun before its parent was known");
            }
        }
    }

    /// Ties `span`, which stays a root, to the one that `traceparent` names.
    pub fn link(&self, span: &Span, traceparent: &str) {
        if let Some(other) = self.0.as_ref().and_then(|_| context_of(traceparent)) {
            span.add_link(other);
        }
    }

    /// What a process that goes on from `span` has to know; `None` where it is not recorded.
    pub fn traceparent(&self, span: &Span) -> Option<String> {
        self.0.as_ref()?;
        let context = span.context();
        let of = context.span().span_context().clone();
        let flags = of.trace_flags().to_u8();
        of.is_valid().then(|| format!("00-{}-{}-{flags:02x}", of.trace_id(), of.span_id()))
    }

    /// Records a span that has ended, under ids that other processes know without being told:
    /// 32 and 16 hexadecimal digits.
    pub fn record(
        &self,
        [trace, span]: [&str; 2],
        name: &str,
        began: SystemTime,
        attributes: &[(&str, String)],
    ) {
        let Some(recording) = &self.0 else { return };
        let (Ok(trace), Ok(id)) = (TraceId::from_hex(trace), SpanId::from_hex(span)) else { return };
        let attributes =
            attributes.iter().map(|(key, value)| KeyValue::new((*key).to_owned(), value.clone()));
        let builder = recording.tracer.span_builder(name.to_owned());
        let builder =
            builder.with_kind(SpanKind::Internal).with_start_time(began).with_attributes(attributes);
        ids::with(trace, id, || builder.start_with_context(&recording.tracer, &Context::new())).end();
    }

    /// Sends what is left, and ends. Says how many spans were lost, if any. Takes `patience` at
    /// most.
    pub async fn end(&self, patience: Duration) {
        let Some(Recording { provider, counts, told, .. }) = &self.0 else { return };
        let sender = provider.clone();
        // What it answers says nothing of lost spans: they are counted. It blocks, no longer than told.
        let _ = tokio::task::spawn_blocking(move || sender.shutdown_with_timeout(patience)).await;
        let missing = counts.missing();
        if missing > 0 {
            warn!("{missing} spans were not taken by {} and are lost", told.endpoint);
        }
    }
}

/// The span that a W3C `traceparent` names.
fn context_of(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.split('-');
    let [version, trace, span, flags] = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
    let lower = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let fits = [(version, 2), (trace, 32), (span, 16), (flags, 2)];
    if parts.next().is_some()
        || version != "00"
        || !fits.iter().all(|(text, length)| text.len() == *length && lower(text))
    {
        return None;
    }
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let context = SpanContext::new(trace, span, flags, true, TraceState::NONE);
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_traceparent_of_the_known_form_is_followed() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(context_of(good).unwrap().span_id(), SpanId::from_hex("00f067aa0ba902b7").unwrap());
        for wrong in [
            "",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert!(context_of(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn without_traces_nothing_is_recorded() {
        let traces = Traces::default();
        assert!(traces.tracer().is_none());
        assert_eq!(traces.traceparent(&Span::none()), None);
    }
}
