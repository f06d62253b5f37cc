//! Where a ledger is: which database, as it was named.

use std::path::{Path, PathBuf};

use ferry_sources::Location;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::{exit::usage, servers::Servers};

/// File of the ledger where neither a database nor a SQLite source is named.
const OWN_FILE: &str = "ferry.db";

/// Where a ledger is.
#[derive(Clone, Debug)]
pub enum Place {
    /// Schema `ferry` of a PostgreSQL database.
    Postgres(SecretString),
    /// Tables `ferry_*` of a SQLite file, mostly one of their own.
    Sqlite(PathBuf),
}

impl Place {
    /// From a URL or the path of a SQLite file. `name` says where it was given.
    pub fn parse(name: &str, text: &str) -> anyhow::Result<Place> {
        match Location::database(text) {
            Some(Location::Postgres { url }) => {
                Url::parse(text).map_err(|e| {
                    usage(format!("{name} is no valid URL ({e}): postgres://user@host/database"))
                })?;
                Ok(Place::Postgres(url))
            }
            Some(Location::Sqlite { path }) => Ok(Place::Sqlite(path)),
            Some(Location::File { .. }) | None => Err(usage(format!(
                "{name} names no database: write postgres://user@host/database or sqlite://file.db"
            ))),
        }
    }

    /// What names the ledger: `FERRY_LEDGER_URL`, else `DATABASE_URL`, else `ferry.db` in this folder.
    /// Beside the file of an application lies the ledger's own: see `wiring::ledger_of`.
    pub fn of(servers: &Servers) -> anyhow::Result<Place> {
        if let Some(url) = servers.ledger_url.get() {
            return Place::parse(servers.ledger_url.name, url);
        }
        Ok(Place::of_application(servers)?.unwrap_or_else(|| Place::Sqlite(OWN_FILE.into())))
    }

    /// The ledger's file beside an application's: `app.db` has `app.ferry.db`, `app.sqlite` has
    /// `app.sqlite.ferry.db`. Whatever links lead to a file, it has one ledger.
    pub fn beside(application: &Path) -> Place {
        let full = std::fs::canonicalize(application).ok();
        let linked = full.filter(|full| std::path::absolute(application).ok().as_ref() != Some(full));
        let file = linked.as_deref().unwrap_or(application);
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        Place::Sqlite(file.with_file_name(match (name.strip_suffix(".db"), file.extension()) {
            (Some(stem), _) => format!("{stem}.ferry.db"),
            (None, Some(_)) => format!("{name}.ferry.db"),
            (None, None) => format!("{name}.ferry"),
        }))
    }

    /// What runs remember this application's database by: beside their ledger by the file's name
    /// alone, so that both can be taken to another folder.
    pub fn name_for(&self, ledger: &Place) -> String {
        match (self, ledger) {
            (Place::Sqlite(path), Place::Sqlite(_)) if Place::beside(path).name() == ledger.name() => {
                let full = std::fs::canonicalize(path);
                let file = full.as_ref().unwrap_or(path).file_name().unwrap_or_default();
                format!("sqlite://{}", file.to_string_lossy())
            }
            _ => self.name(),
        }
    }

    /// The database of a table; `None` for a file.
    pub fn of_location(location: &Location) -> Option<Place> {
        match location {
            Location::File { .. } => None,
            Location::Sqlite { path } => Some(Place::Sqlite(path.clone())),
            Location::Postgres { url } => Some(Place::Postgres(url.clone())),
        }
    }

    /// The application's database, where `DATABASE_URL` names it.
    pub fn of_application(servers: &Servers) -> anyhow::Result<Option<Place>> {
        servers.database()?.map(|url| Place::parse(url.name, url.text())).transpose()
    }

    /// What runs remember this database by, where their ledger is another one. Without credentials.
    pub fn name(&self) -> String {
        match self {
            Place::Sqlite(path) => {
                let full = std::fs::canonicalize(path).or_else(|_| std::path::absolute(path));
                format!("sqlite://{}", full.as_ref().unwrap_or(path).display())
            }
            Place::Postgres(_) => self.shown(),
        }
    }

    /// The same place as an operator would name it, without credentials.
    pub fn shown(&self) -> String {
        match self {
            Place::Sqlite(path) => format!("sqlite://{}", path.display()),
            Place::Postgres(url) => match Url::parse(url.expose_secret()) {
                Ok(url) => format!(
                    "postgres://{}:{}{}",
                    url.host_str().unwrap_or("localhost"),
                    url.port().unwrap_or(5432),
                    url.path()
                ),
                Err(_) => "postgres".to_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(variables: &[(&'static str, &str)]) -> String {
        Place::of(&Servers::for_test(variables)).map_or_else(|error| error.to_string(), |place| place.shown())
    }

    #[test]
    fn the_ledger_s_own_address_comes_before_the_application_s() {
        assert_eq!(shown(&[]), "sqlite://ferry.db");
        assert_eq!(shown(&[("DATABASE_URL", "sqlite:app.db")]), "sqlite://app.db");
        assert_eq!(shown(&[("DATABASE_URL", "sqlite://app.db?mode=rwc")]), "sqlite://app.db");
        let both = [("DATABASE_URL", "app.db"), ("FERRY_LEDGER_URL", "postgres://ann:hunter2@db/ferry")];
        assert_eq!(shown(&both), "postgres://db:5432/ferry");
    }

    #[test]
    fn files_of_one_folder_have_a_ledger_each() {
        let beside = |file: &str| Place::beside(Path::new(file)).shown();
        assert_eq!(beside("x/app.db"), "sqlite://x/app.ferry.db");
        assert_eq!(beside("app.sqlite"), "sqlite://app.sqlite.ferry.db");
        assert_eq!(beside("app"), "sqlite://app.ferry");
        let (app, ledger) = (Place::Sqlite("x/app.db".into()), Place::Sqlite("x/app.ferry.db".into()));
        assert_eq!(app.name_for(&ledger), "sqlite://app.db");
        assert_eq!(app.name_for(&app), app.name());
    }

    #[test]
    fn what_is_no_database_is_refused_by_the_name_of_its_variable() {
        for url in ["mysql://db/app", "app.txt", "https://db"] {
            let refused = shown(&[("FERRY_LEDGER_URL", url)]);
            assert!(refused.starts_with("FERRY_LEDGER_URL names no database"), "{refused}");
        }
    }
}
