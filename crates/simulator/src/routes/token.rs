//! `POST /oauth/token`: tokens by client credentials.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};

use super::{Shared, is_form};
use crate::app::App;
use crate::errors::OAuthError;
use crate::headers;
use crate::operations::Operation;
use crate::validate::read_body;

pub(super) async fn issue(State(app): Shared, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let now_ms = app.clock.now_ms();
    app.log.arrived(Operation::Token);
    let request_id = app.ids.request_id();
    let reading = app.limits().take(Operation::Token.group(), now_ms);
    let result = if reading.is_some_and(|reading| !reading.admitted) {
        app.log.rate_limited();
        Err(OAuthError::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_requests",
            "Global limit has been reached",
        ))
    } else {
        grant(&app, is_form(&headers), &body, now_ms)
    };
    headers::authentication(result, reading, &request_id)
}

fn grant(app: &App, form: bool, body: &[u8], now_ms: u64) -> Result<Vec<u8>, OAuthError> {
    let body = read_body(form, body).map_err(|_| {
        OAuthError::new(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "The body of the request could not be read",
        )
    })?;
    // A null counts as absent: auth0-python sends `"organization": null` with every request.
    let field = |name: &str| body.get(name).and_then(Value::as_str);

    match field("grant_type") {
        Some("client_credentials") => {}
        Some(other) => {
            return Err(OAuthError::new(
                StatusCode::FORBIDDEN,
                "unsupported_grant_type",
                format!("Unsupported grant type: {other}"),
            ));
        }
        None => {
            return Err(OAuthError::new(
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "Missing required parameter: grant_type",
            ));
        }
    }
    let known = field("client_id") == Some(&*app.config.client_id)
        && field("client_secret") == Some(app.secret().as_str());
    if !known {
        return Err(OAuthError::new(StatusCode::UNAUTHORIZED, "access_denied", "Unauthorized"));
    }
    let audience = field("audience").ok_or_else(|| {
        OAuthError::new(
            StatusCode::FORBIDDEN,
            "access_denied",
            "No audience parameter was provided, and no default audience has been configured",
        )
    })?;
    if !is_management_api(audience) {
        return Err(OAuthError::new(
            StatusCode::FORBIDDEN,
            "access_denied",
            format!(
                "Client \"{}\" is not authorized to access resource server \"{audience}\". You \
                 need to create a \"client-grant\" associated to this API.",
                app.config.client_id
            ),
        ));
    }
    answer(app, audience, field("scope"), now_ms)
}

fn answer(app: &App, audience: &str, requested: Option<&str>, now_ms: u64) -> Result<Vec<u8>, OAuthError> {
    let wanted =
        |scope: &str| requested.is_none_or(|requested| requested.split(' ').any(|other| other == scope));
    let scopes: Vec<&str> =
        app.config.scopes.iter().map(String::as_str).filter(|scope| wanted(scope)).collect();
    let token = app.tokens.issue(&app.config.client_id, audience, &scopes, now_ms).map_err(|error| {
        tracing::error!(%error, "the simulator could not sign a token");
        OAuthError::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "The token could not be signed")
    })?;
    app.log.token_issued();
    Ok(headers::to_json(&json!({
        "access_token": token,
        "scope": scopes.join(" "),
        "expires_in": app.tokens.lifetime_s(),
        "token_type": "Bearer",
    })))
}

/// The simulator goes by many names (its address, the tenant's domain a client was set up with), so
/// only the path of the audience is looked at. The slash at the end counts, as at Auth0.
fn is_management_api(audience: &str) -> bool {
    ["https://", "http://"]
        .iter()
        .filter_map(|scheme| audience.strip_prefix(scheme))
        .filter_map(|rest| rest.strip_suffix("/api/v2/"))
        .any(|host| !host.is_empty() && !host.contains('/'))
}
