//! A user as Ferry carries it from the source to Auth0.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ids::SourceKey;

/// An address in the form Auth0 stores it: trimmed and lower-case (FACTS §4.1).
/// `Debug` hides it; use [`Email::expose`] where it is really sent.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Email(String);

impl Email {
    /// Lower-cases and trims. Whether the address is valid is the reader's rule.
    pub fn normalised(raw: &str) -> Self {
        Email(raw.trim().to_lowercase())
    }

    /// The address itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

/// A valid user of the source. Limits are those of `POST /users` (FACTS §4.1);
/// the readers refuse what exceeds them, so that nothing is sent in vain.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct UserRecord {
    /// Identity in the source.
    pub key: SourceKey,
    /// Address, at most 254 characters, local part at most 64.
    pub email: Email,
    /// As the source says, or as the preset's setting decides where it has no such column.
    pub email_verified: bool,
    /// Display name, 1–300 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// 1–150 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_name: Option<String>,
    /// 1–150 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family_name: Option<String>,
    /// 1–300 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nickname: Option<String>,
    /// URI of a picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    /// Signing in is refused while true.
    #[serde(default)]
    pub blocked: bool,
    /// The user's own preferences.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub user_metadata: Map<String, Value>,
    /// What the application knows: role, hospital, ward.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub app_metadata: Map<String, Value>,
}

impl UserRecord {
    /// A record with an address and nothing else.
    pub fn new(key: SourceKey, email: Email, email_verified: bool) -> Self {
        UserRecord {
            key,
            email,
            email_verified,
            name: None,
            given_name: None,
            family_name: None,
            nickname: None,
            picture: None,
            blocked: false,
            user_metadata: Map::new(),
            app_metadata: Map::new(),
        }
    }

    /// Digest of every mapped field: the first 32 hex digits of the SHA-256 of
    /// the canonical JSON (fields in the order above, metadata keys sorted).
    pub fn digest(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default(); // can't fail: string keys and plain values only
        crate::hex::hex_digest(&json)[..32].to_owned()
    }

    /// Names of the fields that are not as they were in `then`, the same user's record of an earlier
    /// run. Metadata of the application is named key by key. Names, never values.
    pub fn changed_since(&self, then: &UserRecord) -> Vec<String> {
        let mut fields = Vec::new();
        let mut expect = |name: &str, same: bool| {
            if !same {
                fields.push(name.to_owned());
            }
        };
        expect("email", self.email == then.email);
        expect("email_verified", self.email_verified == then.email_verified);
        expect("blocked", self.blocked == then.blocked);
        expect("name", self.name == then.name);
        expect("given_name", self.given_name == then.given_name);
        expect("family_name", self.family_name == then.family_name);
        expect("nickname", self.nickname == then.nickname);
        expect("picture", self.picture == then.picture);
        expect("user_metadata", self.user_metadata == then.user_metadata);
        let keys: BTreeSet<&String> = self.app_metadata.keys().chain(then.app_metadata.keys()).collect();
        for key in keys {
            expect(&format!("app_metadata.{key}"), self.app_metadata.get(key) == then.app_metadata.get(key));
        }
        fields
    }
}

impl fmt::Debug for UserRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserRecord {{ key: {:?}, … }}", self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> UserRecord {
        UserRecord::new(SourceKey("7".into()), Email::normalised(" Ann@Example.COM "), true)
    }

    #[test]
    fn an_address_is_lower_cased_and_never_printed() {
        assert_eq!(record().email.expose(), "ann@example.com");
        assert!(!format!("{:?}", record()).to_lowercase().contains("example"));
        assert!(!format!("{:?}", record().email).contains("ann"));
    }

    #[test]
    fn the_digest_sees_every_field() {
        let base = record().digest();
        assert_eq!(base.len(), 32);
        let changed: [fn(&mut UserRecord); 10] = [
            |r| r.email = Email::normalised("b@example.com"),
            |r| r.email_verified = false,
            |r| r.name = Some("B".into()),
            |r| r.given_name = Some("B".into()),
            |r| r.family_name = Some("B".into()),
            |r| r.nickname = Some("B".into()),
            |r| r.picture = Some("https://example.com/b.png".into()),
            |r| r.blocked = true,
            |r| drop(r.app_metadata.insert("role".into(), "nurse".into())),
            |r| drop(r.user_metadata.insert("lang".into(), "de".into())),
        ];
        for change in changed {
            let mut other = record();
            change(&mut other);
            assert_ne!(base, other.digest());
            assert_eq!(other.changed_since(&record()).len(), 1, "and it is named");
            assert_eq!(record().changed_since(&other), other.changed_since(&record()));
        }
    }
}
