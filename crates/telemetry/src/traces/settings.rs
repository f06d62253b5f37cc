//! What the variables `OTEL_*` say about traces. The exporter would read most of them itself;
//! what it passes over in silence (a pair without `=`, a time that is no number, a sampler
//! that does not exist) is refused here, before anything is sent.

use std::time::Duration;

use url::Url;

/// A variable that can't be read. Names it and says what to do; holds no value of a header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} {wrong}")]
pub struct WrongVariable {
    /// The variable.
    pub name: &'static str,
    /// What is wrong with it, and what to do.
    pub wrong: String,
}

type Result<T> = std::result::Result<T, WrongVariable>;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"];
const PROTOCOL: [&str; 2] = ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"];
const COMPRESSION: [&str; 2] = ["OTEL_EXPORTER_OTLP_COMPRESSION", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION"];
const TIMEOUT: [&str; 2] = ["OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"];
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
const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// Where traces go, and as whose.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSettings {
    /// The collector's address for traces.
    pub(crate) endpoint: Url,
    /// How long sending one group of spans may take, its retries included.
    pub(crate) timeout: Option<Duration>,
    /// Name of the service, then its other attributes.
    pub(crate) service: String,
    pub(crate) attributes: Vec<(String, String)>,
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
        let of = |name, word: &str| value(name).is_some_and(|value| value.trim().eq_ignore_ascii_case(word));
        if of("OTEL_SDK_DISABLED", "true") || of("OTEL_TRACES_EXPORTER", "none") {
            return Ok(None);
        }
        one_of(&[SAMPLER], &SAMPLERS, &value)?;
        let runs = share_of_runs(value(SAMPLER), share(value(SAMPLER_SHARE))?);
        let endpoint = match (value(TRACES_ENDPOINT), value(ENDPOINT)) {
            (Some(text), _) => url(TRACES_ENDPOINT, &text)?,
            (None, Some(text)) => with_path(url(ENDPOINT, &text)?),
            (None, None) => return Ok(None),
        };
        if let Some(other) = value("OTEL_TRACES_EXPORTER").filter(|word| word.trim() != "otlp") {
            return Err(wrong(
                "OTEL_TRACES_EXPORTER",
                format!("is {other:?}: traces go out as otlp, or none"),
            ));
        }
        one_of(&PROTOCOL, &["http/protobuf"], &value)?;
        one_of(&COMPRESSION, &["gzip", "none"], &value)?;
        for name in HEADERS {
            visible(name, &pairs(name, value(name))?)?;
        }
        for name in NUMBERS.into_iter().chain(TIMEOUT) {
            number(name, value(name))?;
        }
        let timeout = number(TIMEOUT[1], value(TIMEOUT[1]))?.or(number(TIMEOUT[0], value(TIMEOUT[0]))?);
        if runs <= 0.0 {
            return Ok(None);
        }
        let mut attributes = pairs(ATTRIBUTES, value(ATTRIBUTES))?;
        let named = attributes.iter().position(|(name, _)| name == "service.name");
        let named = named.map(|at| attributes.remove(at).1);
        Ok(Some(TraceSettings {
            endpoint,
            timeout: timeout.map(Duration::from_millis),
            // The specification has the variable of its own first.
            service: value("OTEL_SERVICE_NAME").or(named).unwrap_or_else(|| "ferry".to_owned()),
            attributes,
            queue_is_set: value(QUEUE).is_some(),
            runs,
        }))
    }
}

fn wrong(name: &'static str, wrong: impl Into<String>) -> WrongVariable {
    WrongVariable { name, wrong: wrong.into() }
}

fn url(name: &'static str, text: &str) -> Result<Url> {
    let example = "write it as http://host:4318 or https://host:4318";
    let url =
        Url::parse(text.trim()).map_err(|error| wrong(name, format!("is no URL ({error}): {example}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(wrong(name, format!("is no address over HTTP: {example}")));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            name,
            "holds a user or a password, which would not be sent: put them into \
             OTEL_EXPORTER_OTLP_HEADERS, as authorization=Basic%20…",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong(
            name,
            format!("holds a query or a fragment, which is no part of an endpoint: {example}"),
        ));
    }
    Ok(url)
}

/// The endpoint of all signals gets the path of this one (OTLP exporter specification).
fn with_path(mut url: Url) -> Url {
    let base = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{base}/v1/traces"));
    url
}

fn one_of(
    names: &[&'static str],
    known: &[&str],
    value: &impl Fn(&'static str) -> Option<String>,
) -> Result<()> {
    for name in names {
        // With its blanks: the exporter would not know the word with them.
        if let Some(word) = value(name).filter(|word| !known.contains(&word.as_str())) {
            return Err(wrong(name, format!("is {word:?}: take {}", known.join(", "))));
        }
    }
    Ok(())
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

/// What can't be a header would be left out in silence.
fn visible(name: &'static str, pairs: &[(String, String)]) -> Result<()> {
    let hidden = |(_, value): &(String, String)| value.bytes().any(|byte| !matches!(byte, b' '..=b'~'));
    match pairs.iter().position(hidden) {
        Some(at) => {
            Err(wrong(name, format!("can't be sent: the value of pair {} is not in visible ASCII", at + 1)))
        }
        None => Ok(()),
    }
}

fn number(name: &'static str, text: Option<String>) -> Result<Option<u64>> {
    let read = |text: String| match text.parse() {
        Ok(0) | Err(_) => Err(wrong(name, format!("is {text:?}: take a whole number above 0"))),
        Ok(number) => Ok(number),
    };
    text.map(read).transpose()
}

/// Pairs `name=value` with commas between, percent-encoded. A wrong one is named by its place:
/// its text may be a secret.
fn pairs(name: &'static str, text: Option<String>) -> Result<Vec<(String, String)>> {
    let text = text.unwrap_or_default();
    let pairs = text.split(',').enumerate().filter(|(_, pair)| !pair.trim().is_empty());
    let read = |(at, pair): (usize, &str)| {
        let refused =
            |what: &str| wrong(name, format!("can't be read: pair {} {what}; write name=value", at + 1));
        let (key, value) = pair.split_once('=').ok_or_else(|| refused("has no ="))?;
        let key = key.trim();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
            return Err(refused("has no name that can be sent"));
        }
        let value = decoded(value.trim()).ok_or_else(|| refused("is no percent-encoded UTF-8"))?;
        Ok((key.to_owned(), value))
    };
    pairs.map(read).collect()
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digits = [bytes.next()?, bytes.next()?].map(|digit| char::from(digit).to_digit(16));
        let [Some(high), Some(low)] = digits else { return None };
        decoded.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&'static str, &str)]) -> Result<Option<TraceSettings>> {
        let found = |name| variables.iter().find(|(known, _)| *known == name);
        TraceSettings::read(|name| found(name).map(|(_, value)| (*value).to_owned()))
    }

    fn endpoint(variables: &[(&'static str, &str)]) -> Option<String> {
        read(variables).unwrap().map(|settings| settings.endpoint.to_string())
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
        let settings = read(&[base, attributes]).unwrap().unwrap();
        assert_eq!(settings.service, "mover");
        assert_eq!(settings.attributes, [("team".to_owned(), "sign in".to_owned())]);
        let settings = read(&[base, attributes, ("OTEL_SERVICE_NAME", "other")]).unwrap().unwrap();
        assert_eq!(settings.service, "other");
        assert_eq!(read(&[base]).unwrap().unwrap().service, "ferry");
    }
}
