//! Where the ledger of a source is, and the move of one that lies in an application's file.

use std::path::PathBuf;

use ferry_ledger_sqlite::{EmbeddedLock, Holds};
use ferry_sources::Location;

use crate::{exit::refused, place::Place, servers::Servers};

/// Where the ledger is that the environment names.
pub async fn ledger_place(servers: &Servers) -> anyhow::Result<Place> {
    let named = Place::of(servers)?;
    match servers.ledger_url.get() {
        Some(_) => Ok(named),
        None => beside(named).await,
    }
}

/// Where the ledger of a source is, unless `FERRY_LEDGER_URL` says it: that of a PostgreSQL table in
/// its database, so that an id and its record are written in one transaction; that of a SQLite
/// table in a file beside, since schema tools rebuild such a file and remove what they don't know.
pub async fn ledger_of(location: &Location, servers: &Servers) -> anyhow::Result<Place> {
    match Place::of_location(location).filter(|_| servers.ledger_url.get().is_none()) {
        Some(own) => beside(own).await,
        None => ledger_place(servers).await,
    }
}

/// The ledger of what is in this place: that in a file beside an application's, unless the ledger
/// was made in the file itself and is not moved yet. A file without an application's tables is
/// the ledger's.
async fn beside(place: Place) -> anyhow::Result<Place> {
    let Place::Sqlite(path) = &place else { return Ok(place) };
    let beside = Place::beside(path);
    let (own, apart) = (held_by(&place).await?, held_by(&beside).await?);
    let is_there = apart.ledger && !apart.copying && (apart.runs || !own.runs);
    Ok(if is_there || own.others && !own.ledger { beside } else { place })
}

async fn held_by(place: &Place) -> anyhow::Result<Holds> {
    Ok(match place {
        Place::Sqlite(path) => ferry_ledger_sqlite::holds(path).await?,
        Place::Postgres(_) => Holds::default(),
    })
}

/// A ledger in an application's file, where nobody asked for it.
pub struct Misplaced {
    /// The application's file.
    pub application: PathBuf,
    /// The file beside it, where the ledger belongs.
    pub beside: PathBuf,
    /// Whether that is a ledger with runs too, and the one that counts.
    pub both: bool,
}

/// Whether there is a ledger in the application's file, as older versions made it.
pub async fn misplaced(servers: &Servers) -> anyhow::Result<Option<Misplaced>> {
    let (None, Place::Sqlite(path)) = (servers.ledger_url.get(), Place::of(servers)?) else {
        return Ok(None);
    };
    let Place::Sqlite(beside) = Place::beside(&path) else { return Ok(None) };
    let (own, apart) = (ferry_ledger_sqlite::holds(&path).await?, ferry_ledger_sqlite::holds(&beside).await?);
    let both = own.runs && apart.runs && !apart.copying;
    let is_misplaced = own.ledger && (own.others || apart.ledger);
    Ok(is_misplaced.then_some(Misplaced { application: path, beside, both }))
}

/// Moves a ledger out of the application's file; returns how many runs it has.
pub async fn relocate(Misplaced { application, beside, .. }: &Misplaced) -> anyhow::Result<i64> {
    let locks = [application, beside].map(|file| EmbeddedLock::take(file));
    for lock in &locks {
        if let Err(held) = lock {
            return Err(refused(format!("the ledger can't be moved: {held}")));
        }
    }
    let database = Place::Sqlite(application.clone()).name_for(&Place::Sqlite(beside.clone()));
    Ok(ferry_ledger_sqlite::relocate(application, beside, &database).await?)
}
