//! Ids of spans: random, but for a span whose ids other processes know without being told.

use std::cell::Cell;

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

thread_local! {
    /// The ids of the span that this thread begins just now.
    static CHOSEN: Cell<Option<(TraceId, SpanId)>> = const { Cell::new(None) };
}

/// Begins a span under these ids: `begin` asks for ids on this thread, before it returns.
pub(super) fn with<T>(trace: TraceId, span: SpanId, begin: impl FnOnce() -> T) -> T {
    CHOSEN.set(Some((trace, span)));
    let begun = begin();
    CHOSEN.set(None);
    begun
}

#[derive(Debug, Default)]
pub(super) struct Ids {
    random: RandomIdGenerator,
}

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        CHOSEN.get().map_or_else(|| self.random.new_trace_id(), |(trace, _)| trace)
    }

    fn new_span_id(&self) -> SpanId {
        CHOSEN.get().map_or_else(|| self.random.new_span_id(), |(_, span)| span)
    }
}
