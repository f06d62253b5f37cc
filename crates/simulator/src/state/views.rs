//! Users as tests read them and put them in.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// A snapshot of one user.
#[derive(Clone, PartialEq, Serialize)]
pub struct UserView {
    /// Full id, such as `auth0|65…`.
    pub user_id: String,
    /// Address in lower case.
    pub email: String,
    /// Whether the address counts as verified.
    pub email_verified: bool,
    /// Name of the connection.
    pub connection: String,
    /// Full name; the address if none was given.
    pub name: String,
    /// Whether the user is blocked, as sent; `None` if it was never sent.
    pub blocked: Option<bool>,
    /// `app_metadata`, an object.
    pub app_metadata: Option<Value>,
    /// `user_metadata`, an object.
    pub user_metadata: Option<Value>,
    /// Time of creation, ISO 8601 with milliseconds.
    pub created_at: String,
}

impl fmt::Debug for UserView {
    /// Shows the id and nothing personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserView")
            .field("user_id", &self.user_id)
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

/// A user to put into the tenant before a test.
#[derive(Clone, Default)]
pub struct PlantedUser {
    /// Name of the connection; the configured one if `None`.
    pub connection: Option<String>,
    /// Id with or without `provider|`; a new one if `None`.
    pub user_id: Option<String>,
    /// Address; stored in lower case.
    pub email: String,
    /// Whether the address counts as verified.
    pub email_verified: bool,
    /// Full name; the address if `None`.
    pub name: Option<String>,
    /// Whether the user is blocked; `None` if it was never set.
    pub blocked: Option<bool>,
    /// `app_metadata`; must be an object.
    pub app_metadata: Option<Value>,
}

impl PlantedUser {
    /// A user of whom only the address is known.
    #[must_use]
    pub fn new(email: impl Into<String>) -> Self {
        Self { email: email.into(), ..Self::default() }
    }
}

impl fmt::Debug for PlantedUser {
    /// Shows the id and nothing personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlantedUser")
            .field("user_id", &self.user_id)
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}
