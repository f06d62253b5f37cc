//! `/api/v2/users…`: create, read, change, delete, and find by address.

use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Response, StatusCode};
use serde_json::Value;

use super::{Shared, is_form};
use crate::app::App;
use crate::errors::ApiError;
use crate::gate;
use crate::headers::{Answer, to_json};
use crate::operations::Operation;
use crate::state::{NewUser, UserChanges};
use crate::validate::users::{CREATE, UPDATE, check_metadata};
use crate::validate::{Query, invalid, is_user_id, read_body};

type Id = Result<Path<String>, PathRejection>;

pub(super) async fn create(State(app): Shared, headers: HeaderMap, body: Bytes) -> Response<Body> {
    gate::serve(&app, Operation::CreateUser, &headers, |app| {
        let new = read_new_user(is_form(&headers), &body)?;
        let document = {
            let mut tenant = app.tenant();
            to_json(tenant.create(new, &app.ids, app.clock.now_ms())?)
        };
        if app.faults.loses_answer() {
            return Ok(Answer::Cut);
        }
        app.log.user_created();
        Ok(Answer::Json(StatusCode::CREATED, document))
    })
    .await
}

fn read_new_user(form: bool, body: &[u8]) -> Result<NewUser, ApiError> {
    let body = CREATE.check(read_body(form, body)?)?;
    check_metadata(&body)?;
    // The schema has seen every field, so this cannot fail; if it does, it is a refusal.
    serde_json::from_value(Value::Object(body)).map_err(|_| invalid("Invalid user"))
}

pub(super) async fn read(
    State(app): Shared,
    headers: HeaderMap,
    id: Id,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    gate::serve(&app, Operation::ReadUser, &headers, |app| {
        let id = checked(id)?;
        let query = Query::parse(query.as_deref(), &["fields", "include_fields"])?;
        let filter = query.field_filter()?;
        let tenant = app.tenant();
        let user = tenant.user(&id).ok_or_else(ApiError::unknown_user)?;
        let Some(filter) = filter else {
            return Ok(Answer::ok(user));
        };
        let mut document = serde_json::to_value(user).unwrap_or_default();
        filter.apply(&mut document);
        Ok(Answer::ok(&document))
    })
    .await
}

pub(super) async fn update(State(app): Shared, headers: HeaderMap, id: Id, body: Bytes) -> Response<Body> {
    gate::serve(&app, Operation::UpdateUser, &headers, |app| {
        let id = checked(id)?;
        let body = UPDATE.check(read_body(is_form(&headers), &body)?)?;
        check_metadata(&body)?;
        let changes = UserChanges::new(body)?;
        let now_ms = app.clock.now_ms();
        Ok(Answer::ok(app.tenant().update(&id, changes, now_ms)?))
    })
    .await
}

/// Deleting a user that is not there is 204 too, as far as is known.
pub(super) async fn delete(State(app): Shared, headers: HeaderMap, id: Id) -> Response<Body> {
    gate::serve(&app, Operation::DeleteUser, &headers, |app| {
        app.tenant().remove(&checked(id)?);
        Ok(Answer::NoContent)
    })
    .await
}

pub(super) async fn by_email(
    State(app): Shared,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    gate::serve(&app, Operation::UsersByEmail, &headers, |app| find_by_email(app, query.as_deref())).await
}

/// Case counts: addresses are stored in lower case, and another spelling finds nothing.
fn find_by_email(app: &App, query: Option<&str>) -> Result<Answer, ApiError> {
    let query = Query::parse(query, &["email", "fields", "include_fields"])?;
    let email = query.required("email")?;
    let filter = query.field_filter()?;
    let mut found: Vec<Value> = app
        .tenant()
        .users_by_email(email)
        .map(|user| serde_json::to_value(user).unwrap_or_default())
        .collect();
    if let Some(filter) = filter {
        found.iter_mut().for_each(|document| filter.apply(document));
    }
    Ok(Answer::ok(&found))
}

/// The decoded id of the path, if it names a provider.
fn checked(id: Id) -> Result<String, ApiError> {
    let id = id.map(|Path(id)| id).unwrap_or_default();
    if is_user_id(&id) {
        return Ok(id);
    }
    Err(ApiError::bad_request(
        "invalid_uri",
        format!("Object didn't pass validation for format user-id: {id}"),
    ))
}
