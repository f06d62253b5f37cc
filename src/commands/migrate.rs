//! `ferry migrate`: the ledger's tables, and the application's column.

use std::sync::Arc;

use ferry_domain::{WriteBackTarget, ports::Ledger};
use ferry_sources::Location;
use secrecy::ExposeSecret;

use crate::{
    cli::Migrate,
    exit::{Exit, usage},
    output,
    settings::Settings,
    system::environment,
    wiring::{self, Place},
};

pub async fn run(settings: &Settings, options: Migrate) -> anyhow::Result<Exit> {
    if environment("DATABASE_URL").is_none() && environment("FERRY_LEDGER_URL").is_none() {
        return Err(usage(
            "no database: set DATABASE_URL to the application's, for example postgres://user@host/app",
        ));
    }
    let place = Place::from_environment()?;
    let target = if options.app { Some(application(settings, &place)?) } else { None };
    let what = match &target {
        Some(target) => format!(" and add {}.{}", target.table, target.id_column),
        None => String::new(),
    };
    if !output::confirmed(
        options.yes,
        &format!("Bring the ledger's tables in {} up to date{what}?", place.shown()),
    )? {
        output::say("Nothing was changed.");
        return Ok(Exit::Refused);
    }
    let ledger: Arc<dyn Ledger> = match &place {
        Place::Sqlite(path) if !path.is_file() => {
            return Err(usage(format!("{}: there is no such file", path.display())));
        }
        Place::Sqlite(path) => wiring::sqlite(path).await?,
        Place::Postgres(_) => wiring::postgres(&place, settings).await?,
    };
    ledger.migrate().await?;
    output::say(&format!("The ledger in {} is up to date.", place.shown()));
    if let Some(target) = target {
        let changed = ledger.prepare_application(&target).await?;
        let word = if changed { "added" } else { "was there already" };
        output::say(&format!("{}.{} {word}.", target.table, target.id_column));
    }
    Ok(Exit::Done)
}

fn application(settings: &Settings, place: &Place) -> anyhow::Result<WriteBackTarget> {
    if settings.source.is_empty() {
        return Ok(wiring::usual_table());
    }
    let location = match place {
        Place::Sqlite(path) => Location::Sqlite { path: path.clone() },
        Place::Postgres(url) => Location::Postgres { url: url.expose_secret().to_owned().into() },
    };
    let mapping = settings.mapping()?;
    ferry_sources::write_back_target(&location, &mapping)
        .ok_or_else(|| usage("[source] names no table of a database"))
}
