//! `ferry migrate`: the ledger's tables, and the application's column.

mod tools;

use std::sync::Arc;

use clap::Args;
use ferry_domain::{
    RunView, WriteBackTarget,
    application::{AppTable, Relation},
    ports::{Command, Ledger, Migration},
};

use self::tools::Tool;
use crate::{
    consent,
    exit::{Exit, usage},
    output,
    place::Place,
    reading,
    settings::{self, Flag},
    setup::Setup,
    wiring,
};

/// Runs that are looked at for lost ids, newest first.
const RUNS: i64 = 20;

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Also add auth0_user_id to the application's table
    #[arg(long)]
    pub app: bool,
    /// Preset that names the application's table [default: section source of the settings, else table users with key id]
    #[arg(long, value_name = "NAME", requires = "app")]
    pub preset: Option<String>,
    /// The application's schema tool, whose model has to know the column [default: recognised by its own table]
    #[arg(long, value_name = "NAME", requires = "app", conflicts_with = "model_known")]
    pub schema_tool: Option<Tool>,
    /// The tool's model knows the column and its index: nothing is said about it
    #[arg(long, requires = "app")]
    pub model_known: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    pub yes: bool,
}

impl Options {
    /// The settings that these override.
    pub fn flags(&self) -> Vec<Flag> {
        let mut flags = Vec::new();
        settings::push(&mut flags, "source.preset", self.preset.as_deref());
        flags
    }
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    if setup.servers.database()?.is_none() && setup.servers.ledger_url.get().is_none() {
        return Err(usage(
            "no database: set DATABASE_URL to the application's, for example postgres://user@host/app",
        ));
    }
    let application = Place::of_application(&setup.servers)?;
    match &application {
        // The ledger's file is made here, an application's database never is.
        Some(Place::Sqlite(path)) if !path.is_file() => {
            return Err(usage(format!("{}: there is no such file", path.display())));
        }
        _ => {}
    }
    let misplaced = wiring::misplaced(&setup.servers).await?;
    let place = wiring::ledger_place(&setup.servers).await?;
    let table_in = application.as_ref().unwrap_or(&place);
    let target = if options.app { Some(reading::application(&setup.settings, table_in)?) } else { None };
    let mut what = match &target {
        Some(target) => format!(" and add {}.{}", target.table, target.id_column),
        None => String::new(),
    };
    let misplaced = misplaced.filter(|found| !found.both);
    if let Some(found) = &misplaced {
        what.push_str(&format!(", and move them to {}", found.beside.display()));
    }
    if !consent::confirmed(
        options.yes,
        &format!("Bring the ledger's tables in {} up to date{what}?", place.shown()),
    )? {
        return Ok(output::nothing_changed());
    }
    let mut moved = None;
    if let Some(found) = &misplaced {
        let runs = wiring::relocate(found).await?;
        let (from, to) = (found.application.display(), found.beside.display());
        output::say(&match runs {
            0 => format!("An empty ledger was removed from {from}; {to} is the ledger."),
            1 => format!("The ledger, with 1 run, was moved from {from} to {to}."),
            many => format!("The ledger, with {many} runs, was moved from {from} to {to}."),
        });
        moved = Some(Migration::Moved { moved_from: from.to_string(), runs }).filter(|_| runs > 0);
    }
    let place = wiring::ledger_place(&setup.servers).await?;
    let ledger: Arc<dyn Ledger> = wiring::ledger_for(application.as_ref(), &place, setup).await?;
    ledger.migrate().await?;
    output::say(&format!("The ledger in {} is up to date.", place.shown()));
    let by = Command { by: &setup.servers.operator, reason: None };
    if let Some(what) = &moved {
        ledger.note_migrated(what, &by).await?;
    }
    for remark in ledger.remarks().await? {
        output::say(&format!("warning: {remark}"));
    }
    if let Some(target) = target {
        let table = prepare(&*ledger, &target, &by).await?;
        if !options.model_known {
            tell_model(&*ledger, &table, options.schema_tool).await?;
        }
    }
    Ok(Exit::Done)
}

/// Makes what the application's table lacks; says what stays to be known about it.
async fn prepare(
    ledger: &dyn Ledger,
    target: &WriteBackTarget,
    by: &Command<'_>,
) -> anyhow::Result<AppTable> {
    let had_ids = ledger.application_table(target).await.is_ok_and(|table| table.id.is_some());
    let changed = ledger.prepare_application(target).await?;
    let table = ledger.application_table(target).await?;
    let word = if changed { "added" } else { "was there already" };
    output::say(&format!("{}.{} {word}.", table.target.shown(), target.id_column));
    if changed {
        let (table, column) = (table.target.shown(), target.id_column.clone());
        ledger.note_migrated(&Migration::Prepared { table, column }, by).await?;
    }
    if !had_ids {
        tell_of_lost_ids(ledger, &table.target).await?;
    }
    for finding in table.findings() {
        output::say(&format!("warning: {finding}"));
    }
    Ok(table)
}

/// Says what the application's schema tool would do, and prints the lines for its model.
async fn tell_model(ledger: &dyn Ledger, table: &AppTable, tool: Option<Tool>) -> anyhow::Result<()> {
    if !matches!(table.relation, Relation::Table | Relation::Divided) {
        return Ok(()); // what is behind a view can't be seen from here
    }
    let said = tools::said(&ledger.application_schema(&table.target, &tools::TABLES).await?, tool);
    said.talk.iter().for_each(|line| output::say(line));
    if let Some(lines) = said.lines {
        output::say("");
        output::data(&lines);
    }
    Ok(())
}

/// A column that had to be made again has lost the ids of earlier runs.
async fn tell_of_lost_ids(ledger: &dyn Ledger, target: &WriteBackTarget) -> anyhow::Result<()> {
    let wrote = |run: &RunView| {
        let same = run.spec.write_back.as_ref().is_some_and(|of| of.shown() == target.shown());
        same && run.tally.created + run.tally.adopted > 0
    };
    let runs = ledger.runs(RUNS).await?;
    for run in runs.iter().filter(|run| wrote(run)) {
        output::say(&format!(
            "Ids of run {} can be written again at its end: ferry run restore-ids {}",
            run.id, run.id
        ));
    }
    Ok(())
}
