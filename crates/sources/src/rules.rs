//! From a raw record to a user or a refusal: the rules, in a fixed order.
//!
//! The first rule that fails decides, so that the same record gets the same
//! code from every reader and every run. Pure: no I/O, no clock. Two records
//! with the same key or address are not detected here: the ledger sees all
//! records, a reader only the present one.

use ferry_domain::{
    Auth0UserId, Code, Email, Origin, Outcome, SourceKey, UserRecord,
    ports::{Candidate, Settled},
};
use serde_json::{Map, Value};

use crate::{
    email,
    fields::Target,
    mapping::{EmailVerified, Inactive, KeyFrom, Mapping},
    values::{self, MetadataFault, Unfit},
};

/// Characters of a key. Not a limit of Auth0 but of a database index.
const KEY: usize = 255;
/// Characters of `name` and `nickname` (FACTS §4.1).
const LONG_NAME: usize = 300;
/// Characters of `given_name` and `family_name` (FACTS §4.1).
const SHORT_NAME: usize = 150;

/// A record as a reader delivers it: values in the order of [`Mapping::fields`],
/// or why it could not be read.
pub(crate) type Raw = Result<Vec<Value>, Code>;

/// The rules of one mapping.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    targets: Vec<Target>,
    key_from: Option<KeyFrom>,
    email_verified: EmailVerified,
    inactive: Inactive,
    database_providers: Vec<String>,
}

impl Rules {
    pub(crate) fn new(mapping: &Mapping) -> Self {
        Rules {
            targets: mapping.fields().into_iter().map(|field| field.target).collect(),
            key_from: mapping.key_from,
            email_verified: mapping.email_verified,
            inactive: mapping.inactive,
            database_providers: mapping.database_providers.clone(),
        }
    }

    /// Decides about one record.
    pub(crate) fn judge(&self, origin: Origin, raw: Raw) -> Candidate {
        let values = match raw {
            Ok(values) => values,
            Err(code) => return settled(origin, None, Outcome::failed(code)),
        };
        let row = Row { targets: &self.targets, values: &values };
        let key = match self.key(&row) {
            Ok(key) => key,
            Err(outcome) => return settled(origin, None, outcome),
        };
        match self.user(&row, key.clone()) {
            Ok(record) => Candidate::User { origin, record: Box::new(record) },
            Err(outcome) => settled(origin, key, outcome),
        }
    }

    /// The key; `None` only where it is derived from an address that is refused.
    fn key(&self, row: &Row) -> Result<Option<SourceKey>, Outcome> {
        if self.key_from == Some(KeyFrom::Email) {
            let address = values::text(row.get(&Target::Email)).unwrap_or(None).unwrap_or_default();
            let good = email::check(address.trim()).is_ok();
            return Ok(good.then(|| SourceKey(Email::normalised(&address).expose().to_owned())));
        }
        match values::text(row.get(&Target::Key)) {
            Ok(None) => Err(Outcome::failed(Code::KeyMissing)),
            Ok(Some(key)) if key.chars().any(char::is_control) => Err(invalid(&Target::Key)),
            Ok(Some(key)) if key.chars().count() > KEY => Err(too_long(&Target::Key)),
            Ok(Some(key)) => Ok(Some(SourceKey(key))),
            Err(Unfit) => Err(invalid(&Target::Key)),
        }
    }

    fn user(&self, row: &Row, key: Option<SourceKey>) -> Result<UserRecord, Outcome> {
        if let Some(id) = row.text(&Target::Auth0UserId)? {
            return Err(Outcome::skipped(Code::AlreadyMigrated, Some(Auth0UserId(id))));
        }
        let inactive = row.boolean(&Target::Active)? == Some(false);
        if inactive && self.inactive == Inactive::Skip {
            return Err(Outcome::skipped(Code::Disabled, None));
        }
        if self.is_federated(row.get(&Target::Provider)) {
            return Err(Outcome::failed(Code::Federated));
        }
        let address = address(row)?;
        let verified = match self.email_verified {
            EmailVerified::Assume => true,
            EmailVerified::Never => false,
            EmailVerified::Column => values::verified(row.get(&Target::EmailVerified), address.expose())
                .map_err(|Unfit| invalid(&Target::EmailVerified))?,
        };
        // A derived key is made of the address, which was accepted above.
        let key = key.ok_or_else(|| Outcome::failed(Code::KeyMissing))?;
        let record = UserRecord {
            name: row.limited(&Target::Name, LONG_NAME)?,
            given_name: row.limited(&Target::GivenName, SHORT_NAME)?,
            family_name: row.limited(&Target::FamilyName, SHORT_NAME)?,
            nickname: row.limited(&Target::Nickname, LONG_NAME)?,
            picture: picture(row)?,
            blocked: row.boolean(&Target::Blocked)? == Some(true)
                || (inactive && self.inactive == Inactive::Block),
            user_metadata: row
                .metadata(|t| if let Target::UserMetadata(key) = t { Some(key) } else { None })?,
            app_metadata: row
                .metadata(|t| if let Target::AppMetadata(key) = t { Some(key) } else { None })?,
            ..UserRecord::new(key, address, verified)
        };
        if carries_hash(row.get(&Target::PasswordHash)) {
            return Err(Outcome::failed(Code::HashNeedsImport));
        }
        Ok(record)
    }

    /// No provider means a database user; of several, one database provider is enough.
    fn is_federated(&self, provider: &Value) -> bool {
        let ours = |name: &str| self.database_providers.iter().any(|p| p.eq_ignore_ascii_case(name.trim()));
        match provider {
            value if values::is_absent(value) => false,
            Value::Array(list) if list.is_empty() => false,
            Value::Array(list) => !list.iter().any(|one| one.as_str().is_some_and(ours)),
            Value::Bool(yes) => !ours(if *yes { "true" } else { "false" }),
            value => !values::text(value).is_ok_and(|name| name.is_some_and(|name| ours(&name))),
        }
    }
}

fn settled(origin: Origin, key: Option<SourceKey>, outcome: Outcome) -> Candidate {
    Candidate::Settled(Settled { origin, key, outcome })
}

fn invalid(target: &Target) -> Outcome {
    Outcome::failed(Code::FieldInvalid).at_field(target.name())
}

fn too_long(target: &Target) -> Outcome {
    Outcome::failed(Code::FieldTooLong).at_field(target.name())
}

fn address(row: &Row) -> Result<Email, Outcome> {
    let text = match values::text(row.get(&Target::Email)) {
        Ok(None) => return Err(Outcome::failed(Code::EmailMissing).at_field("email")),
        Ok(Some(text)) => text,
        Err(Unfit) => return Err(Outcome::failed(Code::EmailInvalid).at_field("email")),
    };
    email::check(text.trim()).map_err(|code| Outcome::failed(code).at_field("email"))?;
    Ok(Email::normalised(&text))
}

fn picture(row: &Row) -> Result<Option<String>, Outcome> {
    let picture = row.text(&Target::Picture)?;
    match picture.as_deref().map(|text| url::Url::parse(text.trim())) {
        Some(Err(_)) => Err(invalid(&Target::Picture)),
        _ => Ok(picture.map(|text| text.trim().to_owned())),
    }
}

/// Only whether there is one: the hash itself is not used.
fn carries_hash(value: &Value) -> bool {
    match value {
        Value::Bool(there) => *there,
        Value::Object(members) => !members.is_empty(),
        Value::Array(items) => !items.is_empty(),
        other => !values::is_absent(other),
    }
}

struct Row<'a> {
    targets: &'a [Target],
    values: &'a [Value],
}

impl Row<'_> {
    fn get(&self, target: &Target) -> &Value {
        let place = self.targets.iter().position(|t| t == target);
        place.and_then(|at| self.values.get(at)).unwrap_or(&Value::Null)
    }

    fn text(&self, target: &Target) -> Result<Option<String>, Outcome> {
        values::text(self.get(target)).map_err(|Unfit| invalid(target))
    }

    fn boolean(&self, target: &Target) -> Result<Option<bool>, Outcome> {
        values::boolean(self.get(target)).map_err(|Unfit| invalid(target))
    }

    fn limited(&self, target: &Target, most: usize) -> Result<Option<String>, Outcome> {
        match self.text(target)? {
            Some(text) if text.chars().count() > most => Err(too_long(target)),
            text => Ok(text),
        }
    }

    fn metadata(&self, key_of: fn(&Target) -> Option<&String>) -> Result<Map<String, Value>, Outcome> {
        let mut map = Map::new();
        for (target, value) in self.targets.iter().zip(self.values) {
            let Some(key) = key_of(target) else { continue };
            if values::is_absent(value) {
                continue;
            }
            match values::metadata_fault(value) {
                None => map.insert(key.clone(), value.clone()),
                Some(MetadataFault::Key) => {
                    return Err(Outcome::failed(Code::MetadataKeyForbidden).at_field(target.name()));
                }
                Some(MetadataFault::Value) => return Err(invalid(target)),
            };
        }
        Ok(map)
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
