//! The steps of every request of the Management API, in this order: latency, bearer, rate limit,
//! injected faults, scope, and then the handler of its route.
//!
//! The order is Auth0's as far as it can be seen: an unauthenticated 401 carries no rate-limit headers, so
//! the bearer comes first; a 403 carries them, so the scope comes after the limit.

use axum::body::Body;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Response};

use crate::app::App;
use crate::errors::ApiError;
use crate::headers::{self, Answer};
use crate::limits::{Group, Reading};
use crate::operations::Operation;
use crate::tokens::Grant;

/// Serves one request whose body, if any, is already read.
pub(crate) async fn serve(
    app: &App,
    operation: Operation,
    headers: &HeaderMap,
    work: impl FnOnce(&App) -> Result<Answer, ApiError>,
) -> Response<Body> {
    let pause = app.faults.pause(operation.group() != Group::UserReads);
    wait(pause).await;
    let (reading, result) = decide(app, operation, headers, work);
    let reading = reading.filter(|_| !app.faults.mutes_limits());
    let response = headers::management(result, reading, &app.ids.request_id());
    wait(pause).await;
    response
}

async fn wait(pause: std::time::Duration) {
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
}

fn decide(
    app: &App,
    operation: Operation,
    headers: &HeaderMap,
    work: impl FnOnce(&App) -> Result<Answer, ApiError>,
) -> (Option<Reading>, Result<Answer, ApiError>) {
    let now_ms = app.clock.now_ms();
    app.log.arrived(operation);
    app.log.arrived_at(now_ms);
    let grant = match authenticate(app, headers, now_ms) {
        Ok(grant) => grant,
        Err(refusal) => return (None, Err(refusal)),
    };
    let reading = app.limits().take(operation.group(), now_ms);
    if reading.is_some_and(|reading| !reading.admitted) {
        app.log.rate_limited();
        return (reading, Err(ApiError::too_many_requests()));
    }
    if app.faults.storms() {
        app.log.rate_limited();
        let stormed = Some(emptied(reading, now_ms));
        return (stormed, Err(ApiError::too_many_requests()));
    }
    if app.faults.breaks() {
        return (reading, Err(ApiError::broken(app.faults.broken())));
    }
    if !grant.has_any(operation.scopes()) {
        let refusal = ApiError::insufficient_scope(operation.scopes());
        return (reading, Err(refusal));
    }
    (reading, work(app))
}

fn authenticate(app: &App, headers: &HeaderMap, now_ms: u64) -> Result<std::sync::Arc<Grant>, ApiError> {
    let Some(authorization) = headers.get(AUTHORIZATION) else {
        return Err(ApiError::missing_authentication());
    };
    let token = authorization
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| ApiError::bad_request("Bearer", "Bad HTTP authentication header format"))?;
    let grant = app.tokens.check(token, now_ms)?;
    if app.faults.wears_out(grant.used()) {
        return Err(ApiError::expired_token());
    }
    Ok(grant)
}

/// The headers of an injected 429: nothing left, full again in a second.
fn emptied(reading: Option<Reading>, now_ms: u64) -> Reading {
    Reading {
        admitted: false,
        limit: reading.map_or(1, |reading| reading.limit),
        remaining: 0,
        reset: now_ms / 1_000 + 1,
    }
}
