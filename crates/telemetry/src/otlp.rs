//! Sending by OTLP over HTTP: what the variables `OTEL_*` say about it, the same for traces and
//! for metrics, and as whose both go out.
//!
//! The exporter would read most variables itself. What it passes over in silence (a pair without
//! `=`, a time that is no number) is refused here, before anything is sent.

mod told;
mod variables;

use std::time::Duration;

use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use url::Url;

pub use self::variables::WrongVariable;
use self::variables::{pairs, url, visible, with_path};
pub(crate) use self::{
    told::Told,
    variables::{Result, number, one_of, wrong},
};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// Version of the semantic conventions that names follow.
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.44.0";

/// What is sent, with the variables that are about it: of a pair, the second is its own and
/// counts more.
#[derive(Debug)]
pub(crate) struct Signal {
    /// The word for people.
    what: &'static str,
    path: &'static str,
    exporter: &'static str,
    endpoint: &'static str,
    headers: [&'static str; 2],
    protocol: [&'static str; 2],
    compression: [&'static str; 2],
    timeout: [&'static str; 2],
}

macro_rules! signal {
    ($what:literal, $name:literal) => {
        Signal {
            what: $what,
            path: concat!("/v1/", $what),
            exporter: concat!("OTEL_", $name, "_EXPORTER"),
            endpoint: concat!("OTEL_EXPORTER_OTLP_", $name, "_ENDPOINT"),
            headers: ["OTEL_EXPORTER_OTLP_HEADERS", concat!("OTEL_EXPORTER_OTLP_", $name, "_HEADERS")],
            protocol: ["OTEL_EXPORTER_OTLP_PROTOCOL", concat!("OTEL_EXPORTER_OTLP_", $name, "_PROTOCOL")],
            compression: [
                "OTEL_EXPORTER_OTLP_COMPRESSION",
                concat!("OTEL_EXPORTER_OTLP_", $name, "_COMPRESSION"),
            ],
            timeout: ["OTEL_EXPORTER_OTLP_TIMEOUT", concat!("OTEL_EXPORTER_OTLP_", $name, "_TIMEOUT")],
        }
    };
}

/// Spans.
pub(crate) const TRACES: Signal = signal!("traces", "TRACES");
/// Counters, gauges and histograms.
pub(crate) const METRICS: Signal = signal!("metrics", "METRICS");

impl Signal {
    /// Whether a variable says that this is not sent.
    pub(crate) fn is_off(&self, value: &impl Fn(&'static str) -> Option<String>) -> bool {
        let is = |name, word: &str| value(name).is_some_and(|value| value.trim().eq_ignore_ascii_case(word));
        is("OTEL_SDK_DISABLED", "true") || is(self.exporter, "none")
    }
}

/// Where something is sent, and as whose.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Otlp {
    /// The collector's address for this signal.
    pub(crate) endpoint: Url,
    /// How long sending one group may take, its retries included.
    pub(crate) timeout: Option<Duration>,
    /// Name of the service, then its other attributes.
    pub(crate) service: String,
    pub(crate) attributes: Vec<(String, String)>,
}

impl Otlp {
    /// What the environment asks for; `None` where this signal is not to be sent.
    pub(crate) fn read(
        signal: &Signal,
        value: &impl Fn(&'static str) -> Option<String>,
    ) -> Result<Option<Self>> {
        if signal.is_off(value) {
            return Ok(None);
        }
        let endpoint = match (value(signal.endpoint), value(ENDPOINT)) {
            (Some(text), _) => url(signal.endpoint, &text)?,
            (None, Some(text)) => with_path(url(ENDPOINT, &text)?, signal.path),
            (None, None) => return Ok(None),
        };
        if let Some(other) = value(signal.exporter).filter(|word| word.trim() != "otlp") {
            let what = signal.what;
            return Err(wrong(signal.exporter, format!("is {other:?}: {what} go out as otlp, or none")));
        }
        one_of(&signal.protocol, &["http/protobuf"], value)?;
        one_of(&signal.compression, &["gzip", "none"], value)?;
        for name in signal.headers {
            visible(name, &pairs(name, value(name))?)?;
        }
        let [all, own] = signal.timeout;
        let (all, own) = (number(all, value(all))?, number(own, value(own))?);
        let mut attributes = pairs(ATTRIBUTES, value(ATTRIBUTES))?;
        let named = attributes.iter().position(|(name, _)| name == "service.name");
        let named = named.map(|at| attributes.remove(at).1);
        Ok(Some(Otlp {
            endpoint,
            timeout: own.or(all).map(Duration::from_millis),
            // The specification has the variable of its own first.
            service: value("OTEL_SERVICE_NAME").or(named).unwrap_or_else(|| "ferry".to_owned()),
            attributes,
        }))
    }

    /// This process as a collector knows it; `instance` tells it from others.
    pub(crate) fn resource(&self, instance: &str) -> Resource {
        let own = [
            ("service.name", self.service.as_str()),
            ("service.version", env!("CARGO_PKG_VERSION")),
            ("service.instance.id", instance),
        ];
        let own = own.map(|(key, value)| KeyValue::new(key, value.to_owned()));
        let given = self.attributes.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
        // The last of one name counts: what the environment says.
        Resource::builder_empty().with_attributes(own).with_attributes(given).build()
    }
}

/// What spans and instruments are of.
pub(crate) fn scope() -> InstrumentationScope {
    let scope = InstrumentationScope::builder("ferry").with_version(env!("CARGO_PKG_VERSION"));
    scope.with_schema_url(SCHEMA).build()
}
