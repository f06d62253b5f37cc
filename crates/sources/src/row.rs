//! The values of one record by the fields they are for.

use ferry_domain::{Code, Outcome};
use serde_json::{Map, Value};

use crate::{
    fields::Target,
    values::{self, MetadataFault, Moment, Unfit},
    words::YesNo,
};

pub(crate) fn invalid(target: &Target) -> Outcome {
    Outcome::failed(Code::FieldInvalid).at_field(target.name())
}

fn too_long(target: &Target) -> Outcome {
    Outcome::failed(Code::FieldTooLong).at_field(target.name())
}

/// Only whether there is one: the hash itself is not used.
pub(crate) fn carries_hash(value: &Value) -> bool {
    match value {
        Value::Bool(there) => *there,
        Value::Object(members) => !members.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::String(text) => is_hash(text.trim()),
        other => !values::is_absent(other),
    }
}

/// What Django (`!…`) and Unix (`!`, `*`) write for "no password signs in here" is none.
fn is_hash(text: &str) -> bool {
    !(text.is_empty() || text == "*" || text.starts_with('!'))
}

/// One record.
pub(crate) struct Row<'a> {
    pub(crate) targets: &'a [Target],
    pub(crate) values: &'a [Value],
}

impl Row<'_> {
    pub(crate) fn get(&self, target: &Target) -> &Value {
        let place = self.targets.iter().position(|t| t == target);
        place.and_then(|at| self.values.get(at)).unwrap_or(&Value::Null)
    }

    /// The first of these fields whose value can't be known: a text on the way to it is no JSON, or names it
    /// twice.
    pub(crate) fn hidden(&self, among: impl Fn(&Target) -> bool) -> Result<(), Outcome> {
        let mut fields = self.targets.iter().zip(self.values).filter(|(target, _)| among(target));
        match fields.find_map(|(target, value)| Some((target, values::hidden(value)?))) {
            Some((target, code)) => Err(Outcome::failed(code).at_field(target.name())),
            None => Ok(()),
        }
    }

    pub(crate) fn text(&self, target: &Target) -> Result<Option<String>, Outcome> {
        values::text(self.get(target)).map_err(|Unfit| invalid(target))
    }

    pub(crate) fn boolean(&self, target: &Target, words: &YesNo) -> Result<Option<bool>, Outcome> {
        let value = self.get(target);
        match words.read(value) {
            Some(answer) => Ok(Some(answer)),
            None => values::boolean(value).map_err(|Unfit| invalid(target)),
        }
    }

    pub(crate) fn moment(&self, target: &Target) -> Result<Option<Moment>, Outcome> {
        values::moment(self.get(target)).map_err(|Unfit| invalid(target))
    }

    pub(crate) fn limited(&self, target: &Target, most: usize) -> Result<Option<String>, Outcome> {
        match self.text(target)? {
            Some(text) if text.chars().count() > most => Err(too_long(target)),
            text => Ok(text),
        }
    }

    pub(crate) fn metadata(
        &self,
        key_of: fn(&Target) -> Option<&String>,
    ) -> Result<Map<String, Value>, Outcome> {
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
