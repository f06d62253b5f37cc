//! Traces of this process: whether there are any is for the environment to say (`OTEL_*`).

use std::{sync::Arc, time::Duration};

use ferry_domain::{RunId, telemetry::traces::ids_of_run};
use ferry_telemetry::{TraceSettings, Traces};
use time::OffsetDateTime;
use tracing::Span;

use crate::{cli::Command, exit::usage, system};

/// How long the end of a process waits for a collector. Within the time that a supervisor
/// leaves a stopping worker (`worker.grace_seconds` and some).
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Starts traces, for commands that have any.
pub fn start(command: &Command, instance: &str) -> anyhow::Result<Arc<Traces>> {
    // A wrong variable must keep nobody from stop-all.
    if !command.is_traced() {
        return Ok(Arc::default());
    }
    match TraceSettings::read(system::environment).map_err(usage)? {
        Some(settings) => Ok(Arc::new(Traces::start(&settings, instance)?)),
        None => Ok(Arc::default()),
    }
}

/// Records the first span of a run: from the command that began it, to the moment when workers
/// may begin.
pub fn record_start(traces: &Traces, run: RunId, began: OffsetDateTime, users: i64) {
    let [trace, span] = ids_of_run(run);
    let attributes = [("ferry.run.id", run.to_string()), ("ferry.run.users", users.to_string())];
    traces.record([&trace, &span], "run start", began.into(), &attributes);
}

/// Traces as workers ask for them.
pub struct Joined(pub Arc<Traces>);

impl ferry_workers::TraceLinks for Joined {
    fn continue_from(&self, span: &Span, traceparent: &str) {
        self.0.continue_from(span, traceparent);
    }

    fn link(&self, span: &Span, traceparent: &str) {
        self.0.link(span, traceparent);
    }

    fn traceparent(&self, span: &Span) -> Option<String> {
        self.0.traceparent(span)
    }
}
