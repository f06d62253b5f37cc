//! Readers for the places users come from: a table (PostgreSQL, SQLite), or a
//! file (CSV, JSON, NDJSON).
//!
//! Every reader streams: it holds one chunk at a time, whatever the size of the
//! source. A [`Mapping`] defines what a record means; one set of rules for all formats
//! decides whether it is a user that Auth0 would take. A record that breaks a
//! rule is reported with a code and reading continues; only
//! what makes the whole source unreadable is an error.
//!
//! How to add another format: write a reader that delivers values in the order
//! of the mapping's fields, and name it in [`open`].

mod csv;
mod email;
mod error;
mod fields;
mod file;
mod json;
mod location;
mod mapping;
mod ndjson;
mod preset_mappings;
mod presets;
mod reader;
mod rules;
mod scan;
mod table;
mod table_postgres;
mod table_source;
mod table_sqlite;
mod values;

use ferry_domain::{
    WriteBackTarget,
    ports::{Source, SourceError},
};

pub use location::{Format, Location, UnknownFormat};
pub use mapping::{Columns, EmailVerified, Inactive, KeyFrom, Mapping, RowSecurity};
pub use presets::{PRESETS, UnknownPreset};

/// Opens a source and looks at its shape: file and header, or table and columns.
///
/// # Errors
/// A [`SourceError`] that names what is missing and what to do, when the mapping
/// or the source as a whole can't be used.
pub async fn open(location: &Location, mapping: &Mapping) -> Result<Box<dyn Source>, SourceError> {
    mapping.check()?;
    Ok(match location {
        Location::File { path, format } => Box::new(file::FileSource::open(path, *format, mapping).await?),
        Location::Postgres { url } => Box::new(table_postgres::PostgresPages::open(url, mapping).await?),
        Location::Sqlite { path } => Box::new(table_sqlite::SqlitePages::open(path, mapping).await?),
    })
}

/// The table that gets `auth0_user_id`; `None` for files, and where the key is
/// derived and so is in no column.
pub fn write_back_target(location: &Location, mapping: &Mapping) -> Option<WriteBackTarget> {
    let schema = match location {
        Location::File { .. } => return None,
        Location::Postgres { .. } => mapping.schema.clone(),
        Location::Sqlite { .. } => None,
    };
    let id_column = mapping.columns.auth0_user_id.clone().unwrap_or_else(|| "auth0_user_id".to_owned());
    Some(WriteBackTarget {
        schema,
        table: mapping.table.clone()?,
        key_column: mapping.columns.key.clone()?,
        id_column,
        accepts_row_security: mapping.row_security == RowSecurity::Accept,
    })
}
