//! Spans for traces: what each is called, what it carries, and which hangs on which. Names
//! follow the semantic conventions of OpenTelemetry 1.44 for messaging and databases.
//!
//! No span carries a key, an address or an id of a user: who may see traces need not be allowed
//! to see users.

use ferry_domain::{
    Code, Envelope, Item, Job, JobKind, Lease, Outcome, RunId,
    figures::{JobEnd, LedgerStep},
    telemetry::traces::{self, TARGET, TARGET_USER},
};
use tracing::{Span, field::Empty, info_span};

/// Ties spans of this process to those of others. Spans themselves are made with `tracing`.
pub trait TraceLinks: Send + Sync {
    /// Makes `span` a child of the one that the W3C `traceparent` names. To be called before
    /// anything else is done with the span.
    fn continue_from(&self, span: &Span, traceparent: &str);

    /// Ties `span`, which stays a root, to the one that `traceparent` names.
    fn link(&self, span: &Span, traceparent: &str);

    /// What a process that goes on from `span` has to know; `None` where it is not recorded.
    fn traceparent(&self, span: &Span) -> Option<String>;
}

/// Around one job on its way into the queue. Its children are with whoever takes the job.
pub(crate) fn send(traces: &dyn TraceLinks, envelope: &Envelope) -> Span {
    let queue = envelope.kind.as_str();
    let span = info_span!(
        target: TARGET,
        "send",
        otel.name = format!("send {queue}"),
        otel.kind = "producer",
        otel.status_code = Empty,
        messaging.system = "ferry",
        messaging.operation.name = "send",
        "messaging.operation.type" = "send",
        messaging.destination.name = queue,
        messaging.message.id = %envelope.job,
        ferry.run.id = %envelope.run,
        ferry.batch.id = envelope.batch.map(|batch| batch.to_string()),
        ferry.job.send = envelope.send,
        ferry.job.rescues = envelope.rescues,
        "error.type" = Empty,
    );
    traces.continue_from(&span, &traces::of_run(envelope.run));
    span
}

/// Around one job from its claim to its end. A try after a failed one is the root of a trace of
/// its own, which is linked with the run's: a trace does not last for hours of backoff.
pub(crate) fn process(traces: &dyn TraceLinks, envelope: &Envelope, lease: &Lease<Job>) -> Span {
    let attempts = lease.of.attempts;
    let queue = envelope.kind.as_str();
    let span = info_span!(
        target: TARGET,
        parent: None,
        "process",
        otel.name = format!("process {queue}"),
        otel.kind = "consumer",
        otel.status_code = Empty,
        messaging.system = "ferry",
        messaging.operation.name = "process",
        "messaging.operation.type" = "process",
        messaging.destination.name = queue,
        messaging.message.id = %envelope.job,
        ferry.run.id = %envelope.run,
        ferry.batch.id = envelope.batch.map(|batch| batch.to_string()),
        ferry.job.send = envelope.send,
        ferry.job.attempt = attempts + 1,
        ferry.job.waited_seconds = lease.waited.as_secs_f64(),
        ferry.job.rescues = envelope.rescues,
        ferry.job.end = Empty,
        "error.type" = Empty,
    );
    let sent = envelope.traceparent.as_deref();
    let of_run = traces::of_run(envelope.run);
    match attempts {
        0 => traces.continue_from(&span, sent.unwrap_or(&of_run)),
        _ => traces.link(&span, sent.unwrap_or(&of_run)),
    }
    span
}

/// Takes note of how the job of this span ended, with the code where it did not go well.
pub(crate) fn ended(span: &Span, end: JobEnd, code: Option<Code>) {
    span.record("ferry.job.end", end.as_str());
    if let Some(code) = code.filter(|code| *code != Code::Interrupted) {
        fail(span, code.as_str());
    }
}

/// Takes note that what a span is around did not succeed. `what` is a code or a word of the program.
pub(crate) fn fail(span: &Span, what: &str) {
    span.record("otel.status_code", "error");
    span.record("error.type", what);
}

/// Around a step of the ledger; only within a job, since what goes on all the time has no trace.
pub(crate) fn step(step: LedgerStep, database: &'static str) -> Span {
    if !is_traced(&Span::current()) {
        return Span::none();
    }
    info_span!(
        target: TARGET,
        "ledger",
        otel.name = format!("ledger {}", step.as_str()),
        otel.kind = "client",
        otel.status_code = Empty,
        db.system.name = database,
        db.operation.name = step.as_str(),
        "error.type" = Empty,
    )
}

/// Around all that is done for one user, if it is among the share of users that have spans.
pub(crate) fn user(kind: JobKind, run: RunId, item: &Item, share: f64) -> Span {
    if !is_traced(&Span::current()) || !traces::takes_user(run, item.seq, share) {
        return Span::none();
    }
    let what = match kind {
        JobKind::Verify => "read user back",
        JobKind::Provision | JobKind::Report => "create user",
    };
    info_span!(target: TARGET_USER, "user", otel.name = what, ferry.outcome = Empty, ferry.code = Empty)
}

/// Takes note of a user's outcome, if the user has a span.
pub(crate) fn outcome(outcome: &Outcome) {
    let span = Span::current();
    if span.metadata().is_some_and(|metadata| metadata.target() == TARGET_USER) {
        span.record("ferry.outcome", outcome.state.as_str());
        if let Some(code) = outcome.code {
            span.record("ferry.code", code.as_str());
        }
    }
}

fn is_traced(span: &Span) -> bool {
    span.metadata().is_some_and(|metadata| metadata.target().starts_with(TARGET))
}
