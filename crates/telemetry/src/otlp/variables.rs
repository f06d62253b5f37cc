//! Values of variables, and how a wrong one is told: by its name, what is wrong and what to do.
//! Values of headers are secrets: a wrong pair is named by its place.

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

pub(crate) type Result<T> = std::result::Result<T, WrongVariable>;

pub(crate) fn wrong(name: &'static str, wrong: impl Into<String>) -> WrongVariable {
    WrongVariable { name, wrong: wrong.into() }
}

pub(super) fn url(name: &'static str, text: &str) -> Result<Url> {
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
pub(super) fn with_path(mut url: Url, path: &str) -> Url {
    let base = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{base}{path}"));
    url
}

pub(crate) fn one_of(
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

/// What can't be a header would be left out in silence.
pub(super) fn visible(name: &'static str, pairs: &[(String, String)]) -> Result<()> {
    let hidden = |(_, value): &(String, String)| value.bytes().any(|byte| !matches!(byte, b' '..=b'~'));
    match pairs.iter().position(hidden) {
        Some(at) => {
            Err(wrong(name, format!("can't be sent: the value of pair {} is not in visible ASCII", at + 1)))
        }
        None => Ok(()),
    }
}

pub(crate) fn number(name: &'static str, text: Option<String>) -> Result<Option<u64>> {
    let read = |text: String| match text.parse() {
        Ok(0) | Err(_) => Err(wrong(name, format!("is {text:?}: take a whole number above 0"))),
        Ok(number) => Ok(number),
    };
    text.map(read).transpose()
}

/// Pairs `name=value` with commas between, percent-encoded. A wrong one is named by its place:
/// its text may be a secret.
pub(super) fn pairs(name: &'static str, text: Option<String>) -> Result<Vec<(String, String)>> {
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
