//! A collector that is away is told once, and once that it is back: each failed try for itself
//! would fill the log.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use opentelemetry_sdk::error::OTelSdkResult;
use tracing::{info, warn};

/// What was said of a collector.
#[derive(Debug)]
pub(crate) struct Told {
    /// What is sent to it.
    what: &'static str,
    /// What a try that failed means, as a sentence without its full stop.
    means: &'static str,
    /// Where to, for people.
    pub(crate) endpoint: String,
    away: AtomicBool,
}

impl Told {
    pub(crate) fn new(what: &'static str, means: &'static str, endpoint: String) -> Self {
        Told { what, means, endpoint, away: AtomicBool::new(false) }
    }

    /// Says it where the last try had another result.
    pub(crate) fn of(&self, sent: &OTelSdkResult) {
        let Told { what, means, endpoint, away } = self;
        match sent {
            Ok(()) if away.swap(false, Relaxed) => info!("{what} are taken again by {endpoint}"),
            Err(error) if !away.swap(true, Relaxed) => {
                warn!("{what} can't be sent to {endpoint}: {error}. {means}; the work goes on");
            }
            _ => {}
        }
    }
}
