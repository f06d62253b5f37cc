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

mod ahead;
mod csv;
mod digits;
mod email;
mod error;
mod fields;
mod file;
mod found;
mod header;
mod json;
mod key;
mod location;
mod mapping;
mod names;
mod ndjson;
mod notes;
mod only;
mod preset_mappings;
mod presets;
mod reader;
mod row;
mod rules;
mod scan;
mod strict;
mod table;
mod table_postgres;
mod table_source;
mod table_sqlite;
mod unmapped;
mod values;
mod words;

use ferry_domain::{
    WriteBackTarget,
    ports::{Source, SourceError},
};
use time::OffsetDateTime;

pub use file::special;
pub use location::{Format, Location, UnknownFormat};
pub use mapping::{Columns, EmailVerified, Inactive, KeyFrom, Mapping, RowSecurity};
pub use only::Only;
pub use presets::{PRESETS, UnknownPreset};
pub use words::{Words, YesNo};

/// Opens a source and looks at its shape: file and header, or table and columns. Times in
/// columns are compared with `now`.
///
/// # Errors
/// A [`SourceError`] that names what is missing and what to do, when the mapping
/// or the source as a whole can't be used.
pub async fn open(
    location: &Location,
    mapping: &Mapping,
    now: OffsetDateTime,
) -> Result<Box<dyn Source>, SourceError> {
    location.check_exists()?;
    mapping.check()?;
    if !matches!(location, Location::File { .. }) {
        mapping.check_for_table()?;
    }
    Ok(match location {
        Location::File { path, format } => {
            Box::new(file::FileSource::open(path, *format, mapping, now).await?)
        }
        Location::Postgres { url } => Box::new(table_postgres::PostgresPages::open(url, mapping, now).await?),
        Location::Sqlite { path } => Box::new(table_sqlite::SqlitePages::open(path, mapping, now).await?),
    })
}

/// The table that gets `auth0_user_id`; `None` for files, and where the key is
/// derived and so is in no column.
pub fn write_back_target(location: &Location, mapping: &Mapping) -> Option<WriteBackTarget> {
    let (schema, table) = mapping.table_name()?;
    let schema = match location {
        Location::File { .. } => return None,
        Location::Postgres { .. } => schema.map(str::to_owned),
        Location::Sqlite { .. } => None,
    };
    let id_column = mapping.columns.auth0_user_id.clone().unwrap_or_else(|| "auth0_user_id".to_owned());
    Some(WriteBackTarget {
        database: None,
        schema,
        table: table.to_owned(),
        key_column: mapping.columns.key.clone()?,
        id_column,
        email_column: mapping.columns.email.clone(),
        accepts_row_security: mapping.row_security == RowSecurity::Accept,
    })
}
