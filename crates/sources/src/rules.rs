//! From a raw record to a user or a refusal: the rules, in a fixed order.
//!
//! The first rule that fails decides, so that the same record gets the same
//! code from every reader and every run. Pure: no I/O, no clock. Two records
//! with the same key or address are not detected here: the ledger sees all
//! records, a reader only the present one.

use std::collections::HashSet;

use ferry_domain::{
    Auth0UserId, Code, Email, Origin, Outcome, SourceKey, UserRecord, null,
    ports::{Candidate, Settled},
};
use serde_json::Value;
use time::OffsetDateTime;

use crate::{
    email,
    fields::Target,
    key,
    mapping::{EmailVerified, Inactive, KeyFrom, Mapping},
    notes::Notes,
    only::Only,
    row::{Row, carries_hash, invalid},
    values::{self, Moment, Unfit},
    words::{NullWords, Words, YesNo},
};

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
    words: Words,
    null_words: NullWords,
    only: Only,
    from_table: bool,
    /// What a time in a column is compared with.
    now: OffsetDateTime,
}

impl Rules {
    pub(crate) fn new(mapping: &Mapping, from_table: bool, now: OffsetDateTime) -> Self {
        Rules {
            targets: mapping.fields().into_iter().map(|field| field.target).collect(),
            key_from: mapping.key_from,
            email_verified: mapping.email_verified,
            inactive: mapping.inactive,
            database_providers: mapping.database_providers.clone(),
            words: mapping.words.clone(),
            null_words: NullWords::new(mapping, from_table),
            only: mapping.only.clone(),
            from_table,
            now,
        }
    }

    /// Decides about one record; `None` if it is none of this move.
    pub(crate) fn judge(&self, origin: Origin, raw: Raw, notes: &mut Notes) -> Option<Candidate> {
        let mut values = match raw {
            Ok(values) => self.null_words.cleared(&self.targets, values),
            Err(code) => return Some(settled(origin, None, Outcome::failed(code))),
        };
        let lacks = self.without_broken(&mut values);
        let row = Row { targets: &self.targets, values: &values };
        // Whether the record is of this move, and who it is, has to be known.
        if let Err(outcome) = row.hidden(|target| matches!(target, Target::Only(_))) {
            return Some(settled(origin, self.key(&row).unwrap_or(None), outcome));
        }
        if let Err(outcome) = row.hidden(|target| *target == Target::Key) {
            return Some(settled(origin, None, outcome));
        }
        if !self.takes(&row) {
            notes.left_out += 1;
            return None;
        }
        let key = match self.key(&row) {
            Ok(key) => key,
            Err(outcome) => return Some(settled(origin, None, outcome)),
        };
        Some(match self.user(&row, key.clone(), notes) {
            Ok(record) => {
                notes.keys.see(&record.key);
                for field in lacks {
                    let first = || (0, format!("{}:{}", origin.place, origin.line));
                    notes.no_json.entry(field).or_insert_with(first).0 += 1;
                }
                self.note_words(&row, notes);
                Candidate::User { origin, record: Box::new(record) }
            }
            Err(outcome) if outcome.code == Some(Code::AlreadyMigrated) => {
                // What is wrong with such a row now is told only of one that was well when it was moved.
                // Whoever was disabled since has an account, which is to be blocked.
                let inactive = if self.inactive == Inactive::Skip { Inactive::Block } else { self.inactive };
                let (record, outcome) = match self.record(&row, key.clone(), inactive, &mut Notes::default())
                {
                    Ok(record) => (Some(Box::new(record)), outcome),
                    Err(now) => (None, Outcome { field: Some(field_of(&now)), ..outcome }),
                };
                Candidate::Settled(Settled { origin, key, outcome, record })
            }
            Err(outcome) => settled(origin, key, outcome),
        })
    }

    /// Takes out what can't be known, since its text is no JSON, and decides nothing; names the fields.
    /// What is there twice was meant to say something, and is not left out.
    fn without_broken(&self, values: &mut [Value]) -> Vec<String> {
        let fields = self.targets.iter().zip(values);
        let is_broken = |value: &Value| values::hidden(value) == Some(Code::FieldInvalid);
        let broken = fields.filter(|(target, value)| target.may_lack() && is_broken(value));
        broken
            .map(|(target, value)| {
                *value = Value::Null;
                target.name()
            })
            .collect()
    }

    /// For each row of a table's page: whether it is of this move and its key is that of a row which
    /// is not. An id is written back by the key, so it would be written into both. Pages end
    /// behind the last row of a key, so all rows of one key are in one page.
    pub(crate) fn sharing(&self, page: &[Raw]) -> Vec<bool> {
        if !self.targets.iter().any(|target| matches!(target, Target::Only(_))) {
            return vec![false; page.len()];
        }
        let rows: Vec<Option<(String, bool)>> = page
            .iter()
            .map(|raw| {
                let row = Row { targets: &self.targets, values: raw.as_ref().ok()? };
                Some((values::text(row.get(&Target::Key)).ok()??, self.takes(&row)))
            })
            .collect();
        let others: HashSet<&str> =
            rows.iter().flatten().filter(|(_, taken)| !taken).map(|(key, _)| key.as_str()).collect();
        let shares = |row: &Option<(String, bool)>| {
            row.as_ref().is_some_and(|(key, taken)| *taken && others.contains(key.as_str()))
        };
        rows.iter().map(shares).collect()
    }

    /// Refuses a row whose key a row of somebody else carries.
    pub(crate) fn refuse_shared(&self, origin: Origin, raw: Raw) -> Candidate {
        let values = raw.unwrap_or_default();
        let key = self.key(&Row { targets: &self.targets, values: &values }).unwrap_or(None);
        settled(origin, key, Outcome::failed(Code::DuplicateKey).at_field(Target::Key.name()))
    }

    /// Whether [`Mapping::only`] takes a record.
    fn takes(&self, row: &Row) -> bool {
        let mut columns = row.targets.iter().zip(row.values);
        columns.all(|(target, value)| match target {
            Target::Only(column) => self.only.takes(column, value),
            _ => true,
        })
    }

    /// The key; `None` only where it is derived from an address that is refused.
    fn key(&self, row: &Row) -> Result<Option<SourceKey>, Outcome> {
        if self.key_from == Some(KeyFrom::Email) {
            let address = values::text(row.get(&Target::Email)).unwrap_or(None).unwrap_or_default();
            let good = email::check(address.trim()).is_ok();
            return Ok(good.then(|| SourceKey(Email::normalised(&address).expose().to_owned())));
        }
        key::of(row.get(&Target::Key), self.from_table).map(Some)
    }

    fn user(&self, row: &Row, key: Option<SourceKey>, notes: &mut Notes) -> Result<UserRecord, Outcome> {
        if let Some(id) = auth0_id(row)? {
            return Err(Outcome::skipped(Code::AlreadyMigrated, Some(id)));
        }
        let record = self.record(row, key, self.inactive, notes)?;
        if carries_hash(row.get(&Target::PasswordHash)) {
            return Err(Outcome::failed(Code::HashNeedsImport));
        }
        Ok(record)
    }

    fn record(
        &self,
        row: &Row,
        key: Option<SourceKey>,
        inactive_users: Inactive,
        notes: &mut Notes,
    ) -> Result<UserRecord, Outcome> {
        row.hidden(|target| matches!(target, Target::Active | Target::DeletedAt))?;
        let inactive = self.is_inactive(row, notes)?;
        if inactive && inactive_users == Inactive::Skip {
            return Err(Outcome::skipped(Code::Disabled, None));
        }
        row.hidden(|_| true)?;
        if self.is_federated(row.get(&Target::Provider)) {
            return Err(Outcome::failed(Code::Federated));
        }
        let address = address(row)?;
        let verified = self.is_verified(row, &address)?;
        // A derived key is made of the address, which was accepted above.
        let key = key.ok_or_else(|| Outcome::failed(Code::KeyMissing))?;
        Ok(UserRecord {
            name: row.limited(&Target::Name, LONG_NAME)?,
            given_name: row.limited(&Target::GivenName, SHORT_NAME)?,
            family_name: row.limited(&Target::FamilyName, SHORT_NAME)?,
            nickname: row.limited(&Target::Nickname, LONG_NAME)?,
            picture: picture(row, notes)?,
            blocked: self.is_blocked(row, notes)? || (inactive && inactive_users == Inactive::Block),
            user_metadata: row
                .metadata(|t| if let Target::UserMetadata(key) = t { Some(key) } else { None })?,
            app_metadata: row
                .metadata(|t| if let Target::AppMetadata(key) = t { Some(key) } else { None })?,
            ..UserRecord::new(key, address, verified)
        })
    }

    fn is_verified(&self, row: &Row, address: &Email) -> Result<bool, Outcome> {
        let value = row.get(&Target::EmailVerified);
        match (self.email_verified, self.words.email_verified.read(value)) {
            (EmailVerified::Assume, _) => Ok(true),
            (EmailVerified::Never, _) => Ok(false),
            (EmailVerified::Column, Some(yes)) => Ok(yes),
            (EmailVerified::Column, None) => {
                values::verified(value, address.expose()).map_err(|Unfit| invalid(&Target::EmailVerified))
            }
        }
    }

    /// Not active, or deleted at any time.
    fn is_inactive(&self, row: &Row, notes: &mut Notes) -> Result<bool, Outcome> {
        let active = flag(row, &Target::Active, &self.words.active, notes)?;
        let deleted = row.moment(&Target::DeletedAt)?;
        Ok(active == Some(false) || is_set(deleted))
    }

    /// Blocked, since any time, or until a time to come.
    fn is_blocked(&self, row: &Row, notes: &mut Notes) -> Result<bool, Outcome> {
        let blocked = flag(row, &Target::Blocked, &self.words.blocked, notes)? == Some(true);
        let since = row.moment(&Target::BlockedAt)?;
        let until = match row.moment(&Target::BannedUntil)? {
            Some(Moment::At(end)) => end > self.now,
            other => is_set(other),
        };
        Ok(blocked || is_set(since) || until)
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

    /// Counts the words among names and metadata that may mean "no value".
    fn note_words(&self, row: &Row, notes: &mut Notes) {
        use Target::{AppMetadata, FamilyName, GivenName, Name, Nickname, UserMetadata};
        for (target, value) in row.targets.iter().zip(row.values) {
            let carried =
                matches!(target, Name | GivenName | FamilyName | Nickname | UserMetadata(_) | AppMetadata(_));
            if carried && let Some(word) = self.null_words.doubtful(value) {
                *notes.words.entry((target.name(), word)).or_default() += 1;
            }
        }
    }
}

/// Yes or no. What is neither is counted by what it is, so that the note can say how to map it.
fn flag(row: &Row, target: &Target, words: &YesNo, notes: &mut Notes) -> Result<Option<bool>, Outcome> {
    row.boolean(target, words).inspect_err(|_| {
        let is_time = matches!(values::moment(row.get(target)), Ok(Some(Moment::At(_) | Moment::Never)));
        let counts = if is_time { &mut notes.times } else { &mut notes.other_words };
        *counts.entry(target.name()).or_default() += 1;
    })
}

fn is_set(moment: Option<Moment>) -> bool {
    !matches!(moment, None | Some(Moment::Flag(false)))
}

/// Anything else than an id of Auth0 (`strategy|id`) would leave the user out for ever.
fn auth0_id(row: &Row) -> Result<Option<Auth0UserId>, Outcome> {
    let Some(text) = row.text(&Target::Auth0UserId)? else { return Ok(None) };
    let id = text.trim();
    let is_strategy = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_alphabetic())
            && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            && !null::WORDS.contains(&word)
    };
    let is_rest =
        |rest: &str| rest.chars().any(|c| c.is_ascii_alphanumeric()) && !rest.chars().any(char::is_control);
    match id.split_once('|') {
        Some((strategy, rest)) if is_strategy(strategy) && is_rest(rest) => {
            Ok(Some(Auth0UserId(id.to_owned())))
        }
        _ => Err(invalid(&Target::Auth0UserId)),
    }
}

fn settled(origin: Origin, key: Option<SourceKey>, outcome: Outcome) -> Candidate {
    Candidate::Settled(Settled { origin, key, outcome, record: None })
}

/// The field that a refusal of a row speaks of.
fn field_of(refusal: &Outcome) -> String {
    let of_code = match refusal.code {
        Some(Code::Federated) => Target::Provider.name(),
        Some(Code::KeyMissing) => Target::Key.name(),
        _ => Target::Active.name(), // no other refusal leaves its field out
    };
    refusal.field.clone().unwrap_or(of_code)
}

fn address(row: &Row) -> Result<Email, Outcome> {
    let text = match values::text(row.get(&Target::Email)) {
        Ok(None) => return Err(Outcome::failed(Code::EmailMissing).at_field("email")),
        Ok(Some(text)) => text,
        Err(Unfit) => return Err(Outcome::failed(Code::EmailInvalid).at_field("email")),
    };
    // What no eye sees at an end is told, and not cut off: the application's own row keeps it.
    let visible = text.trim_matches([' ', '\t', '\r', '\n']);
    if visible != visible.trim() {
        return Err(Outcome::failed(Code::EmailInvisible).at_field("email"));
    }
    email::check(visible).map_err(|code| Outcome::failed(code).at_field("email"))?;
    Ok(Email::normalised(visible))
}

/// Auth0 takes absolute addresses only; for a path within the application nobody is refused.
fn picture(row: &Row, notes: &mut Notes) -> Result<Option<String>, Outcome> {
    let Some(text) = row.text(&Target::Picture)? else { return Ok(None) };
    if url::Url::parse(text.trim()).is_err() {
        notes.pictures += 1;
        return Ok(None);
    }
    Ok(Some(text.trim().to_owned()))
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
