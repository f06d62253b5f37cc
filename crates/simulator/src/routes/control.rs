//! `/simulator/…`: for tests and operators. No token is needed: the simulator listens on the
//! loopback, and holds no real data.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response, StatusCode};
use futures_util::stream;

use super::Shared;
use crate::app::App;
use crate::headers::{self, to_json};
use crate::limits::Plan;

/// Users per piece of the stream: the tenant's lock is held for one piece at a time.
const PIECE: usize = 500;

/// All users, one JSON document a line, in the order of their ids.
pub(super) async fn users(State(app): Shared) -> Response<Body> {
    let pieces = stream::unfold(None, move |after: Option<String>| {
        let piece = next_piece(&app, after.as_deref());
        async move { piece.map(|(bytes, last)| (Ok::<_, std::io::Error>(bytes), Some(last))) }
    });
    let mut response = Response::new(Body::from_stream(pieces));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response
}

fn next_piece(app: &Arc<App>, after: Option<&str>) -> Option<(Bytes, String)> {
    let page = app.tenant().page(after, PIECE);
    let last = page.last()?.user_id.clone();
    let mut lines = Vec::new();
    for user in &page {
        lines.extend(to_json(user));
        lines.push(b'\n');
    }
    Some((lines.into(), last))
}

pub(super) async fn stats(State(app): Shared) -> Response<Body> {
    headers::json(StatusCode::OK, to_json(&app.stats()))
}

/// Sets other limits from now on; the body is a plan's name as plain text.
pub(super) async fn limits(State(app): Shared, name: String) -> Response<Body> {
    match name.trim().parse::<Plan>() {
        Ok(plan) => {
            app.limits().change(&plan, app.clock.now_ms());
            headers::json(StatusCode::OK, to_json(&serde_json::json!({ "limits": plan.name() })))
        }
        Err(error) => {
            let error = serde_json::json!({ "error": error.to_string() });
            headers::json(StatusCode::BAD_REQUEST, to_json(&error))
        }
    }
}
