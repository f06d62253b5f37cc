//! `/.well-known/…`: the signing key and where things are.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use serde_json::json;

use super::Shared;
use crate::headers;
use crate::operations::Operation;

pub(super) async fn jwks(State(app): Shared) -> Response<Body> {
    app.log.arrived(Operation::Jwks);
    headers::json(StatusCode::OK, app.tokens.jwks())
}

/// Names only what exists here.
pub(super) async fn openid_configuration(State(app): Shared) -> Response<Body> {
    app.log.arrived(Operation::OpenIdConfiguration);
    let base = &app.base_url;
    let document = json!({
        "issuer": format!("{base}/"),
        "token_endpoint": format!("{base}/oauth/token"),
        "jwks_uri": format!("{base}/.well-known/jwks.json"),
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
        "id_token_signing_alg_values_supported": ["RS256"],
    });
    headers::json(StatusCode::OK, headers::to_json(&document))
}
