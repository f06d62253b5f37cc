//! A plan is a file with a digest: what was seen, and what would be done.
//!
//! `run start --plan` refuses when the source is not as it was. A file source is
//! compared by its bytes. A table is compared user by user, by digests of key and
//! record: new sign-ups are no drift, changed and vanished users are.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{hex::hex, ids::SourceKey, run::SourceIdentity, tally::Tally};

/// Layout of the plan file.
pub const PLAN_VERSION: u32 = 1;

/// The plan as written to a file. No personal data: users are digests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanFile {
    /// See [`PLAN_VERSION`].
    pub ferry_plan: u32,
    /// Version of Ferry that made it.
    pub made_by: String,
    /// Named move.
    pub migration: String,
    /// Preset or `mapping`.
    pub mapping: String,
    /// Digest of all settings that decide what becomes of a record.
    pub rules_digest: String,
    /// Tenant and connection it was made for; empty when none was set then.
    pub target: String,
    /// Where the users come from.
    pub source: SourceIdentity,
    /// SHA-256 of a file's bytes; empty for tables.
    pub source_digest: String,
    /// Items by state.
    pub tally: Tally,
    /// Settled items: `state CODE`, or `state CODE field`, to count.
    pub settled: BTreeMap<String, i64>,
    /// For tables: the planned users, see [`Fingerprints`].
    #[serde(default)]
    pub users: Fingerprints,
    /// For tables: the users who have an id already. Plans of earlier versions do not hold them.
    #[serde(default, skip_serializing_if = "Fingerprints::is_empty")]
    pub moved: Fingerprints,
    /// What it was made with; plans of earlier versions do not say it.
    #[serde(default, skip_serializing_if = "MadeWith::is_unknown")]
    pub made_with: MadeWith,
    /// SHA-256 over all the above.
    pub digest: String,
}

impl PlanFile {
    /// The digest over everything else in the plan.
    pub fn compute_digest(&self) -> String {
        let without = PlanFile { digest: String::new(), ..self.clone() };
        let json = serde_json::to_vec(&without).unwrap_or_default(); // can't fail: strings and numbers only
        crate::hex::hex_digest(&json)
    }
}

/// What a plan was made with: a run that keeps to it needs none of it typed again, and where
/// something differs it can be named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeWith {
    /// The settings file, by its whole path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings_file: Option<String>,
    /// SHA-256 of its bytes, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings_digest: Option<String>,
    /// Settings that were given as options, by their keys.
    #[serde(default)]
    pub options: BTreeMap<String, Value>,
    /// Everything that decides what becomes of a record, by the keys of the settings.
    #[serde(default)]
    pub rules: BTreeMap<String, Value>,
}

/// Rules whose values are of the source's records: only their keys are named.
const UNNAMED_VALUES: [&str; 3] = ["source.only", "source.words", "source.null_words"];

impl MadeWith {
    fn is_unknown(&self) -> bool {
        *self == MadeWith::default()
    }

    /// Adds a setting and those in it, such as `source.columns.email` of `source`. What is not
    /// set is left out.
    pub fn rule(&mut self, key: &str, value: &Value) {
        match value {
            Value::Null => {}
            Value::Object(inner) if !UNNAMED_VALUES.contains(&key) => {
                for (name, value) in inner {
                    self.rule(&format!("{key}.{name}"), value);
                }
            }
            value => {
                self.rules.insert(key.to_owned(), value.clone());
            }
        }
    }

    /// The rules that differ, each as `key (one in the plan, another now)`.
    pub fn differing(&self, now: &MadeWith) -> Vec<String> {
        let keys: BTreeSet<&String> = self.rules.keys().chain(now.rules.keys()).collect();
        let differ = keys.into_iter().filter(|key| self.rules.get(*key) != now.rules.get(*key));
        differ
            .map(|key| {
                if UNNAMED_VALUES.contains(&key.as_str()) {
                    return key.clone();
                }
                let shown = |rules: &MadeWith| rules.rules.get(key).map_or("nothing".to_owned(), plain);
                format!("{key} ({} in the plan, {} now)", shown(self), shown(now))
            })
            .collect()
    }
}

/// A setting as it is written.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Two 64-bit digests for each planned user, sorted: 16 bytes a user, so a
/// million users fit a plan of 32 MB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprints(Vec<(u64, u64)>);

/// How a table changed since the plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    /// Users that are new: no drift, they are taken along.
    pub added: u64,
    /// Users whose mapped columns changed.
    pub changed: u64,
    /// Users that are gone, or that a rule settles now.
    pub vanished: u64,
}

impl Drift {
    /// Whether the plan no longer holds.
    pub fn is_stale(&self) -> bool {
        self.changed + self.vanished > 0
    }
}

impl Fingerprints {
    /// Adds a planned user by key and record digest. Call [`Fingerprints::seal`] after the last.
    pub fn push(&mut self, key: &SourceKey, record_digest: &str) {
        self.0.push((short(&key.0), short(record_digest)));
    }

    /// Sorts them.
    pub fn seal(&mut self) {
        self.0.sort_unstable();
        self.0.shrink_to_fit();
    }

    /// Whether a user of this key is among them. Sealed.
    pub fn holds(&self, key: &SourceKey) -> bool {
        self.0.binary_search_by_key(&short(&key.0), |(key, _)| *key).is_ok()
    }

    /// Number of users.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// SHA-256 over all of them, for people to compare.
    pub fn digest(&self) -> String {
        let mut sha = Sha256::new();
        for (key, record) in &self.0 {
            sha.update(key.to_le_bytes());
            sha.update(record.to_le_bytes());
        }
        hex(&sha.finalize())
    }

    /// How many of these users are not as they were in `self` (the plan). Both sealed.
    pub fn changed(&self, now: &Fingerprints) -> u64 {
        self.drift(now).changed
    }

    /// What changed from `self` (the plan) to `now`. Both sealed.
    pub fn drift(&self, now: &Fingerprints) -> Drift {
        let mut drift = Drift::default();
        let mut found = 0u64;
        for (key, record) in &self.0 {
            match now.0.binary_search_by_key(key, |(k, _)| *k) {
                Ok(at) if now.0[at].1 == *record => found += 1,
                Ok(_) => {
                    found += 1;
                    drift.changed += 1;
                }
                Err(_) => drift.vanished += 1,
            }
        }
        drift.added = (now.len() as u64).saturating_sub(found);
        drift
    }
}

fn short(text: &str) -> u64 {
    let digest = Sha256::digest(text.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(first)
}

impl Serialize for Fingerprints {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> =
            self.0.iter().flat_map(|(k, r)| k.to_be_bytes().into_iter().chain(r.to_be_bytes())).collect();
        serializer.serialize_str(&hex(&bytes))
    }
}

impl<'de> Deserialize<'de> for Fingerprints {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if !text.is_ascii() || text.len() % 32 != 0 {
            return Err(serde::de::Error::custom("users: expected 32 hex digits for each user"));
        }
        let number =
            |at: usize| u64::from_str_radix(&text[at..at + 16], 16).map_err(serde::de::Error::custom);
        (0..text.len() / 32)
            .map(|i| Ok((number(i * 32)?, number(i * 32 + 16)?)))
            .collect::<Result<_, _>>()
            .map(Fingerprints)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prints(users: &[(&str, &str)]) -> Fingerprints {
        let mut prints = Fingerprints::default();
        for (key, digest) in users {
            prints.push(&SourceKey((*key).into()), digest);
        }
        prints.seal();
        prints
    }

    #[test]
    fn new_users_are_no_drift_but_changed_and_vanished_ones_are() {
        let plan = prints(&[("1", "a"), ("2", "b"), ("3", "c")]);
        assert_eq!(plan.drift(&plan), Drift::default());
        assert!(plan.holds(&SourceKey("2".into())) && !plan.holds(&SourceKey("4".into())));
        let grown = plan.drift(&prints(&[("3", "c"), ("1", "a"), ("2", "b"), ("4", "d")]));
        assert_eq!((grown.added, grown.is_stale()), (1, false));
        let moved = plan.drift(&prints(&[("1", "a"), ("2", "B"), ("4", "d")]));
        assert_eq!(moved, Drift { added: 1, changed: 1, vanished: 1 });
    }

    #[test]
    fn rules_that_differ_are_named_and_no_value_of_a_record_is() {
        let made = |inactive: &str, only: &str| {
            let mut made = MadeWith::default();
            let source = serde_json::json!({
                "inactive": inactive, "columns": { "email": "mail", "name": null },
                "only": { "owner": only },
            });
            made.rule("source", &source);
            made
        };
        let planned = made("block", "ann@example.com");
        assert_eq!(
            planned.rules.keys().collect::<Vec<_>>(),
            ["source.columns.email", "source.inactive", "source.only"]
        );
        assert!(planned.differing(&planned).is_empty());
        let mut now = made("skip", "bob@example.com");
        now.rule("migration.name", &"users".into());
        let differing = planned.differing(&now);
        assert_eq!(
            differing,
            [
                "migration.name (nothing in the plan, users now)",
                "source.inactive (block in the plan, skip now)",
                "source.only"
            ]
        );
    }

    #[test]
    fn a_plan_of_an_earlier_version_keeps_its_digest() {
        let text = serde_json::to_value(MadeWith::default()).unwrap();
        assert!(serde_json::from_value::<MadeWith>(text).unwrap().is_unknown());
    }

    #[test]
    fn fingerprints_survive_the_file_and_hide_the_key() {
        let plan = prints(&[("ann@example.com", "a"), ("2", "b")]);
        let text = serde_json::to_string(&plan).unwrap();
        assert!(!text.contains("ann"));
        assert_eq!(serde_json::from_str::<Fingerprints>(&text).unwrap(), plan);
        assert!(serde_json::from_str::<Fingerprints>("\"abc\"").is_err());
    }
}
