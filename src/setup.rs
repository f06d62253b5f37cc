//! What each command is given: settings and servers, each read once.

use std::sync::Arc;

use ferry_domain::WorkerId;
use ferry_telemetry::{Metrics, Traces};

use crate::{
    servers::Servers,
    settings::{Origins, Settings},
};

/// Settings and servers.
#[derive(Clone)]
pub struct Setup {
    /// All settings.
    pub settings: Settings,
    /// Where each came from.
    pub origins: Origins,
    /// What the environment says.
    pub servers: Servers,
    /// This process: as it registers first if it is a worker, and in its traces.
    pub process: WorkerId,
    /// Spans of this process.
    pub traces: Arc<Traces>,
    /// Metrics that this process sends.
    pub metrics: Arc<Metrics>,
}
