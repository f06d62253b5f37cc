//! What `PATCH /users/{id}` may change, and how.

use serde_json::{Map, Value};

use super::{Connection, User};
use crate::errors::ApiError;

/// Pairs that Auth0 refuses to change in one request.
const FORBIDDEN_TOGETHER: [(&str, &str); 5] = [
    ("password", "email"),
    ("password", "email_verified"),
    ("username", "email"),
    ("username", "email_verified"),
    ("username", "password"),
];

/// Profile fields that a database user cannot lose.
const NOT_REMOVABLE: [&str; 7] =
    ["email", "username", "given_name", "family_name", "name", "nickname", "picture"];

/// The body of `PATCH /users/{id}`, after its schema was checked.
pub(crate) struct UserChanges(Map<String, Value>);

impl UserChanges {
    /// Takes a checked body.
    ///
    /// # Errors
    /// 400 for fields that cannot be changed together.
    pub(crate) fn new(body: Map<String, Value>) -> Result<Self, ApiError> {
        for (one, other) in FORBIDDEN_TOGETHER {
            if body.contains_key(one) && body.contains_key(other) {
                return Err(refused(format!("Cannot update {one} and {other} simultaneously")));
            }
        }
        Ok(Self(body))
    }

    pub(super) fn connection(&self) -> Option<&str> {
        self.text("connection")
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// Whether this user, in this connection, may be changed like this.
    pub(super) fn allowed(&self, user: &User, connection: &Connection) -> Result<(), ApiError> {
        let removed: Vec<&str> =
            NOT_REMOVABLE.into_iter().filter(|name| self.0.get(*name).is_some_and(Value::is_null)).collect();
        if !removed.is_empty() && connection.is_database() {
            return Err(refused(format!(
                "The following user attributes cannot be removed: {}. The connection ({}) must \
                 either be a custom database connection with import mode disabled, a social or \
                 enterprise connection.",
                removed.join(", "),
                connection.name
            )));
        }
        if let Some(password) = self.text("password") {
            if !connection.is_database() {
                return Err(refused("Connection is not supported for this operation"));
            }
            if !connection.policy.allows(password) {
                return Err(ApiError::weak_password());
            }
        }
        if let Some(email) = self.text("email").map(str::to_lowercase) {
            if !connection.is_database() {
                return Err(refused("Cannot update email for non-database user"));
            }
            // 400, not 409: the one place where a taken address is answered so.
            if email != user.email && connection.knows_email(&email) {
                let text = "The specified new email already exists";
                return Err(ApiError::bad_request("auth0_idp_error", text));
            }
        }
        if let Some(username) = self.text("username").map(str::to_lowercase) {
            let holder = connection.by_username.get(&username);
            if holder.is_some_and(|holder| *holder != user.user_id) {
                let text = "The specified new username already exists";
                return Err(ApiError::bad_request("auth0_idp_error", text));
            }
        }
        Ok(())
    }

    /// Applies the changes: root fields replaced, metadata merged at the first level.
    pub(super) fn apply(mut self, user: &mut User) {
        if let Some(email) = self.text("email").map(str::to_lowercase)
            && email != user.email
        {
            // A new address has to be verified anew unless the request says otherwise.
            user.email = email;
            user.email_verified = false;
        }
        if let Some(verified) = self.0.get("email_verified").and_then(Value::as_bool) {
            user.email_verified = verified;
        }
        if let Some(blocked) = self.0.get("blocked").and_then(Value::as_bool) {
            user.blocked = Some(blocked);
        }
        if let Some(verified) = self.0.get("phone_verified").and_then(Value::as_bool) {
            user.phone_verified = Some(verified);
        }
        if let Some(username) = self.text("username") {
            user.username = Some(username.to_lowercase());
        }
        replace(&mut user.given_name, self.0.remove("given_name"));
        replace(&mut user.family_name, self.0.remove("family_name"));
        replace(&mut user.phone_number, self.0.remove("phone_number"));
        for (field, name) in
            [(&mut user.name, "name"), (&mut user.nickname, "nickname"), (&mut user.picture, "picture")]
        {
            if let Some(Value::String(text)) = self.0.remove(name) {
                *field = text;
            }
        }
        merge(&mut user.user_metadata, self.0.remove("user_metadata"));
        merge(&mut user.app_metadata, self.0.remove("app_metadata"));
    }
}

fn refused(message: impl Into<std::borrow::Cow<'static, str>>) -> ApiError {
    ApiError::bad_request("operation_not_supported", message)
}

/// Sets or, with `null`, removes a field.
fn replace(field: &mut Option<String>, value: Option<Value>) {
    match value {
        Some(Value::String(text)) => *field = Some(text),
        Some(_) => *field = None,
        None => {}
    }
}

/// Merges metadata key by key; `null` removes a key, an empty object removes everything.
fn merge(metadata: &mut Option<Map<String, Value>>, patch: Option<Value>) {
    let Some(Value::Object(patch)) = patch else {
        return;
    };
    let merged = metadata.get_or_insert_default();
    if patch.is_empty() {
        merged.clear();
    }
    for (key, value) in patch {
        if value.is_null() {
            merged.remove(&key);
        } else {
            merged.insert(key, value);
        }
    }
}
