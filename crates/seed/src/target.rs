//! The target to write to: a URL or a file. A password is never repeated.

use std::str::FromStr as _;

use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use crate::error::SeedError;

/// A database that can be reached, and how to call it in messages.
pub(crate) enum Target {
    Postgres(PgConnectOptions, String),
    Sqlite(SqliteConnectOptions, String),
}

impl Target {
    pub(crate) fn parse(url: &str) -> Result<Self, SeedError> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return postgres(url);
        }
        if let Some(rest) = url.strip_prefix("sqlite:") {
            return sqlite_url(url, rest.trim_start_matches("//"));
        }
        let is_file = [".db", ".sqlite", ".sqlite3"].iter().any(|end| url.ends_with(end));
        if is_file && !url.contains("://") {
            return Ok(sqlite(SqliteConnectOptions::new().filename(url)));
        }
        Err(SeedError::BadTarget {
            reason: "it is neither a PostgreSQL nor a SQLite address",
            expected: "postgres://USER:PASSWORD@HOST:PORT/DATABASE, sqlite://PATH, \
                       or a path that ends in .db, .sqlite or .sqlite3",
        })
    }
}

fn postgres(url: &str) -> Result<Target, SeedError> {
    // The cause is dropped: whatever part of the URL it quotes may be a secret.
    let options = PgConnectOptions::from_str(url).map_err(|_| SeedError::BadTarget {
        reason: "the PostgreSQL address cannot be read",
        expected: "postgres://USER:PASSWORD@HOST:PORT/DATABASE, \
                   with special characters in the password percent-encoded",
    })?;
    let database = options.get_database().unwrap_or("(default)");
    let place = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    let name = format!("PostgreSQL database {database} on {place}");
    Ok(Target::Postgres(options.disable_statement_logging(), name))
}

fn sqlite_url(url: &str, path: &str) -> Result<Target, SeedError> {
    let bad = |reason| SeedError::BadTarget { reason, expected: "sqlite://PATH, where PATH is a file" };
    if path.is_empty() || path.contains(":memory:") || path.contains("mode=memory") {
        return Err(bad("a SQLite database in memory would be gone immediately"));
    }
    let options =
        SqliteConnectOptions::from_str(url).map_err(|_| bad("the SQLite address cannot be read"))?;
    Ok(sqlite(options))
}

/// Statements are not logged: a slow one would print five hundred rows of marks.
fn sqlite(options: SqliteConnectOptions) -> Target {
    let name = format!("SQLite file {}", options.get_filename().display());
    Target::Sqlite(options.disable_statement_logging(), name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn name_of(url: &str) -> String {
        match Target::parse(url).unwrap() {
            Target::Postgres(_, name) | Target::Sqlite(_, name) => name,
        }
    }

    #[test]
    fn names_say_where_but_never_the_password() {
        let name = name_of("postgres://app:s3cret@db.example:6432/medlogistics");
        assert_eq!(name, "PostgreSQL database medlogistics on db.example:6432");
        assert_eq!(name_of("sqlite:///tmp/a.db"), "SQLite file /tmp/a.db");
        assert_eq!(name_of("sqlite:a/b.db?mode=rwc"), "SQLite file a/b.db");
        assert_eq!(name_of("b/c.sqlite3"), "SQLite file b/c.sqlite3");
    }

    #[test]
    fn bad_addresses_are_refused_without_repeating_them() {
        for url in [
            "postgres://app:s3cret@host:notaport/x",
            "mysql://app:s3cret@host/x.db",
            "s3cret.csv",
            "sqlite::memory:",
            "sqlite://",
            "",
        ] {
            let Err(error) = Target::parse(url) else { panic!("{url} was taken") };
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        }
    }
}
