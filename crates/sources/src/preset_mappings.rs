//! The mappings of the presets.

use crate::{
    mapping::{EmailVerified, Mapping},
    presets::UnknownPreset,
};

impl Mapping {
    /// The mapping of a preset. [`PRESETS`](crate::PRESETS) lists the names.
    ///
    /// # Errors
    /// [`UnknownPreset`], which lists the names.
    pub fn preset(name: &str) -> Result<Mapping, UnknownPreset> {
        match name {
            "medlogistics" => Ok(medlogistics()),
            "authjs" => Ok(authjs()),
            _ => Err(UnknownPreset(name.to_owned())),
        }
    }
}

/// The application of the example: users sign in with an API key, which is
/// never read. It has no column for verified addresses, so none is taken as
/// verified unless the operator decides that they are.
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
    use crate::presets::PRESETS;

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
