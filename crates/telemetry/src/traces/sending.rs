//! Sends spans and counts what became of them. The provider's `shutdown` says `Ok` though every
//! span was lost, and each failed group would be told for itself; both are put right here.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor},
};

use crate::otlp::Told;

/// What became of this process's spans.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Spans that ended.
    ended: AtomicU64,
    /// Those that the collector took.
    sent: AtomicU64,
}

impl Counts {
    /// Spans that ended and were not taken.
    pub(crate) fn missing(&self) -> u64 {
        self.ended.load(Relaxed).saturating_sub(self.sent.load(Relaxed))
    }
}

/// The exporter of OTLP, which says once that the collector is away, and once that it is back.
pub(crate) struct CountingExporter<E> {
    pub(crate) inner: E,
    pub(crate) counts: Arc<Counts>,
    pub(crate) told: Arc<Told>,
}

/// Not the exporter's own: that prints the values of headers.
impl<E> fmt::Debug for CountingExporter<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exporter to {}", self.told.endpoint)
    }
}

impl<E: SpanExporter> SpanExporter for CountingExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let sent = self.inner.export(batch).await;
        if sent.is_ok() {
            self.counts.sent.fetch_add(spans, Relaxed);
        }
        self.told.of(&sent);
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// The queue of spans, which counts those that end: what it has no room for never gets to the
/// exporter.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) inner: BatchSpanProcessor,
    pub(crate) counts: Arc<Counts>,
}

impl SpanProcessor for Counted {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            self.counts.ended.fetch_add(1, Relaxed);
        }
        self.inner.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
