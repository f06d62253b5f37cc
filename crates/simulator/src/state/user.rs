//! A user as the tenant keeps it, and as the Management API shows it. There is no password in it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Connection;
use super::views::{PlantedUser, UserView};
use crate::clock::timestamp;
use crate::ids::Ids;

/// The body of `POST /users`, after its schema was checked.
#[derive(Deserialize)]
pub(crate) struct NewUser {
    pub(crate) connection: String,
    pub(crate) email: Option<String>,
    /// Checked by the policy, then dropped with the rest of this struct.
    pub(crate) password: Option<String>,
    pub(crate) username: Option<String>,
    user_id: Option<String>,
    phone_number: Option<String>,
    phone_verified: Option<bool>,
    #[serde(default)]
    email_verified: bool,
    blocked: Option<bool>,
    given_name: Option<String>,
    family_name: Option<String>,
    name: Option<String>,
    nickname: Option<String>,
    picture: Option<String>,
    user_metadata: Option<Map<String, Value>>,
    app_metadata: Option<Map<String, Value>>,
}

/// One user. Serialises to the document of the Management API; absent fields are left out.
#[derive(Serialize)]
pub(crate) struct User {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) blocked: Option<bool>,
    pub(super) created_at: Box<str>,
    pub(super) email: String,
    pub(super) email_verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) family_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) given_name: Option<String>,
    identities: [Identity; 1],
    pub(super) name: String,
    pub(super) nickname: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) phone_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) phone_verified: Option<bool>,
    pub(super) picture: String,
    pub(super) updated_at: Box<str>,
    pub(super) user_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user_metadata: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) app_metadata: Option<Map<String, Value>>,
    #[serde(skip)]
    pub(super) connection: Arc<str>,
}

/// Connection and id of a new user. The id is the part after `provider|`.
#[derive(Serialize)]
struct Identity {
    connection: Arc<str>,
    user_id: String,
    provider: String,
    #[serde(rename = "isSocial")]
    is_social: bool,
}

impl User {
    /// Fills in what Auth0 fills in: id, name, nickname, picture, times.
    pub(super) fn create(new: NewUser, connection: &Connection, ids: &Ids, now_ms: u64) -> Self {
        let email = new.email.unwrap_or_default().to_lowercase();
        let own_id = new.user_id.filter(|id| !id.is_empty()).unwrap_or_else(|| ids.object_id(now_ms));
        let provider = connection.strategy.clone();
        let local_part = email.split('@').next().unwrap_or_default();
        let name = new.name.unwrap_or_else(|| email.clone());
        let at: Box<str> = timestamp(now_ms).into();
        Self {
            blocked: new.blocked,
            created_at: at.clone(),
            email_verified: new.email_verified,
            family_name: new.family_name,
            given_name: new.given_name,
            nickname: new.nickname.unwrap_or_else(|| local_part.to_owned()),
            phone_number: new.phone_number,
            phone_verified: new.phone_verified,
            picture: new.picture.unwrap_or_else(|| gravatar(&email, &name)),
            updated_at: at,
            user_id: format!("{provider}|{own_id}"),
            user_metadata: new.user_metadata,
            username: new.username.map(|username| username.to_lowercase()),
            app_metadata: new.app_metadata,
            connection: Arc::clone(&connection.name),
            identities: [Identity {
                connection: Arc::clone(&connection.name),
                user_id: own_id,
                provider,
                is_social: connection.is_social(),
            }],
            email,
            name,
        }
    }

    pub(super) fn planted(planted: PlantedUser, connection: &Connection, ids: &Ids, now_ms: u64) -> Self {
        let prefix = format!("{}|", connection.strategy);
        let own_id = planted.user_id.map(|id| match id.strip_prefix(&prefix) {
            Some(own) => own.to_owned(),
            None => id,
        });
        let new = NewUser {
            connection: connection.name.to_string(),
            email: Some(planted.email),
            password: None,
            username: None,
            user_id: own_id,
            phone_number: None,
            phone_verified: None,
            email_verified: planted.email_verified,
            blocked: planted.blocked,
            given_name: None,
            family_name: None,
            name: planted.name,
            nickname: None,
            picture: None,
            user_metadata: None,
            app_metadata: as_object(planted.app_metadata),
        };
        Self::create(new, connection, ids, now_ms)
    }

    pub(crate) fn view(&self) -> UserView {
        UserView {
            user_id: self.user_id.clone(),
            email: self.email.clone(),
            email_verified: self.email_verified,
            connection: self.connection.to_string(),
            name: self.name.clone(),
            blocked: self.blocked,
            app_metadata: self.app_metadata.clone().map(Value::Object),
            user_metadata: self.user_metadata.clone().map(Value::Object),
            created_at: self.created_at.to_string(),
        }
    }

    /// Takes over what a test changed in the view.
    pub(super) fn rewrite(&mut self, view: UserView) {
        self.email = view.email.to_lowercase();
        self.email_verified = view.email_verified;
        self.name = view.name;
        self.blocked = view.blocked;
        self.app_metadata = as_object(view.app_metadata);
        self.user_metadata = as_object(view.user_metadata);
        self.created_at = view.created_at.into();
    }
}

/// Metadata is an object or absent; anything else counts as absent.
fn as_object(value: Option<Value>) -> Option<Map<String, Value>> {
    match value {
        Some(Value::Object(object)) => Some(object),
        _ => None,
    }
}

/// The default picture: Gravatar's, with the first two letters of the name as a fallback.
fn gravatar(email: &str, name: &str) -> String {
    let digest = md5::compute(email.as_bytes());
    let letters: String = name.chars().take(2).flat_map(char::to_lowercase).collect();
    let letters: String = url::form_urlencoded::byte_serialize(letters.as_bytes()).collect();
    format!(
        "https://s.gravatar.com/avatar/{digest:x}?s=480&r=pg\
         &d=https%3A%2F%2Fcdn.auth0.com%2Favatars%2F{letters}.png"
    )
}
