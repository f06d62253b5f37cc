//! Whether the application's table can take ids: column, type, index, privileges, policies, view.

use std::sync::Arc;

use ferry_domain::{
    RunView, WriteBackTarget,
    application::{Finding, Weight},
    ports::{Ledger, LedgerError},
};
use ferry_sources::Location;
use secrecy::ExposeSecret;

use super::{Line, error, ok, warning};
use crate::{
    place::Place,
    reading,
    setup::Setup,
    wiring::{self, FileState},
};

pub async fn check(ledger: &Place, setup: &Setup, lines: &mut Vec<Line>) {
    let Some(location) = application(ledger, setup) else { return };
    let (target, named) = match named(ledger, setup).await {
        Some(target) => (target, true),
        None => (reading::usual_table(), false),
    };
    match wiring::application_table(&location, &target, setup).await {
        Ok(table) if named || table.id.is_some() => {
            let findings = table.findings();
            if findings.is_empty() {
                let found = format!("{}: {} takes ids", table.target.shown(), table.target.id_column);
                lines.push(ok("table", found));
            }
            lines.extend(findings.into_iter().map(line));
        }
        Ok(_) => {} // a table that happens to have the usual name
        Err(wrong) if named && is_about_table(&wrong) => {
            lines.push(error("table", format!("{wrong:#}"), "Correct section source, or DATABASE_URL."));
        }
        Err(_) => {} // the check of the ledger says it, or nobody asked for this table
    }
}

/// Whether the newest run left its ids in the table.
pub async fn check_ids(place: &Place, setup: &Setup, lines: &mut Vec<Line>) {
    let Some((ledger, run)) = newest_run(place, setup).await else { return };
    let access = wiring::access_to(ledger, setup);
    let Ok(Some(table)) = ferry_operations::report::table(&access, &run).await else { return };
    let (users, of) = (table.rows.users(), &table.table);
    let when = match (&table.written_again, &table.as_of) {
        (Some(again), _) => format!("after {again}, run {}", run.id),
        (None, Some(at)) => format!("when run {} ended, {at}", run.id),
        (None, None) => format!("when run {} ended", run.id),
    };
    lines.push(if table.needs_a_person() {
        let why = table.unknown.clone().unwrap_or_else(|| format!("of {users} users, {}", table.rows.told()));
        warning("ids", format!("{of}, {when}: {why}"), format!("Run ferry run restore-ids {}.", run.id))
    } else {
        let told = Some(table.rows.told()).filter(|told| !told.is_empty());
        let told = told.unwrap_or_else(|| "each row carries its id".to_owned());
        ok("ids", format!("{of}: {told} (of {users} users, {when})"))
    });
}

fn is_about_table(wrong: &anyhow::Error) -> bool {
    matches!(wrong.downcast_ref(), Some(LedgerError::WriteBackTarget(_)))
}

fn line(finding: Finding) -> Line {
    let Finding { weight, what, remedy } = finding;
    match weight {
        Weight::Warns => warning("table", what, remedy),
        Weight::Refuses | Weight::Lacks | Weight::Hides => error("table", what, remedy),
    }
}

/// Where the application's table is: `DATABASE_URL`, else the ledger's database. `None` where there
/// is no file yet.
fn application(ledger: &Place, setup: &Setup) -> Option<Location> {
    let own = Place::of_application(&setup.servers).ok().flatten();
    match own.as_ref().unwrap_or(ledger) {
        Place::Sqlite(path) => path.is_file().then(|| Location::Sqlite { path: path.clone() }),
        Place::Postgres(url) => Some(Location::Postgres { url: url.expose_secret().to_owned().into() }),
    }
}

/// The table that the settings name, else that of the newest run.
async fn named(ledger: &Place, setup: &Setup) -> Option<WriteBackTarget> {
    if setup.settings.source.is_empty() {
        return of_newest_run(ledger, setup).await;
    }
    reading::application(&setup.settings, ledger).ok()
}

async fn of_newest_run(place: &Place, setup: &Setup) -> Option<WriteBackTarget> {
    newest_run(place, setup).await?.1.spec.write_back
}

async fn newest_run(place: &Place, setup: &Setup) -> Option<(Arc<dyn Ledger>, RunView)> {
    // A check writes nothing, and to open the ledger of a file brings it up to date.
    if let Place::Sqlite(path) = place
        && !matches!(wiring::looked_at(path).await, Ok(FileState::Current))
    {
        return None;
    }
    let ledger = wiring::ledger(place, setup).await.ok()?;
    let newest = ledger.runs(1).await.ok()?.into_iter().next()?;
    Some((ledger, newest))
}
