//! The page of metrics, in the Prometheus text format.
//!
//! Counters and gauges are observable instruments of OpenTelemetry that read their figures at
//! a scrape, so that they cost the work nothing. Series without a number at a scrape are
//! missing from that page (ADR 0012). Histograms are told of each value by the work.

use std::{fmt, sync::Arc};

use ferry_domain::telemetry::metrics::{Kind, Label, Metric};
use opentelemetry::{
    KeyValue,
    metrics::{AsyncInstrument, Meter, MeterProvider},
};
use opentelemetry_sdk::{Resource, metrics::SdkMeterProvider};
use prometheus::{Registry, TextEncoder};

use crate::{
    Sources,
    readings::{READINGS, Row},
    timings::Histograms,
};

/// The metrics of one process.
pub struct Exposition {
    registry: Registry,
    /// Owns the instruments; there is no global meter provider.
    _provider: SdkMeterProvider,
}

impl Exposition {
    /// The content type of the page.
    pub const CONTENT_TYPE: &'static str = prometheus::TEXT_FORMAT;

    /// Makes an instrument for each metric. Nothing is read yet.
    ///
    /// # Errors
    /// When the exporter can't be built, which is a fault of the program.
    pub fn new(sources: &Sources) -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            // Names in the source code are the names on the page.
            .without_units()
            .without_counter_suffixes()
            .scope_info_enabled(false)
            .without_target_info()
            .build()
            .map_err(|error| MetricsError(error.to_string()))?;
        // An empty resource: environment variables must not change the page.
        let provider = SdkMeterProvider::builder()
            .with_resource(Resource::builder_empty().build())
            .with_reader(exporter)
            .build();
        let meter = provider.meter("ferry");
        for (metric, read) in READINGS {
            let (metric, read, sources) = (*metric, *read, sources.clone());
            instrument(&meter, metric, move || read(&sources));
        }
        sources.figures.time_with(Arc::new(Histograms::of(&meter)));
        Ok(Exposition { registry, _provider: provider })
    }

    /// The page as it is now.
    ///
    /// # Errors
    /// When the page can't be written, which is a fault of the program.
    pub fn page(&self) -> Result<String, MetricsError> {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .map_err(|error| MetricsError(error.to_string()))
    }
}

impl fmt::Debug for Exposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exposition").finish_non_exhaustive()
    }
}

/// Metrics can't be shown: a fault of the program.
#[derive(Clone, Debug, thiserror::Error)]
#[error("metrics can't be shown: {0}")]
pub struct MetricsError(String);

fn instrument(meter: &Meter, metric: Metric, rows: impl Fn() -> Vec<Row> + Send + Sync + 'static) {
    let observe = move |instrument: &dyn AsyncInstrument<f64>| {
        for (labels, number) in rows() {
            instrument.observe(number, &key_values(&metric, &labels));
        }
    };
    match metric.kind {
        Kind::Counter => {
            meter
                .f64_observable_counter(metric.name)
                .with_description(metric.help)
                .with_callback(observe)
                .build();
        }
        Kind::Gauge => {
            meter
                .f64_observable_gauge(metric.name)
                .with_description(metric.help)
                .with_callback(observe)
                .build();
        }
        Kind::Histogram(_) => unreachable!("{} is not read, but told of: timings.rs", metric.name),
    }
}

fn key_values(metric: &Metric, labels: &[Label]) -> Vec<KeyValue> {
    debug_assert_eq!(metric.labels.len(), labels.len(), "{}", metric.name);
    metric
        .labels
        .iter()
        .zip(labels)
        .map(|(name, label)| match label {
            Label::Word(word) => KeyValue::new(*name, *word),
            Label::Run(run) => KeyValue::new(*name, run.to_string()),
        })
        .collect()
}
