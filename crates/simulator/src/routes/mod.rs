//! The routes, one file per group of endpoints.

mod connections;
mod control;
mod token;
mod users;
mod well_known;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Response};
use axum::routing::{get, post};

use crate::app::App;
use crate::errors::ApiError;
use crate::headers;
use crate::operations::Operation;

/// The state every handler gets.
pub(crate) type Shared = State<Arc<App>>;

/// The router of all routes.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/oauth/token", post(token::issue))
        .route("/.well-known/jwks.json", get(well_known::jwks))
        .route("/.well-known/openid-configuration", get(well_known::openid_configuration))
        .route("/api/v2/users", post(users::create))
        .route("/api/v2/users/{id}", get(users::read).patch(users::update).delete(users::delete))
        .route("/api/v2/users-by-email", get(users::by_email))
        .route("/api/v2/connections", get(connections::list))
        .route("/api/v2/connections/{id}", get(connections::read))
        .route("/api/v2/connections/{id}/users", axum::routing::delete(connections::delete_user))
        .route("/simulator/users", get(control::users))
        .route("/simulator/stats", get(control::stats))
        .route("/simulator/limits", axum::routing::put(control::limits))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .with_state(app)
}

/// An unknown route, or a known one with an unknown method: Auth0 gives both the same answer, and
/// before it checks the token.
async fn unknown(State(app): Shared) -> Response<Body> {
    app.log.arrived(Operation::Unknown);
    let request_id = app.ids.request_id();
    headers::management(Err(ApiError::unknown_route()), None, &request_id)
}

/// Whether a body is a form rather than JSON.
fn is_form(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"))
}
