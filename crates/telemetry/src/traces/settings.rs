//! What the variables `OTEL_*` say about traces beside where they go (`otlp`). A sampler that
//! does not exist would be passed over in silence: it is refused here, before anything is sent.

use crate::otlp::{Otlp, Result, TRACES, number, one_of, wrong};

const QUEUE: &str = "OTEL_BSP_MAX_QUEUE_SIZE";
const NUMBERS: [&str; 3] = [QUEUE, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "OTEL_BSP_SCHEDULE_DELAY"];
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_SHARE: &str = "OTEL_TRACES_SAMPLER_ARG";
const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

/// Where traces go, and of which runs.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSettings {
    pub(crate) otlp: Otlp,
    /// Whether the size of the queue is set.
    pub(crate) queue_is_set: bool,
    /// Share of the runs that are recorded: above 0, at most 1.
    pub(crate) runs: f64,
}

impl TraceSettings {
    /// What the environment asks for; `None` where it asks for no traces. `variable` gives the
    /// value of a variable of the environment.
    ///
    /// # Errors
    /// Names the first variable that can't be read.
    pub fn read(variable: impl Fn(&'static str) -> Option<String>) -> Result<Option<Self>> {
        let value = |name| variable(name).filter(|value: &String| !value.trim().is_empty());
        if TRACES.is_off(&value) {
            return Ok(None);
        }
        one_of(&[SAMPLER], &SAMPLERS, &value)?;
        let runs = share_of_runs(value(SAMPLER), share(value(SAMPLER_SHARE))?);
        let Some(otlp) = Otlp::read(&TRACES, &value)? else { return Ok(None) };
        for name in NUMBERS {
            number(name, value(name))?;
        }
        let settings = TraceSettings { otlp, queue_is_set: value(QUEUE).is_some(), runs };
        Ok((runs > 0.0).then_some(settings))
    }
}

fn share(text: Option<String>) -> Result<Option<f64>> {
    let Some(text) = text else { return Ok(None) };
    match text.trim().parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(Some(share)),
        _ => Err(wrong(SAMPLER_SHARE, format!("is {text:?}: take a share from 0 to 1"))),
    }
}

/// A run's trace is begun by Ferry, so that a sampler by the parent is the same as one without.
fn share_of_runs(sampler: Option<String>, share: Option<f64>) -> f64 {
    match sampler.as_deref() {
        Some("always_off" | "parentbased_always_off") => 0.0,
        Some("traceidratio" | "parentbased_traceidratio") => share.unwrap_or(1.0),
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

    fn read(variables: &[(&'static str, &str)]) -> Result<Option<TraceSettings>> {
        let found = |name| variables.iter().find(|(known, _)| *known == name);
        TraceSettings::read(|name| found(name).map(|(_, value)| (*value).to_owned()))
    }

    fn endpoint(variables: &[(&'static str, &str)]) -> Option<String> {
        read(variables).unwrap().map(|settings| settings.otlp.endpoint.to_string())
    }

    #[test]
    fn traces_are_off_unless_an_endpoint_is_set_and_nothing_turns_them_off() {
        assert_eq!(endpoint(&[]), None);
        assert_eq!(endpoint(&[(ENDPOINT, " ")]), None);
        let base = (ENDPOINT, "http://collector:4318");
        assert_eq!(endpoint(&[base]).as_deref(), Some("http://collector:4318/v1/traces"));
        assert_eq!(endpoint(&[base, ("OTEL_SDK_DISABLED", "TRUE")]), None);
        assert_eq!(endpoint(&[base, ("OTEL_TRACES_EXPORTER", "none")]), None);
        let under = (ENDPOINT, "https://collector/otlp/");
        assert_eq!(endpoint(&[under]).as_deref(), Some("https://collector/otlp/v1/traces"));
        let own = (TRACES_ENDPOINT, "http://other:4318/here");
        assert_eq!(endpoint(&[base, own]).as_deref(), Some("http://other:4318/here"));
    }

    #[test]
    fn what_would_be_passed_over_in_silence_is_refused_by_name() {
        let base = (ENDPOINT, "http://collector:4318");
        for (name, value, word) in [
            (ENDPOINT, "collector:4318", "http://host:4318"),
            (ENDPOINT, "ftp://collector", "HTTP"),
            (ENDPOINT, "http://anna:s3cret@collector", "OTEL_EXPORTER_OTLP_HEADERS"),
            (ENDPOINT, "http://collector/?x=1", "query"),
            ("OTEL_TRACES_EXPORTER", "zipkin", "otlp"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "gzip"),
            (SAMPLER, "sometimes", "always_on"),
            (SAMPLER_SHARE, "2", "0 to 1"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "whole number"),
            (QUEUE, "0", "above 0"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip ", "gzip"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=1,b=s3cret%0A", "pair 2"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=1,s3cret", "pair 2"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=s3cret", "pair 1"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=%zzs3cret", "percent"),
            (ATTRIBUTES, "=x", "name"),
        ] {
            let variables = if name == ENDPOINT { vec![(name, value)] } else { vec![base, (name, value)] };
            let error = read(&variables).unwrap_err().to_string();
            assert!(error.starts_with(name) && error.contains(word), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_sampler_means_a_share_of_the_runs() {
        let base = (ENDPOINT, "http://collector:4318");
        let runs = |sampler: &[(&'static str, &str)]| {
            read(&[&[base], sampler].concat()).unwrap().map(|settings| settings.runs)
        };
        assert_eq!((runs(&[]), runs(&[(SAMPLER, "parentbased_always_on")])), (Some(1.0), Some(1.0)));
        assert_eq!(
            (runs(&[(SAMPLER, "always_off")]), runs(&[(SAMPLER, "parentbased_always_off")])),
            (None, None)
        );
        assert_eq!(runs(&[(SAMPLER, "traceidratio"), (SAMPLER_SHARE, "0.25")]), Some(0.25));
        assert_eq!(runs(&[(SAMPLER, "traceidratio"), (SAMPLER_SHARE, "0")]), None);
        assert_eq!(runs(&[(SAMPLER, "always_on"), (SAMPLER_SHARE, "0.25")]), Some(1.0), "it takes no share");
    }

    #[test]
    fn the_service_is_named_by_its_own_variable_first() {
        let base = (ENDPOINT, "http://collector:4318");
        let attributes = (ATTRIBUTES, "service.name=mover,team=sign%20in");
        let settings = read(&[base, attributes]).unwrap().unwrap().otlp;
        assert_eq!(settings.service, "mover");
        assert_eq!(settings.attributes, [("team".to_owned(), "sign in".to_owned())]);
        let settings = read(&[base, attributes, ("OTEL_SERVICE_NAME", "other")]).unwrap().unwrap().otlp;
        assert_eq!(settings.service, "other");
        assert_eq!(read(&[base]).unwrap().unwrap().otlp.service, "ferry");
    }
}
