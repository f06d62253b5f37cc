//! Which column means what: the `[source]` section of `ferry.toml`.
//!
//! A mapping names columns (tables, CSV) or properties (JSON, NDJSON). A name
//! with dots is tried unchanged first, then as a path into JSON
//! (`_id.$oid`, `emails.0.email`). One flat list of wanted fields is made from
//! it, and every reader delivers its values in the order of that list, so that
//! the rules are the same for all formats.

use std::{collections::BTreeMap, fmt::Write as _};

use ferry_domain::{hex::hex_digest, ports::SourceError};
use serde::{Deserialize, Serialize};

use crate::{
    only::Only,
    presets::{PRESETS, UnknownPreset},
    words::Words,
};

/// Which column each field of a user is read from, and how inactive users, unverified
/// addresses and password hashes are treated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mapping {
    /// The preset this mapping started from; it may have joins and other spellings.
    pub preset: Option<String>,
    /// Table or view, for databases; `schema.table` where no [`Mapping::schema`] is set.
    pub table: Option<String>,
    /// Schema of the table (PostgreSQL); the search path decides without it.
    pub schema: Option<String>,
    /// Which records belong to the move, by values of their columns; all without it.
    pub only: Only,
    /// Property that holds the array, for a JSON file that is an object; dots
    /// descend. Without it the file is an array or has the array under `users`.
    pub users_at: Option<String>,
    /// What begins a comment line before the header of a CSV file; `#` without it.
    pub comment: Option<String>,
    /// Which column means what.
    pub columns: Columns,
    /// Makes the key from another field, for sources without a key column.
    pub key_from: Option<KeyFrom>,
    /// Whether addresses count as verified.
    pub email_verified: EmailVerified,
    /// How users are treated who are not active, or deleted.
    pub inactive: Inactive,
    /// The application's own words for yes and no.
    pub words: Words,
    /// Words that mean "no value", in every field; without it those that databases write
    /// for NULL, in files.
    pub null_words: Option<Vec<String>>,
    /// Values of the provider column that mean "signs in with a password here";
    /// any other value is a federated user. Case does not matter.
    pub database_providers: Vec<String>,
    /// Moves users with a password hash without it; they must reset their password.
    pub discard_hashes: bool,
    /// What to do where row-level security may hide rows from the database user.
    #[serde(skip_serializing_if = "RowSecurity::is_refuse")]
    pub row_security: RowSecurity,
}

/// Names of columns; `None` where the source has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Columns {
    /// Identity of a user in the source: unique and lasting.
    pub key: Option<String>,
    /// Column of the e-mail address. Required.
    pub email: Option<String>,
    /// A boolean, a time (set means verified), or a list of verified addresses.
    pub email_verified: Option<String>,
    /// Column of the display name.
    pub name: Option<String>,
    /// Column of the first name.
    pub given_name: Option<String>,
    /// Column of the last name.
    pub family_name: Option<String>,
    /// Column of the nickname.
    pub nickname: Option<String>,
    /// Column with the URI of a picture.
    pub picture: Option<String>,
    /// Boolean; false makes the user inactive, see [`Mapping::inactive`]. Null counts as active.
    pub active: Option<String>,
    /// Boolean; true makes the user blocked at Auth0.
    pub blocked: Option<String>,
    /// When the user was deleted; any time makes the user inactive.
    pub deleted_at: Option<String>,
    /// Since when the user is blocked; any time makes the user blocked at Auth0.
    pub blocked_at: Option<String>,
    /// Until when the user is blocked; a time to come makes the user blocked at Auth0.
    pub banned_until: Option<String>,
    /// How the user signs in; see [`Mapping::database_providers`].
    pub provider: Option<String>,
    /// Password hash. Only its presence counts; it is never read from a table.
    pub password_hash: Option<String>,
    /// Id at Auth0 of users that were moved already. May be missing in the source.
    pub auth0_user_id: Option<String>,
    /// Key in `user_metadata` to column.
    pub user_metadata: BTreeMap<String, String>,
    /// Key in `app_metadata` to column.
    pub app_metadata: BTreeMap<String, String>,
}

/// What a derived key is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyFrom {
    /// The address, trimmed and lower-case. A user who changes it is another user.
    Email,
}

/// Whether addresses count as verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmailVerified {
    /// As the mapped column says, user by user.
    #[default]
    Column,
    /// All of them: the operator decided so.
    Assume,
    /// None of them.
    Never,
}

/// What to do where row-level security may hide rows of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowSecurity {
    /// Refuse: people whom a policy hides would be left out without a word.
    #[default]
    Refuse,
    /// Read what is seen; a person said that this is every row that matters.
    Accept,
}

impl RowSecurity {
    fn is_refuse(&self) -> bool {
        *self == RowSecurity::Refuse
    }
}

/// How inactive users are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Inactive {
    /// Left out, with the code `DISABLED`.
    #[default]
    Skip,
    /// Moved as blocked users.
    Block,
    /// Moved as if active.
    Carry,
}

impl Mapping {
    /// SHA-256 of the whole mapping, as 64 hex digits: two plans with different digests
    /// may read the same source differently.
    pub fn digest(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default(); // can't fail: string keys and plain values only
        hex_digest(&json)
    }

    /// The mapping in lines for people: first the columns, then the decisions.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for field in self.fields() {
            let _ = writeln!(text, "{} from {}", field.target.name(), field.names[0]); // writing to a String can't fail
        }
        if let Some(KeyFrom::Email) = self.key_from {
            text.push_str("key from the address, lower-case\n");
        }
        text.push_str(match self.email_verified {
            EmailVerified::Column => "addresses are verified where the column says so\n",
            EmailVerified::Assume => "all addresses are taken as verified\n",
            EmailVerified::Never => "no address is taken as verified\n",
        });
        if self.columns.active.is_some() || self.columns.deleted_at.is_some() {
            text.push_str(match self.inactive {
                Inactive::Skip => "inactive users are left out\n",
                Inactive::Block => "inactive users are carried as blocked\n",
                Inactive::Carry => "inactive users are carried as if active\n",
            });
        }
        if self.row_security == RowSecurity::Accept {
            text.push_str("row-level security may hide people: accepted\n");
        }
        for line in self.only.describe() {
            text.push_str(&line);
            text.push('\n');
        }
        if self.discard_hashes {
            text.push_str("password hashes are discarded: users must reset their password\n");
        }
        text
    }

    /// Validates the mapping: refuses one that no source could be read with.
    pub(crate) fn check(&self) -> Result<(), SourceError> {
        let columns = &self.columns;
        match (&columns.key, self.key_from) {
            (None, None) => {
                return Err(wrong(
                    "key",
                    "no key is mapped",
                    "Map columns.key to a column that is unique and lasting, or set key_from = \"email\"",
                ));
            }
            (Some(_), Some(_)) => {
                return Err(wrong("key_from", "both columns.key and key_from are set", "Keep one of them"));
            }
            _ => {}
        }
        if columns.email.is_none() {
            return Err(wrong("email", "no address is mapped", "Map columns.email"));
        }
        if self.email_verified == EmailVerified::Column && columns.email_verified.is_none() {
            return Err(wrong(
                "email_verified",
                "nothing says whether addresses are verified",
                "Map columns.email_verified, or decide by email_verified = \"assume\" or \"never\"",
            ));
        }
        if let Some(name) = self.preset.as_deref().filter(|name| !PRESETS.contains(name)) {
            return Err(wrong("preset", &UnknownPreset(name.to_owned()).to_string(), "Correct the name"));
        }
        self.check_words()?;
        for key in columns.user_metadata.keys() {
            check_metadata_key("user_metadata", key, &[])?;
        }
        for key in columns.app_metadata.keys() {
            check_metadata_key("app_metadata", key, RESERVED_APP_METADATA)?;
        }
        Ok(())
    }

    /// Refuses what holds for files only. A key made of the address is in no column as it is, so no id
    /// could be written back by it.
    ///
    /// # Errors
    /// A derived key.
    pub fn check_for_table(&self) -> Result<(), SourceError> {
        if self.key_from.is_none() {
            return Ok(());
        }
        Err(wrong(
            "key_from",
            "a table's rows get their ids by a column, and this key is in none",
            "Map columns.key to a column that is unique and lasting; columns.key = \"email\" takes addresses as they are",
        ))
    }

    fn check_words(&self) -> Result<(), SourceError> {
        let columns = &self.columns;
        for (field, words) in self.words.all() {
            let mapped = match field {
                "active" => &columns.active,
                "blocked" => &columns.blocked,
                _ => &columns.email_verified,
            };
            let name = format!("words.{field}");
            if !words.is_empty() && mapped.is_none() {
                return Err(wrong(&name, "words are set for a column that is not mapped", "Map the column"));
            }
            if words.contradiction() {
                return Err(wrong(&name, "one word means yes and no", "Remove it from one of the lists"));
            }
        }
        Ok(())
    }

    /// Schema and table, where a table is named. `app.users` means the table `users` of the schema `app`,
    /// unless a schema is set: then a dot belongs to the table's name.
    pub(crate) fn table_name(&self) -> Option<(Option<&str>, &str)> {
        let table = self.table.as_deref()?;
        match (self.schema.as_deref(), table.split_once('.')) {
            (None, Some((schema, table))) if !schema.is_empty() && !table.is_empty() => {
                Some((Some(schema), table))
            }
            (schema, _) => Some((schema, table)),
        }
    }
}

/// Keys of `app_metadata` that Auth0 refuses (FACTS §4.1), and the one Ferry writes.
const RESERVED_APP_METADATA: &[&str] = &[
    "__tenant",
    "_id",
    "blocked",
    "clientID",
    "created_at",
    "email",
    "email_verified",
    "ferry",
    "globalClientID",
    "global_client_id",
    "identities",
    "lastIP",
    "lastLogin",
    "loginsCount",
    "metadata",
    "multifactor",
    "multifactor_last_modified",
    "updated_at",
    "user_id",
];

fn check_metadata_key(object: &str, key: &str, reserved: &[&str]) -> Result<(), SourceError> {
    if key.is_empty() || key.contains(['.', '$', '\0']) || reserved.contains(&key) {
        let field = format!("{object}.{key}");
        return Err(wrong(
            &field,
            "METADATA_KEY_FORBIDDEN: this metadata key is empty, reserved, or has a dot or a dollar sign in it",
            "Choose another key",
        ));
    }
    Ok(())
}

fn wrong(field: &str, what: &str, remedy: &str) -> SourceError {
    SourceError {
        place: "[source]".to_owned(),
        line: None,
        field: Some(field.to_owned()),
        what: what.to_owned(),
        remedy: remedy.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn minimal() -> Mapping {
        let mut mapping = Mapping::default();
        mapping.columns.key = Some("id".into());
        mapping.columns.email = Some("email".into());
        mapping.email_verified = EmailVerified::Never;
        mapping
    }

    #[test]
    fn what_no_source_could_be_read_with_is_refused_naming_the_field() {
        assert_eq!(minimal().check(), Ok(()));
        type Break = fn(&mut Mapping);
        let broken: [(&str, Break); 11] = [
            ("words.active", |m| m.words.active.no = vec!["gone".into()]),
            ("words.blocked", |m| {
                m.columns.blocked = Some("status".into());
                (m.words.blocked.yes, m.words.blocked.no) = (vec!["Out".into()], vec!["out".into()]);
            }),
            ("key", |m| m.columns.key = None),
            ("key_from", |m| m.key_from = Some(KeyFrom::Email)),
            ("email", |m| m.columns.email = None),
            ("email_verified", |m| m.email_verified = EmailVerified::Column),
            ("preset", |m| m.preset = Some("gold".into())),
            ("app_metadata.ferry", |m| drop(m.columns.app_metadata.insert("ferry".into(), "x".into()))),
            ("app_metadata.user_id", |m| drop(m.columns.app_metadata.insert("user_id".into(), "x".into()))),
            ("user_metadata.a.b", |m| drop(m.columns.user_metadata.insert("a.b".into(), "x".into()))),
            ("user_metadata.$a", |m| drop(m.columns.user_metadata.insert("$a".into(), "x".into()))),
        ];
        for (field, break_it) in broken {
            let mut mapping = minimal();
            break_it(&mut mapping);
            assert_eq!(mapping.check().unwrap_err().field.as_deref(), Some(field));
        }
        let mut own = minimal();
        own.columns.user_metadata.insert("user_id".into(), "x".into());
        assert_eq!(own.check(), Ok(()), "user_metadata has no reserved words");
    }

    #[test]
    fn unknown_settings_are_refused_and_words_are_snake_case() {
        assert!(serde_json::from_str::<Mapping>(r#"{"tabel":"users"}"#).is_err());
        assert!(serde_json::from_str::<Mapping>(r#"{"columns":{"e-mail":"x"}}"#).is_err());
        let json = r#"{"key_from":"email","email_verified":"assume","inactive":"block"}"#;
        let mapping: Mapping = serde_json::from_str(json).unwrap();
        assert_eq!(mapping.key_from, Some(KeyFrom::Email));
        assert_eq!((mapping.email_verified, mapping.inactive), (EmailVerified::Assume, Inactive::Block));
    }

    #[test]
    fn the_digest_sees_every_decision_and_the_description_says_it() {
        let base = minimal();
        let changed: [fn(&mut Mapping); 4] = [
            |m| m.columns.name = Some("n".into()),
            |m| m.email_verified = EmailVerified::Assume,
            |m| m.inactive = Inactive::Carry,
            |m| m.discard_hashes = true,
        ];
        for change in changed {
            let mut other = minimal();
            change(&mut other);
            assert_ne!(base.digest(), other.digest());
        }
        assert_eq!(base.digest().len(), 64);
        assert!(base.describe().contains("key from id"), "{}", base.describe());
        assert!(base.describe().contains("no address is taken as verified"));
    }
}
