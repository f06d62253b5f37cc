//! Which mapped fields were found in any record.
//!
//! A property may be missing in any record of JSON. But one that no record of the whole source has is
//! a mapping that does not fit: users would be moved as verified, active and unblocked because nobody
//! looked at the right property. Where that decides something, the source is refused; for names,
//! pictures and metadata it is a warning. The same holds for paths into JSON that columns hold.

use std::collections::BTreeMap;

use ferry_domain::ports::{SourceError, SourceWarning};
use serde_json::Value;

use crate::{
    error::refuse,
    fields::{Field, Target},
    mapping::Mapping,
    names, unmapped,
};

/// Records whose names are kept, for the error.
const SAMPLE: u64 = 1_000;
/// Names kept.
const NAMES: usize = 300;
/// How deep names are looked at: `emails.0.email`.
const DEPTH: usize = 3;

/// What was found of each wanted field, in their order.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    fields: Vec<(Field, Sight)>,
    /// Names in sampled records, as paths.
    names: BTreeMap<String, Name>,
    sampled: u64,
    /// Names of all columns, where a source has columns.
    columns: Vec<String>,
    /// The operator decided that hashes stay behind.
    hashes_discarded: bool,
}

/// A name of records.
#[derive(Clone, Copy, Debug)]
struct Name {
    /// Sampled records that have it.
    records: u64,
    /// It is the name of something inside of another property.
    inside: bool,
}

/// Whether a field was looked for, and found.
#[derive(Clone, Copy, Debug, Default)]
struct Sight {
    looked: bool,
    found: bool,
}

impl Found {
    /// `columns` are the names of all columns, mapped or not; empty for JSON.
    pub(crate) fn new(mapping: &Mapping, columns: Vec<String>) -> Self {
        let fields = mapping.fields().into_iter().map(|field| (field, Sight::default())).collect();
        let hashes_discarded = mapping.discard_hashes;
        Found { fields, names: BTreeMap::new(), sampled: 0, columns, hashes_discarded }
    }

    /// The wanted fields.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().map(|(field, _)| field)
    }

    /// A record was looked at that could have had the field at this position.
    pub(crate) fn note(&mut self, at: usize, found: bool) {
        if let Some((_, sight)) = self.fields.get_mut(at) {
            sight.looked = true;
            sight.found |= found;
        }
    }

    /// Remembers the names in a record, for the error.
    pub(crate) fn sample(&mut self, record: &Value) {
        if self.sampled < SAMPLE {
            self.sampled += 1;
            collect(&mut self.names, record, "", DEPTH);
        }
    }

    /// At the end: refuses a mapping that does not fit.
    ///
    /// # Errors
    /// The first field that decides something and was found nowhere, with the names that are there.
    pub(crate) fn check(&self, place: &str) -> Result<(), SourceError> {
        let mut missing = self
            .fields
            .iter()
            .filter(|(field, sight)| is_missing(*sight) && decides(field))
            .map(|(field, _)| field);
        let Some(field) = missing.next() else { return Ok(()) };
        let (target, name) = (field.target.name(), &field.names[0]);
        // The others as they stand in the mapping: the field that is said is that of the first.
        let others: Vec<String> =
            missing.map(|other| format!("{} = {:?}", other.target.name(), other.names[0])).collect();
        let what = match others.is_empty() {
            true => format!("no record has the property {name:?}"),
            false => format!("no record has the property {name:?}, nor that of {}", others.join(", nor of ")),
        };
        let without = match field.target {
            Target::Key | Target::Email => "",
            Target::EmailVerified => "; or decide by email_verified = \"assume\" or \"never\"",
            _ => "; or take it out of the mapping",
        };
        let remedy = match self.names.is_empty() {
            true => format!("Correct the path of {target}{without}"),
            false => format!("Map {target} to one of: {}{without}", self.there()),
        };
        Err(SourceError { field: Some(target), ..refuse(place, what, remedy) })
    }

    /// At the end: what was found nowhere and decides nothing.
    pub(crate) fn warnings(&self) -> Vec<SourceWarning> {
        let missing = self.fields.iter().filter(|(field, sight)| is_missing(*sight) && !decides(field));
        missing
            .filter(|(field, _)| !field.optional || field.target == Target::Auth0UserId)
            .map(|(field, _)| SourceWarning {
                field: Some(field.target.name()),
                what: format!("no record has {:?}", field.names[0]),
                remedy: "Correct the mapping, or go on without this field".to_owned(),
            })
            .chain(self.unmapped())
            .collect()
    }

    /// What the source holds and the mapping does not carry. Properties of JSON count as names when
    /// more than one record has them.
    fn unmapped(&self) -> Vec<SourceWarning> {
        let fields: Vec<&Field> = self.fields().collect();
        let properties = self.names.iter().filter(|(_, name)| !name.inside && name.records > 1);
        let properties = properties.map(|(name, _)| name.as_str());
        let there = self.columns.iter().map(String::as_str).chain(properties);
        unmapped::warnings(there, &fields, self.hashes_discarded)
    }

    /// The names that are there. Names of the records themselves are trusted when a mapped one is among
    /// them; what is deeper only when it is in most records, since keys of objects may be values.
    fn there(&self) -> String {
        let is_mapped = |name: &str| self.fields().any(|field| field.names.iter().any(|own| own == name));
        let trusted = self.names.keys().any(|name| is_mapped(name));
        let common = |name: &Name| self.sampled > 1 && name.records * 2 >= self.sampled;
        let shown = self.names.iter().filter(|(_, name)| !name.inside || common(name));
        names::listed(shown.map(|(name, _)| name.as_str()), trusted)
    }
}

fn is_missing(sight: Sight) -> bool {
    sight.looked && !sight.found
}

/// Whether the lack of a field changes what becomes of a user.
fn decides(field: &Field) -> bool {
    use Target::*;
    !field.optional
        && matches!(
            field.target,
            Key | Email
                | EmailVerified
                | Active
                | Blocked
                | DeletedAt
                | BlockedAt
                | BannedUntil
                | Provider
                | PasswordHash
                | Only(_)
        )
}

fn collect(names: &mut BTreeMap<String, Name>, value: &Value, prefix: &str, depth: usize) {
    let members: Vec<(String, &Value)> = match value {
        Value::Object(members) => {
            members.iter().map(|(name, value)| (format!("{prefix}{name}"), value)).collect()
        }
        Value::Array(items) if !prefix.is_empty() => {
            items.first().map(|first| (format!("{prefix}0"), first)).into_iter().collect()
        }
        _ => return,
    };
    for (name, value) in members {
        if let Some(known) = names.get_mut(&name) {
            known.records += 1;
        } else if names.len() < NAMES {
            names.insert(name.clone(), Name { records: 1, inside: !prefix.is_empty() });
        }
        if depth > 1 {
            collect(names, value, &format!("{name}."), depth - 1);
        }
    }
}
