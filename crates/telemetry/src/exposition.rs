//! The page of metrics, in the Prometheus text format.
//!
//! Counters and gauges are observable instruments of OpenTelemetry that read their figures at
//! a scrape, so that they cost the work nothing. Series without a number at a scrape are
//! missing from that page (ADR 0012). Histograms are told of each value by the work.
//!
//! Instruments have the names that OpenTelemetry asks for, since they are sent under them; the
//! page's names are put in their place here (ADR 0022).

use std::{collections::BTreeMap, fmt, sync::Arc};

use ferry_domain::telemetry::metrics::{ALL, Kind, Label, Metric};
use opentelemetry::{
    KeyValue,
    metrics::{AsyncInstrument, Meter, MeterProvider},
};
use opentelemetry_sdk::{
    Resource,
    metrics::{MeterProviderBuilder, SdkMeterProvider},
};
use prometheus::{Registry, TextEncoder};

use crate::{
    Sources, otlp,
    readings::{READINGS, Row},
    timings::Histograms,
};

/// The metrics of one process.
pub struct Exposition {
    registry: Registry,
    /// Owns the instruments; there is no global meter provider.
    provider: SdkMeterProvider,
    /// Names on the page, by what the exporter makes of those of the instruments.
    names: BTreeMap<String, &'static str>,
}

impl Exposition {
    /// The content type of the page.
    pub const CONTENT_TYPE: &'static str = prometheus::TEXT_FORMAT;

    /// Makes an instrument for each metric. Nothing is read yet, and nothing is sent.
    ///
    /// # Errors
    /// When the exporter can't be built, which is a fault of the program.
    pub fn new(sources: &Sources) -> Result<Self, MetricsError> {
        Exposition::with(
            SdkMeterProvider::builder().with_resource(Resource::builder_empty().build()),
            sources,
        )
    }

    /// The same, beside what `builder` has already. It must have a resource: that of the SDK
    /// would be read from the environment. The page shows none of it.
    pub(crate) fn with(builder: MeterProviderBuilder, sources: &Sources) -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            // It would append them blindly: the page's names are those of our list.
            .without_units()
            .without_counter_suffixes()
            .scope_info_enabled(false)
            .without_target_info()
            .build()
            .map_err(|error| MetricsError::new(&error))?;
        let provider = builder.with_reader(exporter).build();
        let meter = provider.meter_with_scope(otlp::scope());
        for (metric, read) in READINGS {
            let (metric, read, sources) = (*metric, *read, sources.clone());
            instrument(&meter, metric, move || read(&sources));
        }
        sources.figures.time_with(Arc::new(Histograms::of(&meter)));
        let names = ALL.iter().map(|metric| (metric.instrument.replace('.', "_"), metric.name)).collect();
        Ok(Exposition { registry, provider, names })
    }

    pub(crate) fn provider(&self) -> &SdkMeterProvider {
        &self.provider
    }

    /// The page as it is now.
    ///
    /// # Errors
    /// When the page can't be written, which is a fault of the program.
    pub fn page(&self) -> Result<String, MetricsError> {
        let mut families = self.registry.gather();
        for family in &mut families {
            if let Some(name) = self.names.get(family.name()) {
                family.set_name((*name).to_owned());
            }
        }
        families.sort_by(|one, other| one.name().cmp(other.name()));
        TextEncoder::new().encode_to_string(&families).map_err(|error| MetricsError::new(&error))
    }
}

impl fmt::Debug for Exposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exposition").finish_non_exhaustive()
    }
}

/// Metrics can't be shown or sent: a fault of the program, or of the machine's TLS.
#[derive(Clone, Debug, thiserror::Error)]
#[error("metrics can't be shown or sent: {0}")]
pub struct MetricsError(String);

impl MetricsError {
    pub(crate) fn new(error: &impl fmt::Display) -> Self {
        MetricsError(error.to_string())
    }
}

fn instrument(meter: &Meter, metric: Metric, rows: impl Fn() -> Vec<Row> + Send + Sync + 'static) {
    let observe = move |instrument: &dyn AsyncInstrument<f64>| {
        for (labels, number) in rows() {
            instrument.observe(number, &key_values(&metric, &labels));
        }
    };
    match metric.kind {
        Kind::Counter => {
            meter
                .f64_observable_counter(metric.instrument)
                .with_unit(metric.unit)
                .with_description(metric.help)
                .with_callback(observe)
                .build();
        }
        Kind::UpDown => {
            meter
                .f64_observable_up_down_counter(metric.instrument)
                .with_unit(metric.unit)
                .with_description(metric.help)
                .with_callback(observe)
                .build();
        }
        Kind::Gauge => {
            meter
                .f64_observable_gauge(metric.instrument)
                .with_unit(metric.unit)
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
