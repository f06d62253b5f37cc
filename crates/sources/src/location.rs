//! The location of a source, as a person names it on the command line.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use ferry_domain::ports::SourceError;
use secrecy::SecretString;

use crate::{error::refuse, file::existing};

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A header row, then a row per user; separated by comma, semicolon, tab or bar.
    Csv,
    /// One document: an array of users, or an object that holds it.
    Json,
    /// One JSON object per line.
    Ndjson,
}

impl Format {
    /// The word used on the command line and in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Json => "json",
            Format::Ndjson => "ndjson",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown format {0:?}: take one of csv, json, ndjson")]
pub struct UnknownFormat(pub String);

impl FromStr for Format {
    type Err = UnknownFormat;
    fn from_str(word: &str) -> Result<Self, UnknownFormat> {
        [Format::Csv, Format::Json, Format::Ndjson]
            .into_iter()
            .find(|format| format.as_str() == word)
            .ok_or_else(|| UnknownFormat(word.to_owned()))
    }
}

/// A location that users can be read from.
#[derive(Clone, Debug)]
pub enum Location {
    /// A file.
    File {
        /// Path as given.
        path: PathBuf,
        /// Its format.
        format: Format,
    },
    /// A table of a PostgreSQL database.
    Postgres {
        /// Address with credentials; `Debug` hides it.
        url: SecretString,
    },
    /// A table of an SQLite database file.
    Sqlite {
        /// Path as given.
        path: PathBuf,
    },
}

impl Location {
    /// Understands `users.csv`, `users.ndjson`, `app.db`, `sqlite://app.db` and
    /// `postgres://…`. A given format overrules a file name's ending.
    ///
    /// # Errors
    /// A location that its name does not make clear; the error says how to name it.
    pub fn parse(text: &str, format: Option<Format>) -> Result<Location, SourceError> {
        if text.trim().is_empty() {
            return Err(refuse("source", "no source is named", "Name a file, or a database by its URL"));
        }
        if let Some(database) = Self::database_url(text) {
            return no_format(format, database);
        }
        // What is around the scheme may hold credentials and is not shown.
        let scheme = text.split_once(':').filter(|(_, rest)| rest.starts_with("//") || rest.contains('@'));
        if let Some((scheme, _)) = scheme {
            let is_word =
                text[scheme.len()..].starts_with("://") && scheme.bytes().all(|b| b.is_ascii_lowercase());
            let what = if is_word { format!("{scheme}://") } else { "this URL".to_owned() };
            let remedy = "Name a file, or a database by postgres:// or sqlite://";
            return Err(refuse("source", format!("{what} is not read by Ferry"), remedy));
        }
        Self::of_path(Path::new(text), format)
    }

    /// The database that a text names: `postgres://…`, `sqlite://app.db`, `sqlite:app.db`, or a file that
    /// ends in `.db`, `.sqlite` or `.sqlite3`. Wherever a database can be named, this decides.
    pub fn database(text: &str) -> Option<Location> {
        let is_file = || {
            let ending = Path::new(text).extension()?.to_str()?.to_ascii_lowercase();
            let is_sqlite = matches!(ending.as_str(), "db" | "sqlite" | "sqlite3") && !text.contains("://");
            is_sqlite.then(|| Location::Sqlite { path: text.into() })
        };
        Self::database_url(text).or_else(is_file)
    }

    fn database_url(text: &str) -> Option<Location> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Some(Location::Postgres { url: SecretString::from(text) });
        }
        let path = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:"))?;
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        Some(Location::Sqlite { path: path.into() })
    }

    /// Refuses a file that is not there, before anything is said about how it would be read.
    ///
    /// # Errors
    /// There is no such file, or it is a folder.
    pub fn check_exists(&self) -> Result<(), SourceError> {
        match self {
            Location::File { path, .. } | Location::Sqlite { path } => existing(path).map(drop),
            Location::Postgres { .. } => Ok(()),
        }
    }

    fn of_path(path: &Path, format: Option<Format>) -> Result<Location, SourceError> {
        let file = |format| Ok(Location::File { path: path.to_owned(), format });
        if let Some(format) = format {
            return file(format);
        }
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        match ending.as_deref() {
            Some("csv" | "tsv") => file(Format::Csv),
            Some("json") => file(Format::Json),
            Some("ndjson" | "jsonl") => file(Format::Ndjson),
            Some("db" | "sqlite" | "sqlite3") => Ok(Location::Sqlite { path: path.to_owned() }), // as in `database`
            _ => Err(refuse(
                &named(path),
                "the name does not say what the file holds",
                "Pass --format csv, json or ndjson, or name an SQLite file by sqlite://PATH",
            )),
        }
    }
}

/// The name as it was typed, unless it looks like settings of a database: they may hold a password.
fn named(path: &Path) -> String {
    let text = path.display().to_string();
    if text.contains('=') && !path.exists() { "the source".to_owned() } else { text }
}

fn no_format(format: Option<Format>, database: Location) -> Result<Location, SourceError> {
    match format {
        None => Ok(database),
        Some(format) => Err(refuse(
            "source",
            format!("a database has no format {format}"),
            "Leave --format away, or name a file",
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shown(text: &str, format: Option<Format>) -> String {
        match Location::parse(text, format).unwrap() {
            Location::File { path, format } => format!("{format} {}", path.display()),
            Location::Postgres { .. } => "postgres".to_owned(),
            Location::Sqlite { path } => format!("sqlite {}", path.display()),
        }
    }

    #[test]
    fn names_say_what_a_place_is() {
        assert_eq!(shown("a/users.csv", None), "csv a/users.csv");
        assert_eq!(shown("users.JSON", None), "json users.JSON");
        assert_eq!(shown("users.jsonl", None), "ndjson users.jsonl");
        assert_eq!(shown("users.json", Some(Format::Ndjson)), "ndjson users.json");
        assert_eq!(shown("users", Some(Format::Csv)), "csv users");
        assert_eq!(shown("app.db", None), "sqlite app.db");
        assert_eq!(shown("sqlite:///var/app", None), "sqlite /var/app");
        assert_eq!(shown("sqlite:app.db", None), "sqlite app.db");
        assert_eq!(shown("sqlite:/var/app?mode=ro", None), "sqlite /var/app");
        assert_eq!(shown("sqlite://app.db?mode=ro", None), "sqlite app.db");
        assert_eq!(shown("postgresql://h/db", None), "postgres");
    }

    #[test]
    fn an_unknown_place_is_refused_with_a_way_out_and_without_credentials() {
        let error = Location::parse("users.xlsx", None).unwrap_err().to_string();
        assert!(error.contains("users.xlsx") && error.contains("--format"), "{error}");
        let error = Location::parse("mysql://root:secret@h/db", None).unwrap_err().to_string();
        assert!(error.contains("mysql") && !error.contains("secret"), "{error}");
        for typed in ["postgres:ann:secret@h/db", "ann:secret@h/db", "Ann:secret@x://db"] {
            let error = Location::parse(typed, None).unwrap_err().to_string();
            assert!(!error.contains("secret") && !error.to_lowercase().contains("ann"), "{error}");
        }
        assert!(Location::parse("postgres://h/db", Some(Format::Csv)).is_err());
        assert!(Location::parse(" ", None).is_err());
        let postgres = Location::parse("postgres://u:secret@h/db", None).unwrap();
        assert!(!format!("{postgres:?}").contains("secret"));
    }
}
