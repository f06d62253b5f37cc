//! Mappings for applications Ferry knows.
//!
//! A preset may also bring joins: they are internal, because a join that
//! multiplies rows would count users twice, and nobody could tell that from a
//! line in `ferry.toml`.

use crate::mapping::{EmailVerified, Mapping};

/// Names that [`Mapping::preset`] takes.
pub const PRESETS: &[&str] = &["medlogistics", "authjs"];

/// A table joined to the users' table by a column that is unique there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Join {
    /// Table, in the schema of the users' table; also its name in mapped columns.
    pub(crate) table: &'static str,
    /// Its unique column.
    pub(crate) unique: &'static str,
    /// The column of the users' table that refers to it.
    pub(crate) from: &'static str,
}

pub(crate) fn mapping(name: &str) -> Option<Mapping> {
    match name {
        "medlogistics" => Some(medlogistics()),
        "authjs" => Some(authjs()),
        _ => None,
    }
}

/// Joins that a preset brings along.
pub(crate) fn joins(preset: Option<&str>) -> &'static [Join] {
    match preset {
        Some("medlogistics") => &[
            Join { table: "hospitals", unique: "id", from: "hospital_id" },
            Join { table: "wards", unique: "id", from: "ward_id" },
        ],
        _ => &[],
    }
}

/// Other names under which a column of a preset is met.
pub(crate) fn spellings(preset: Option<&str>, column: &str) -> &'static [&'static str] {
    match (preset, column) {
        (Some("authjs"), "emailVerified") => &["email_verified"],
        _ => &[],
    }
}

/// Whether a source may lack a column of a preset.
pub(crate) fn is_optional(preset: Option<&str>, column: &str) -> bool {
    matches!((preset, column), (Some("authjs"), "image"))
}

/// The application of the example: users sign in with an API key, which is
/// never read. It has no notion of a verified address, so none is taken as
/// verified unless the operator vouches for them.
fn medlogistics() -> Mapping {
    let mut mapping = Mapping {
        preset: Some("medlogistics".to_owned()),
        table: Some("users".to_owned()),
        email_verified: EmailVerified::Never,
        ..Mapping::default()
    };
    let columns = &mut mapping.columns;
    columns.key = Some("id".to_owned());
    columns.email = Some("email".to_owned());
    columns.name = Some("name".to_owned());
    columns.active = Some("active".to_owned());
    columns.blocked = Some("blocked".to_owned());
    columns.auth0_user_id = Some("auth0_user_id".to_owned());
    for (key, column) in [("role", "role"), ("hospital", "hospitals.code"), ("ward", "wards.code")] {
        columns.app_metadata.insert(key.to_owned(), column.to_owned());
    }
    mapping
}

/// The `users` table of Auth.js, and exports of it: no passwords, and
/// `emailVerified` is the time of verification or null.
fn authjs() -> Mapping {
    let mut mapping =
        Mapping { preset: Some("authjs".to_owned()), table: Some("users".to_owned()), ..Mapping::default() };
    let columns = &mut mapping.columns;
    columns.key = Some("id".to_owned());
    columns.email = Some("email".to_owned());
    columns.email_verified = Some("emailVerified".to_owned());
    columns.name = Some("name".to_owned());
    columns.picture = Some("image".to_owned());
    columns.auth0_user_id = Some("auth0_user_id".to_owned());
    mapping
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_listed_preset_exists_and_is_complete() {
        for name in PRESETS {
            let mapping = Mapping::preset(name).unwrap();
            assert_eq!(mapping.preset.as_deref(), Some(*name));
            assert_eq!(mapping.check(), Ok(()));
        }
        let error = Mapping::preset("gold").unwrap_err().to_string();
        assert!(error.contains("medlogistics, authjs"), "{error}");
    }
}
