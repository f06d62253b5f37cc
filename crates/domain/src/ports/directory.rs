//! The port to Auth0.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::{code::Code, ids::Auth0UserId, record::UserRecord};

/// What is sent to create a user. The password exists only here and in the request.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The id chosen in advance.
    pub id: Auth0UserId,
    /// Name of the connection.
    pub connection: String,
    /// The user.
    pub record: UserRecord,
    /// 256 random bits; see [`crate::password`].
    pub password: SecretString,
    /// `app_metadata.ferry`: `source_key`, `run`, `digest`. Says that the user is ours.
    pub mark: Map<String, Value>,
}

/// A user as Auth0 holds it. `Debug` shows the id only.
#[derive(Clone, PartialEq)]
#[expect(missing_docs, reason = "names of Auth0's profile")]
pub struct DirectoryUser {
    /// With the provider before it, as in `auth0|…`.
    pub id: Auth0UserId,
    /// Lower-case; absent for users without one.
    pub email: Option<String>,
    /// Whether the address was confirmed.
    pub email_verified: bool,
    /// Name of the connection of the first identity.
    pub connection: String,
    pub name: Option<String>,
    pub given_name: Option<String>,
    pub family_name: Option<String>,
    pub nickname: Option<String>,
    pub picture: Option<String>,
    /// Whether signing in is refused.
    pub blocked: bool,
    /// The user's own preferences.
    pub user_metadata: Map<String, Value>,
    /// What applications know, our mark included.
    pub app_metadata: Map<String, Value>,
}

impl fmt::Debug for DirectoryUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DirectoryUser {{ id: {}, … }}", self.id)
    }
}

/// A connection users are created in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// `con_…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `auth0` for databases.
    pub strategy: String,
}

/// Why a call did not give what was asked, as far as the caller decides on it.
/// No text of a user's data and no URL is ever inside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// 409: the address or the id is taken.
    #[error("the user exists already")]
    Exists,
    /// Auth0 refused this request for good; others may pass.
    #[error("refused: {code}{}", field.as_deref().map(|f| format!(" at {f}")).unwrap_or_default())]
    Refused {
        /// Code of the reason.
        code: Code,
        /// Name of the property it complained about.
        field: Option<String>,
    },
    /// 429 for longer than the client waits by itself. Nothing was done.
    #[error("the rate limit is used up")]
    Throttled {
        /// What the server said about when to come back.
        retry_after: Option<Duration>,
    },
    /// 401 even with a new token. Nothing was done.
    #[error("the token is refused")]
    TokenRefused,
    /// 403: the token lacks a scope. Nothing was done.
    #[error("the token lacks a scope: {scopes}")]
    ScopeMissing {
        /// The scopes Auth0 named.
        scopes: String,
    },
    /// Nothing was sent, or the server said so: the call had no effect.
    #[error("not sent: {0}")]
    NotSent(Code),
    /// Sent, but the outcome is not known: time-out, reset, 5xx, unreadable answer.
    #[error("outcome unknown: {0}")]
    Unknown(Code),
}

impl DirectoryError {
    /// The code to record.
    pub fn code(&self) -> Code {
        match self {
            DirectoryError::Exists => Code::ExistsByPolicy,
            DirectoryError::Refused { code, .. }
            | DirectoryError::NotSent(code)
            | DirectoryError::Unknown(code) => *code,
            DirectoryError::Throttled { .. } => Code::RateLimited,
            DirectoryError::TokenRefused => Code::TokenRefused,
            DirectoryError::ScopeMissing { .. } => Code::ScopeMissing,
        }
    }
}

/// Requests that are out, and how long none of them was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Requests without an answer.
    pub requests: usize,
    /// Since the last answer to any, or since the first was sent.
    pub lasts: Duration,
}

/// For progress lines: "waiting for Auth0: 64 requests without an answer for 6 s".
impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.requests == 1 { "" } else { "s" };
        let (requests, seconds) = (self.requests, self.lasts.as_secs());
        write!(f, "waiting for Auth0: {requests} request{plural} without an answer for {seconds} s")
    }
}

/// Users at the target. Every call waits for a permit of the limiter, renews
/// the token when it must and waits out short 429s by itself.
#[async_trait]
pub trait Directory: Send + Sync {
    /// `POST /users`; the id of the user that was made. Nothing else of the answer is wanted: whether the user
    /// is as it was sent is seen when it is read back.
    async fn create(&self, user: &NewUser) -> Result<Auth0UserId, DirectoryError>;

    /// `GET /users/{id}`; `None` when there is no such user. Immediately consistent.
    async fn get(&self, id: &Auth0UserId) -> Result<Option<DirectoryUser>, DirectoryError>;

    /// The same for a user that was moved, to compare it. Its permit comes after those of all
    /// other calls, out of what they leave of the limit.
    async fn read_back(&self, id: &Auth0UserId) -> Result<Option<DirectoryUser>, DirectoryError>;

    /// `GET /users-by-email`, in lower case. Immediately consistent.
    async fn by_email(&self, email: &str) -> Result<Vec<DirectoryUser>, DirectoryError>;

    /// `PATCH /users/{id}` with the given fields.
    async fn update(
        &self,
        id: &Auth0UserId,
        fields: Map<String, Value>,
    ) -> Result<DirectoryUser, DirectoryError>;

    /// `DELETE /users/{id}`; deleting twice is no error.
    async fn delete(&self, id: &Auth0UserId) -> Result<(), DirectoryError>;

    /// The connection of that name, if there is one.
    async fn connection(&self, name: &str) -> Result<Option<Connection>, DirectoryError>;

    /// Makes sure that there is a token, so that a process learns before its first user whether
    /// it may ask for anything. Sends nothing where there is one.
    async fn sign_in(&self) -> Result<(), DirectoryError>;

    /// Requests sent so far by this process, refused ones included.
    fn requests(&self) -> u64;

    /// Whether requests are out of which none is answered. What waits for a permit is not out.
    fn silence(&self) -> Option<Silence>;
}
