//! Metrics that this process sends: whether there are any is for the environment to say (`OTEL_*`).

use std::sync::Arc;

use ferry_telemetry::{MetricSettings, Metrics};

use crate::{cli::Command, exit::usage, system};

/// Metrics of a worker: it alone has figures that are worth a series. What is wrong with a variable is
/// said before anything is done.
pub fn prepare(command: &Command, instance: &str) -> anyhow::Result<Arc<Metrics>> {
    let Command::Worker(_) = command else { return Ok(Arc::default()) };
    let settings = MetricSettings::read(system::environment).map_err(usage)?;
    Ok(Arc::new(settings.map_or_else(Metrics::default, |settings| Metrics::to(settings, instance))))
}
