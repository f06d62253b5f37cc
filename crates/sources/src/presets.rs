//! Presets: the applications that Ferry knows, and what a preset has beside its mapping
//! (see `preset_mappings`): joins, other spellings of columns, columns that may be missing.
//!
//! Joins can't be configured, because a join that multiplies rows would count users twice,
//! and a line in `ferry.toml` does not show whether it does.

/// Names that [`Mapping::preset`](crate::Mapping::preset) takes.
pub const PRESETS: &[&str] = &["medlogistics", "authjs"];

/// No such preset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown preset {0:?}: take one of {known}", known = PRESETS.join(", "))]
pub struct UnknownPreset(pub String);

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

/// The joins of a preset.
pub(crate) fn joins(preset: Option<&str>) -> &'static [Join] {
    match preset {
        Some("medlogistics") => &[
            Join { table: "hospitals", unique: "id", from: "hospital_id" },
            Join { table: "wards", unique: "id", from: "ward_id" },
        ],
        _ => &[],
    }
}

/// Other names that a column of a preset may have.
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
