//! Telemetry of a process: logs on stderr, and on request traces and metrics over OTLP, and three
//! pages over HTTP with metrics and health.
//!
//! The numbers are [`Figures`](ferry_domain::Figures) that the workers count; they don't
//! import this crate. Names and labels are in `ferry_domain::telemetry`, for people in
//! `docs/TELEMETRY.md`.

mod ask;
mod exposition;
mod health;
mod held;
mod lines;
mod logs;
mod metrics;
mod otlp;
mod process;
mod readings;
mod serve;
mod sources;
mod timings;
mod traces;
mod turns;

pub use ask::ask;
pub use exposition::{Exposition, MetricsError};
pub use health::Patience;
pub use held::{hold_lines, release_lines};
pub use logs::{Format, LogError, colours, start};
pub use metrics::{MetricSettings, Metrics};
pub use otlp::WrongVariable;
pub use serve::{Pages, serve};
pub use sources::Sources;
pub use traces::{TraceSettings, Traces, TracesError};
pub use turns::{Turns, watch_turns};
