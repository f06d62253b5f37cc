//! `ferry plan`: what a run would do with each record.
//!
//! It plans into a ledger of its own in a temporary folder, by the same code as
//! `run start`, so that the counts (duplicates over the whole source included)
//! are those of the run. A set of addresses in memory would grow with the source.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use ferry_domain::{WriteBackTarget, plan::PlanFile};
use ferry_operations::{
    Access,
    accept::Accept,
    plan::{self, Made, PlanView, Record},
    planner::Subject,
    start,
};
use ferry_sources::Location;

use crate::{
    exit::Exit,
    output::{self, Progress},
    reading::{self, Opened, Reading},
    settings::Settings,
    setup::Setup,
    shown, tenant, wiring,
};

/// Form of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A table, for people
    #[default]
    Table,
    /// One JSON value, for scripts
    Json,
    /// A line for each record that would not be sent, as run report prints it
    Csv,
}

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// A file (CSV, JSON, NDJSON, SQLite) or a database URL [default: DATABASE_URL]
    pub source: Option<String>,
    #[command(flatten)]
    pub reading: Reading,
    /// Write the plan to a file, for run start --plan
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// List each record that would not be sent: its place, why, and its key
    #[arg(long)]
    pub list: bool,
    /// Exit with 7 if there are users to move; with 3 if there are none, but records that need a person;
    /// with 0 if there is nothing to do. 2 means here, as always, that the source can't be read
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: Form,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let folder = scratch()?;
    let access = wiring::access_to(wiring::sqlite(&folder.path().join("plan.db")).await?, setup);
    let made = make(setup, &options, &access).await?;
    if let Some(path) = &options.out {
        write(path, &made.plan)?;
    }
    let view = PlanView::from(&made);
    match options.output {
        Form::Csv => list_csv(&access, &made).await?,
        Form::Json if options.list => list_json(&access, &made, &view).await?,
        Form::Json => output::json(&view)?,
        Form::Table => print(&access, &made, &view, &options, &setup.settings).await?,
    }
    Ok(if options.detailed_exitcode { Exit::of_plan(&view) } else { Exit::Done })
}

async fn make(setup: &Setup, options: &Options, scratch: &Access) -> anyhow::Result<Made> {
    let reading = &options.reading;
    reading.check_accepted(&[Accept::RowSecurity, Accept::MigrationTaken, Accept::MigrationRenamed])?;
    let tenant = tenant::named(&setup.servers)?.unwrap_or_default();
    let source = reading::named(options.source.as_deref(), &setup.servers)?;
    let Opened { mut subject, location } = reading::open(setup, &source, reading, tenant).await?;
    let ledger = known(setup, &location, &subject, &reading.accept).await?;
    if let Some(target) = &subject.spec.write_back {
        look_at_table(setup, &location, target).await?;
    }
    let mut progress = Progress::new("reading", 0);
    let read = &mut |read| progress.at(read, "records");
    let made = plan::make(scratch, ledger.as_ref(), &mut subject, &reading.accept, read).await;
    progress.done();
    Ok(made?)
}

/// Refuses a name that another source has, as `run start` will; answers with the ledger where
/// anything was moved before. A ledger that is not there, or does not answer, knows of nothing:
/// `run start` asks it again.
async fn known(
    setup: &Setup,
    location: &Location,
    subject: &Subject,
    accepted: &[Accept],
) -> anyhow::Result<Option<Access>> {
    let Ok(place) = wiring::ledger_of(location, &setup.servers).await else { return Ok(None) };
    let before = wiring::migrated(&place, setup).await.unwrap_or_default();
    start::check_name(subject, &before, accepted)?;
    if before.is_empty() {
        return Ok(None);
    }
    Ok(Some(wiring::access_to(wiring::ledger(&place, setup).await?, setup)))
}

/// Refuses a table that no id could ever be written to; says what else `run start` will find.
async fn look_at_table(setup: &Setup, location: &Location, target: &WriteBackTarget) -> anyhow::Result<()> {
    let table = wiring::application_table(location, target, setup).await?;
    table.check_preparing()?;
    for finding in table.findings() {
        output::say(&output::folded(&format!("warning: {finding}"), 0).join("\n"));
    }
    Ok(())
}

/// A temporary folder that only this user may look into: the records lie there.
fn scratch() -> anyhow::Result<tempfile::TempDir> {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};
    tempfile::Builder::new()
        .prefix("ferry-plan-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir()
        .context("a temporary folder for the plan could not be made")
}

/// Writes beside the target first, so that a plan is whole or not there.
fn write(path: &Path, plan: &PlanFile) -> anyhow::Result<()> {
    let beside = path.with_extension("part");
    let json = serde_json::to_vec(plan)?;
    std::fs::write(&beside, json)
        .and_then(|()| std::fs::rename(&beside, path))
        .with_context(|| format!("the plan could not be written to {}", path.display()))
}

/// The same lines as `run report --output csv`, so that one script reads both.
async fn list_csv(access: &Access, made: &Made) -> anyhow::Result<()> {
    output::data(ferry_report::header().trim_end());
    let line = &mut |item: &_| output::data(ferry_report::row(item, None).trim_end_matches('\n'));
    Ok(plan::each_settled(access, made.run, line).await?)
}

/// The plan's object with one more member, `list`, written while it is read.
async fn list_json(access: &Access, made: &Made, view: &PlanView) -> anyhow::Result<()> {
    let object = serde_json::to_string(view)?;
    output::part(object.strip_suffix('}').unwrap_or(&object)); // an object ends with it
    output::part(",\"list\":[");
    let mut separator = "";
    let line = &mut |item: &_| {
        let json = serde_json::to_string(&Record::from(item)).unwrap_or_default(); // can't fail: texts only
        output::part(&format!("{separator}{json}"));
        separator = ",";
    };
    plan::each_settled(access, made.run, line).await?;
    output::data("]}");
    Ok(())
}

async fn print(
    access: &Access,
    made: &Made,
    plan: &PlanView,
    options: &Options,
    settings: &Settings,
) -> anyhow::Result<()> {
    output::say(&format!("{} by {}: {} records", plan.source, plan.mapping, plan.records));
    output::data(&shown::planned(plan.accepted, &plan.by_code));
    shown::warnings(&plan.warnings);
    if options.list && !plan.by_code.is_empty() {
        output::data("");
        let mut lines = shown::Lines::default();
        let line = &mut |item: &_| output::data(&lines.record(&Record::from(item)));
        plan::each_settled(access, made.run, line).await?;
    } else if !plan.by_code.is_empty() {
        output::say("Which records: add --list, or --output csv for a spreadsheet.");
    }
    shown::cost(plan.accepted, settings);
    say_next(plan, options);
    Ok(())
}

fn say_next(plan: &PlanView, options: &Options) {
    match &options.out {
        Some(path) => output::say(&format!(
            "Plan {} written to {}.\nNext: ferry run start --plan {}{}",
            &plan.digest[..12],
            path.display(),
            reading::quoted(&path.display().to_string()),
            options.reading.accepted_again()
        )),
        None => output::say("Nothing was written. Keep it with -o FILE, or begin with ferry run start."),
    }
}
