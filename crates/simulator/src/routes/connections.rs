//! `/api/v2/connections…`: list, read, and clear an address.

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Response};
use serde_json::{Value, json};

use super::Shared;
use crate::app::App;
use crate::errors::ApiError;
use crate::gate;
use crate::headers::Answer;
use crate::operations::Operation;
use crate::validate::Query;

const LIST_PARAMETERS: [&str; 9] =
    ["strategy", "name", "page", "per_page", "include_totals", "take", "from", "fields", "include_fields"];

pub(super) async fn list(
    State(app): Shared,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    gate::serve(&app, Operation::ListConnections, &headers, |app| find(app, query.as_deref())).await
}

/// `take` gives the checkpoint form, even next to `include_totals`; else `include_totals` gives the
/// form with totals; else it is a plain array.
fn find(app: &App, query: Option<&str>) -> Result<Answer, ApiError> {
    let query = Query::parse(query, &LIST_PARAMETERS)?;
    let take = query.number("take", "Number of results per page", 1..=100)?;
    let size = query.number("per_page", "Number of results per page", 1..=100)?.unwrap_or(50);
    let page = query.number("page", "Page index of the results to return", 0..=usize::MAX)?.unwrap_or(0);
    let totals = query
        .boolean(
            "include_totals",
            "Whether results are to be returned inside an object that contains the total (true) \
             or as an array (false)",
        )?
        .unwrap_or(false);
    let all = matching(app, &query)?;

    if let Some(take) = take {
        // The cursor is the number of entries already shown; clients must not look into it.
        let start = query.get("from").and_then(|from| from.parse().ok());
        let start: usize = start.unwrap_or(0);
        let mut document = json!({ "connections": window(&all, start, take) });
        if start.saturating_add(take) < all.len() {
            document["next"] = json!((start + take).to_string());
        }
        return Ok(Answer::ok(&document));
    }
    let start = page.saturating_mul(size);
    let shown = window(&all, start, size);
    if totals {
        return Ok(Answer::ok(&json!({
            "total": all.len(),
            "start": start,
            "limit": size,
            "connections": shown,
        })));
    }
    Ok(Answer::ok(&shown))
}

fn matching(app: &App, query: &Query) -> Result<Vec<Value>, ApiError> {
    let filter = query.field_filter()?;
    let name = query.get("name");
    let strategies: Vec<&str> = query.all("strategy").collect();
    Ok(app
        .tenant()
        .connections()
        .iter()
        .filter(|c| name.is_none_or(|name| name == &*c.name))
        .filter(|c| strategies.is_empty() || strategies.contains(&&*c.strategy))
        .map(|connection| {
            let mut document = connection.document(&app.config.client_id);
            if let Some(filter) = &filter {
                filter.apply(&mut document);
            }
            document
        })
        .collect())
}

fn window(all: &[Value], start: usize, size: usize) -> &[Value] {
    let start = start.min(all.len());
    let end = start.saturating_add(size).min(all.len());
    &all[start..end]
}

pub(super) async fn read(
    State(app): Shared,
    headers: HeaderMap,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    gate::serve(&app, Operation::ReadConnection, &headers, |app| {
        let query = Query::parse(query.as_deref(), &["fields", "include_fields"])?;
        let filter = query.field_filter()?;
        let tenant = app.tenant();
        let connection = tenant
            .connections()
            .iter()
            .find(|connection| connection.id == id)
            .ok_or_else(ApiError::unknown_connection_id)?;
        let mut document = connection.document(&app.config.client_id);
        if let Some(filter) = filter {
            filter.apply(&mut document);
        }
        Ok(Answer::ok(&document))
    })
    .await
}

/// The remedy for ghosts: frees an address that is taken although no user has it.
pub(super) async fn delete_user(
    State(app): Shared,
    headers: HeaderMap,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    gate::serve(&app, Operation::DeleteConnectionUser, &headers, |app| {
        let query = Query::parse(query.as_deref(), &["email"])?;
        let email = query.required("email")?;
        if app.tenant().remove_email(&id, email) {
            Ok(Answer::NoContent)
        } else {
            Err(ApiError::unknown_connection_id())
        }
    })
    .await
}
