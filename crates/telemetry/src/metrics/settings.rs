//! What the variables `OTEL_*` say about metrics beside where they go (`otlp`).

use std::time::Duration;

use opentelemetry_sdk::metrics::Temporality;

use crate::otlp::{METRICS, Otlp, Result, number, one_of, wrong};

const INTERVAL: &str = "OTEL_METRIC_EXPORT_INTERVAL";
const TIMEOUT: &str = "OTEL_METRIC_EXPORT_TIMEOUT";
const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
const HISTOGRAMS: &str = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
/// How long the exporter tries unless it is told.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where metrics go, how often, and what a number counts from.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricSettings {
    pub(crate) otlp: Otlp,
    /// Between two groups; a minute where it is not set.
    pub(crate) interval: Option<Duration>,
    /// Whether counters count from the start, or from what was sent before.
    pub(crate) temporality: Temporality,
}

impl MetricSettings {
    /// What the environment asks for; `None` where it asks for no metrics over OTLP. `variable`
    /// gives the value of a variable of the environment.
    ///
    /// # Errors
    /// Names the first variable that can't be read, or that nothing would follow.
    pub fn read(variable: impl Fn(&'static str) -> Option<String>) -> Result<Option<Self>> {
        let value = |name| variable(name).filter(|value: &String| !value.trim().is_empty());
        let Some(mut otlp) = Otlp::read(&METRICS, &value)? else { return Ok(None) };
        let temporality = match value(TEMPORALITY) {
            None => Temporality::Cumulative,
            Some(word) => word.trim().parse().map_err(|()| {
                wrong(TEMPORALITY, format!("is {word:?}: take cumulative, delta, lowmemory"))
            })?,
        };
        one_of(&[HISTOGRAMS], &["explicit_bucket_histogram"], &value)?;
        // The reader knows no such limit, the exporter does: the shorter of both counts.
        if let Some(most) = number(TIMEOUT, value(TIMEOUT))?.map(Duration::from_millis) {
            otlp.timeout = Some(otlp.timeout.unwrap_or(PATIENCE).min(most));
        }
        let interval = number(INTERVAL, value(INTERVAL))?.map(Duration::from_millis);
        Ok(Some(MetricSettings { otlp, interval, temporality }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");

    fn read(variables: &[(&'static str, &str)]) -> Result<Option<MetricSettings>> {
        let found = |name| variables.iter().find(|(known, _)| *known == name);
        MetricSettings::read(|name| found(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn metrics_are_sent_where_an_endpoint_is_set_and_nothing_turns_them_off() {
        let endpoint = |variables: &[(&'static str, &str)]| {
            read(variables).unwrap().map(|settings| settings.otlp.endpoint.to_string())
        };
        assert_eq!(endpoint(&[]), None);
        assert_eq!(endpoint(&[BASE]).as_deref(), Some("http://collector:4318/v1/metrics"));
        let own = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://other/here");
        assert_eq!(endpoint(&[own]).as_deref(), Some("http://other/here"));
        assert_eq!(endpoint(&[BASE, own]).as_deref(), Some("http://other/here"));
        assert_eq!(endpoint(&[BASE, ("OTEL_METRICS_EXPORTER", "none")]), None);
        assert_eq!(endpoint(&[BASE, ("OTEL_SDK_DISABLED", "true")]), None);
        let of_traces =
            [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces"), ("OTEL_TRACES_EXPORTER", "none")];
        assert_eq!(endpoint(&of_traces), None, "what is about traces is not about metrics");
    }

    #[test]
    fn how_often_how_long_and_since_when_is_taken_from_the_environment() {
        let settings = read(&[BASE]).unwrap().unwrap();
        assert_eq!(
            (settings.interval, settings.otlp.timeout, settings.temporality),
            (None, None, Temporality::Cumulative)
        );
        let set = [(INTERVAL, "5000"), (TEMPORALITY, "Delta"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "3000")];
        let settings = read(&[&[BASE][..], &set].concat()).unwrap().unwrap();
        assert_eq!(settings.interval, Some(Duration::from_secs(5)));
        assert_eq!(settings.temporality, Temporality::Delta);
        let timeout = |more: &[(&'static str, &str)]| {
            read(&[&[BASE][..], &set, more].concat()).unwrap().unwrap().otlp.timeout.unwrap().as_millis()
        };
        assert_eq!(timeout(&[("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "700")]), 700);
        assert_eq!((timeout(&[(TIMEOUT, "2000")]), timeout(&[(TIMEOUT, "9000")])), (2_000, 3_000));
    }

    #[test]
    fn what_nothing_would_follow_is_refused_by_name() {
        for (name, value, word) in [
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://anna:s3cret@collector", "authorization="),
            ("OTEL_METRICS_EXPORTER", "prometheus", "otlp, or none"),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "zstd", "gzip"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "a=1,s3cret", "pair 2"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "10s", "whole number"),
            (INTERVAL, "0", "above 0"),
            (TIMEOUT, "soon", "whole number"),
            (TEMPORALITY, "since", "cumulative"),
            (HISTOGRAMS, "base2_exponential_bucket_histogram", "explicit_bucket_histogram"),
        ] {
            let error = read(&[BASE, (name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(name) && error.contains(word), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
