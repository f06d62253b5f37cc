//! Turns answers into responses with the headers that recorded answers have.

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, VARY, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::errors::{ApiError, OAuthError};
use crate::limits::Reading;

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// The answer of a handler of the Management API that does not refuse.
pub(crate) enum Answer {
    /// A status and a JSON document.
    Json(StatusCode, Vec<u8>),
    /// 204 without a body.
    NoContent,
    /// No answer at all: the connection is cut.
    Cut,
}

impl Answer {
    pub(crate) fn json(status: StatusCode, document: &impl Serialize) -> Self {
        Self::Json(status, to_json(document))
    }

    pub(crate) fn ok(document: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, document)
    }
}

/// Writes JSON. Documents here are strings, numbers and maps with string keys, which can't fail.
pub(crate) fn to_json(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).unwrap_or_default()
}

/// The response of the Management API.
pub(crate) fn management(
    result: Result<Answer, ApiError>,
    reading: Option<Reading>,
    request_id: &str,
) -> Response<Body> {
    let mut response = match result {
        Ok(Answer::Json(status, body)) => json(status, body),
        Ok(Answer::NoContent) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        Ok(Answer::Cut) => return cut(),
        Err(refusal) => {
            let mut response = json(refusal.status, to_json(&refusal.body()));
            if let Some(challenge) = refusal.challenge {
                let value = HeaderValue::from_static(challenge);
                response.headers_mut().insert(WWW_AUTHENTICATE, value);
            }
            response
        }
    };
    let headers = response.headers_mut();
    for (name, value) in [
        ("server", "cloudflare"),
        ("strict-transport-security", "max-age=31536000"),
        ("x-content-type-options", "nosniff"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(VARY, HeaderValue::from_static("origin,accept-encoding"));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("ot-baggage-auth0-request-id", id);
    }
    if let Some(reading) = reading {
        limits(&mut response, reading);
    }
    response
}

/// The response of the token endpoint.
pub(crate) fn authentication(
    result: Result<Vec<u8>, OAuthError>,
    reading: Option<Reading>,
    request_id: &str,
) -> Response<Body> {
    let mut response = match result {
        Ok(body) => json(StatusCode::OK, body),
        Err(refusal) => json(refusal.status, to_json(&refusal.body())),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-auth0-requestid", id);
    }
    if let Some(reading) = reading {
        limits(&mut response, reading);
    }
    response
}

/// A JSON response without further headers.
pub(crate) fn json(status: StatusCode, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

fn limits(response: &mut Response<Body>, reading: Reading) {
    let headers = response.headers_mut();
    headers.insert("x-ratelimit-limit", reading.limit.into());
    headers.insert("x-ratelimit-remaining", reading.remaining.into());
    headers.insert("x-ratelimit-reset", reading.reset.into());
}

/// A response that never reaches the client: its body fails at the first poll, and hyper drops the
/// connection before it has written a byte. (A panic in the handler would do the same, with a
/// message on stderr.)
fn cut() -> Response<Body> {
    let broken = std::io::Error::other("answer lost on purpose");
    let nothing = futures_util::stream::iter([Err::<Bytes, _>(broken)]);
    Response::new(Body::from_stream(nothing))
}
