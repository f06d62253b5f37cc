//! Requests and answers as Auth0 writes them (FACTS §4.1). The simulator has its own on
//! purpose: shared types would hide the same mistake on both sides.

use ferry_domain::{Auth0UserId, ports};
use secrecy::ExposeSecret;
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};

/// `POST /oauth/token`.
#[derive(Serialize)]
pub(crate) struct TokenQuestion<'a> {
    pub(crate) grant_type: &'static str,
    pub(crate) client_id: &'a str,
    pub(crate) client_secret: &'a str,
    pub(crate) audience: &'a str,
}

/// No `Debug`: it holds the token.
#[derive(Deserialize)]
pub(crate) struct TokenAnswer {
    pub(crate) access_token: String,
    /// Lifetime of the token in seconds.
    pub(crate) expires_in: u64,
    /// What the token allows, with spaces between.
    pub(crate) scope: Option<String>,
    /// Time of day at Auth0, from the header `date`.
    #[serde(skip)]
    pub(crate) date: Option<String>,
}

/// `POST /users`. No `Debug`: it holds the password.
#[derive(Serialize)]
pub(crate) struct NewUser<'a> {
    user_id: &'a str,
    connection: &'a str,
    email: &'a str,
    email_verified: bool,
    /// Always: the default would send a mail to each user whose address is not verified.
    verify_email: bool,
    password: &'a str,
    blocked: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    given_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    family_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nickname: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    picture: Option<&'a str>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    user_metadata: &'a Map<String, Value>,
    app_metadata: Marked<'a>,
}

/// The record's metadata with our mark under `ferry`.
struct Marked<'a> {
    own: &'a Map<String, Value>,
    mark: &'a Map<String, Value>,
}

impl Serialize for Marked<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.own.iter().filter(|(key, _)| *key != MARK) {
            map.serialize_entry(key, value)?;
        }
        map.serialize_entry(MARK, self.mark)?;
        map.end()
    }
}

/// Key of our mark in `app_metadata`.
const MARK: &str = "ferry";

impl<'a> From<&'a ports::NewUser> for NewUser<'a> {
    fn from(user: &'a ports::NewUser) -> Self {
        let record = &user.record;
        NewUser {
            user_id: user.id.without_provider(),
            connection: &user.connection,
            email: record.email.expose(),
            email_verified: record.email_verified,
            verify_email: false,
            password: user.password.expose_secret(),
            blocked: record.blocked,
            name: record.name.as_deref(),
            given_name: record.given_name.as_deref(),
            family_name: record.family_name.as_deref(),
            nickname: record.nickname.as_deref(),
            picture: record.picture.as_deref(),
            user_metadata: &record.user_metadata,
            app_metadata: Marked { own: &record.app_metadata, mark: &user.mark },
        }
    }
}

/// What is read of the answer to `POST /users`.
#[derive(Deserialize)]
pub(crate) struct Created {
    pub(crate) user_id: String,
}

/// A user in an answer. Users of other connections are among them (`users-by-email`), so
/// fields that providers are known to send in other types are read in these types too.
#[derive(Deserialize)]
pub(crate) struct User {
    user_id: String,
    email: Option<String>,
    #[serde(default, deserialize_with = "yes")]
    email_verified: bool,
    #[serde(default)]
    identities: Vec<Identity>,
    name: Option<String>,
    given_name: Option<String>,
    family_name: Option<String>,
    nickname: Option<String>,
    picture: Option<String>,
    #[serde(default, deserialize_with = "yes")]
    blocked: bool,
    user_metadata: Option<Map<String, Value>>,
    app_metadata: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct Identity {
    connection: Option<String>,
}

impl From<User> for ports::DirectoryUser {
    fn from(user: User) -> Self {
        ports::DirectoryUser {
            id: Auth0UserId(user.user_id),
            email: user.email.map(|email| email.to_lowercase()),
            email_verified: user.email_verified,
            connection: user
                .identities
                .into_iter()
                .next()
                .and_then(|first| first.connection)
                .unwrap_or_default(),
            name: user.name,
            given_name: user.given_name,
            family_name: user.family_name,
            nickname: user.nickname,
            picture: user.picture,
            blocked: user.blocked,
            user_metadata: user.user_metadata.unwrap_or_default(),
            app_metadata: user.app_metadata.unwrap_or_default(),
        }
    }
}

/// `true`, or `"true"` as some identity providers send it; anything else is `false`.
fn yes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(value == Value::Bool(true) || value == "true")
}

/// `GET /connections` without totals: an array.
#[derive(Deserialize)]
pub(crate) struct Connection {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) strategy: String,
}

/// An error of the Management API (FACTS §2.2). The message never leaves the crate.
#[derive(Deserialize)]
pub(crate) struct Failure {
    pub(crate) message: String,
    #[serde(rename = "errorCode")]
    pub(crate) error_code: Option<String>,
}
