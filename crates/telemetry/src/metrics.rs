//! Metrics over OTLP: the instruments of the page, read by a second reader that sends them.
//!
//! Each reader reads the figures for itself, so neither waits for the other, and a collector
//! that hangs keeps nobody from the page (ADR 0022).

mod sending;
mod settings;

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use opentelemetry_otlp::{ExporterBuildError, MetricExporter, WithExportConfig};
use opentelemetry_sdk::metrics::{MeterProviderBuilder, PeriodicReader, SdkMeterProvider};
use tracing::warn;

use self::sending::Telling;
pub use self::settings::MetricSettings;
use crate::{Exposition, MetricsError, Sources, otlp::Told};

/// The metrics that this process sends; none where none are asked for.
#[derive(Default)]
pub struct Metrics {
    /// Where to, and the name of this process.
    to: Option<(MetricSettings, String)>,
    sent: OnceLock<Sent>,
}

struct Sent {
    provider: SdkMeterProvider,
    told: Arc<Told>,
}

impl Metrics {
    /// Metrics that go where `settings` say. Nothing is sent before [`Metrics::begin`].
    /// `instance` names this process.
    pub fn to(settings: MetricSettings, instance: &str) -> Self {
        Metrics { to: Some((settings, instance.to_owned())), sent: OnceLock::new() }
    }

    /// Whether any are asked for.
    pub fn are_sent(&self) -> bool {
        self.to.is_some()
    }

    /// Makes the instruments that read `sources`. From now on they are sent, where that is asked
    /// for; what is returned shows them as a page. To be called once.
    ///
    /// # Errors
    /// When an exporter can't be built: a fault of the program, or of the machine's TLS.
    pub fn begin(&self, sources: &Sources) -> Result<Exposition, MetricsError> {
        let Some((settings, instance)) = &self.to else { return Exposition::new(sources) };
        let (builder, told) = with_sender(SdkMeterProvider::builder(), settings, instance)
            .map_err(|error| MetricsError::new(&error))?;
        let exposition = Exposition::with(builder, sources)?;
        let _ = self.sent.set(Sent { provider: exposition.provider().clone(), told }); // begun once
        Ok(exposition)
    }

    /// Sends the last numbers, and ends. Says so where they were not taken. Takes `patience` at
    /// most, or five seconds if that is less: the reader's own limit.
    pub async fn end(&self, patience: Duration) {
        let Some(Sent { provider, told }) = self.sent.get() else { return };
        let sender = provider.clone();
        // It blocks while the collector does not answer.
        let ended = tokio::task::spawn_blocking(move || sender.shutdown_with_timeout(patience));
        if !matches!(tokio::time::timeout(patience, ended).await, Ok(Ok(Ok(())))) {
            warn!("the last metrics were not taken by {} and are lost", told.endpoint);
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("are_sent", &self.are_sent()).finish_non_exhaustive()
    }
}

fn with_sender(
    builder: MeterProviderBuilder,
    settings: &MetricSettings,
    instance: &str,
) -> Result<(MeterProviderBuilder, Arc<Told>), ExporterBuildError> {
    let endpoint = settings.otlp.endpoint.to_string();
    let mut exporter =
        MetricExporter::builder().with_temporality(settings.temporality).with_http().with_endpoint(&endpoint);
    if let Some(timeout) = settings.otlp.timeout {
        exporter = exporter.with_timeout(timeout);
    }
    let told = Arc::new(Told::new("metrics", "There is a gap until it answers", endpoint));
    let telling = Telling { inner: exporter.build()?, told: told.clone() };
    let mut reader = PeriodicReader::builder(telling);
    if let Some(interval) = settings.interval {
        reader = reader.with_interval(interval);
    }
    Ok((builder.with_resource(settings.otlp.resource(instance)).with_reader(reader.build()), told))
}
