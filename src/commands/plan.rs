//! `ferry plan`: what a run would do with each record.
//!
//! It plans into a ledger of its own in a temporary folder, by the same code as
//! `run start`, so that the counts (duplicates over the whole source included)
//! are those of the run. A set of addresses in memory would grow with the source.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use clap::{Args, ValueEnum};
use ferry_domain::{
    ItemState, WriteBackTarget,
    plan::PlanFile,
    ports::{Directory, ItemView},
};
use ferry_operations::{
    Access,
    accept::Accept,
    plan::{
        self, Made, PlanView, Record,
        target::{self, Predicted},
    },
    planner::Subject,
    start,
};
use ferry_sources::Location;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    exit::{Exit, usage},
    lifecycle,
    output::{self, Progress},
    printed,
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
    /// One JSON value, for programs; it names its schema (ferry schema)
    Json,
    /// The same; with --list only the records of the list, each on a line of its own
    Ndjson,
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
    /// Ask Auth0 for each user too, by reading only: who would be created, adopted, skipped, or need a
    /// person. Takes up to two requests for each user, within the limits
    #[arg(long)]
    pub target: bool,
    /// Exit with 7 if there are users to move; with 3 if there are none, but records that need a person;
    /// with 0 if there is nothing to do. 2 means here, as always, that the source can't be read
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: Form,
}

/// Interrupted, it ends in order: the records in the temporary folder must not stay.
pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let stop = lifecycle::stop_on_signal()?;
    tokio::select! {
        ended = plan(setup, &options) => ended,
        () = stop.cancelled() => Ok(Exit::Interrupted),
    }
}

async fn plan(setup: &Setup, options: &Options) -> anyhow::Result<Exit> {
    // Before the source is read, which may take minutes.
    let out = options.out.as_deref().map(writable).transpose()?;
    let folder = scratch()?;
    let access = wiring::access_to(wiring::sqlite(&folder.path().join("plan.db")).await?, setup);
    let (made, target) = make(setup, options, &access).await?;
    if let Some(path) = &out {
        write(path, &made.plan)?;
    }
    let view = PlanView::from(&made);
    let asked =
        Asked { access: &access, made: &made, directory: target.as_ref().map(|target| &*target.directory) };
    let predicted = match options.output {
        Form::Csv => list_csv(&asked).await?,
        Form::Json if options.list => list_json(&asked, &view).await?,
        Form::Ndjson if options.list => list_ndjson(&asked).await?,
        Form::Json | Form::Ndjson => {
            let predicted = asked.predict(&mut |_| {}).await?;
            printed::object(&Shown { plan: &view, list: None, target: predicted.as_ref() })?;
            predicted
        }
        Form::Table => print(&asked, &view, options, &setup.settings).await?,
    };
    if predicted.as_ref().is_some_and(|found| found.unknown > 0) {
        return Ok(Exit::Internal); // the plan is not whole
    }
    Ok(if options.detailed_exitcode { Exit::of_plan(&view, predicted.as_ref()) } else { Exit::Done })
}

/// A plan, with what Auth0 has of its users.
#[derive(Serialize, JsonSchema)]
pub struct Shown<'a> {
    #[serde(flatten)]
    plan: &'a PlanView,
    /// With --list the records that would not be sent, and with --target all users too.
    #[serde(skip_serializing_if = "Option::is_none")]
    list: Option<Vec<Record>>, // never held: it is written while it is read
    /// What Auth0 has of the users, with --target.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a Predicted>,
}

/// What was planned, and whom to ask for its users, if anybody.
struct Asked<'a> {
    access: &'a Access,
    made: &'a Made,
    directory: Option<&'a dyn Directory>,
}

impl Asked<'_> {
    /// Asks for each user to send; `see` gets each with what would become of it.
    async fn predict(&self, see: &mut (dyn FnMut(&ItemView) + Send)) -> anyhow::Result<Option<Predicted>> {
        let Some(directory) = self.directory else { return Ok(None) };
        let users = u64::try_from(self.made.plan.tally.pending).unwrap_or_default();
        let mut progress = Progress::new("asking Auth0", users);
        let asked = &mut |asked| progress.at(asked, "users");
        let predicted = target::predict(self.access, self.made, directory, see, asked).await;
        progress.done();
        Ok(Some(predicted?))
    }

    /// Each record that would not be sent, then each user that Auth0 was asked for.
    async fn each_listed(
        &self,
        see: &mut (dyn FnMut(&ItemView) + Send),
    ) -> anyhow::Result<Option<Predicted>> {
        plan::each_settled(self.access, self.made.run, see).await?;
        self.predict(see).await
    }

    /// Each record that would not be sent, then each user who would not be created.
    async fn each_left(&self, see: &mut (dyn FnMut(&ItemView) + Send)) -> anyhow::Result<Option<Predicted>> {
        plan::each_settled(self.access, self.made.run, see).await?;
        self.predict(&mut |item| {
            if item.state != ItemState::Created {
                see(item);
            }
        })
        .await
    }
}

async fn make(
    setup: &Setup,
    options: &Options,
    scratch: &Access,
) -> anyhow::Result<(Made, Option<wiring::Target>)> {
    let reading = &options.reading;
    reading.check_accepted(&[Accept::RowSecurity, Accept::MigrationTaken, Accept::MigrationRenamed])?;
    let tenant = match options.target {
        true => tenant::required(&setup.servers)?,
        false => tenant::named(&setup.servers)?.unwrap_or_default(),
    };
    let source = reading::named(options.source.as_deref(), &setup.servers)?;
    let Opened { mut subject, location } = reading::open(setup, &source, reading, tenant).await?;
    let target = match options.target {
        true => {
            let target = ask_at(setup, &location).await?;
            target::check(scratch, &*target.directory, &subject.spec.connection).await?;
            Some(target)
        }
        false => None,
    };
    let ledger = known(setup, &location, &subject, &reading.accept).await?;
    if let Some(target) = &subject.spec.write_back {
        look_at_table(setup, &location, target).await?;
    }
    let mut progress = Progress::new("reading", 0);
    let read = &mut |read| progress.at(read, "records");
    let made = plan::make(scratch, ledger.as_ref(), &mut subject, &reading.accept, read).await;
    progress.done();
    Ok((made?, target))
}

/// Auth0, within the limits that workers keep to.
async fn ask_at(setup: &Setup, location: &Location) -> anyhow::Result<wiring::Target> {
    let auth0 = tenant::sign_in(&setup.servers, &setup.settings)?;
    let place = wiring::ledger_of(location, &setup.servers).await?;
    wiring::target(auth0, &place, setup, &Arc::default())
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

/// What folders of plans begin with, before the number of their process.
const SCRATCH: &str = "ferry-plan-";

/// Removes the folders of plans whose process was killed, with the records in them. One that
/// can't be removed is another user's.
fn remove_left_behind() {
    let folders = std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    for folder in folders {
        let name = folder.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(SCRATCH)?.split_once('-'));
        let Some(process) = process.and_then(|(process, _)| process.parse::<u32>().ok()) else { continue };
        let gone = Path::new("/proc/self").exists() && !Path::new(&format!("/proc/{process}")).exists();
        if gone {
            let _ = std::fs::remove_dir_all(folder.path());
        }
    }
}

/// A temporary folder that only this user may look into: the records lie there.
fn scratch() -> anyhow::Result<tempfile::TempDir> {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};
    remove_left_behind();
    tempfile::Builder::new()
        .prefix(&format!("{SCRATCH}{}-", std::process::id()))
        .permissions(Permissions::from_mode(0o700))
        .tempdir()
        .context("a temporary folder for the plan could not be made")
}

/// Writes beside the target first, so that a plan is whole or not there.
/// Whole or not at all: it is written beside, under a name that nobody has.
fn write(path: &Path, plan: &PlanFile) -> anyhow::Result<()> {
    let json = serde_json::to_vec(plan)?;
    kept(path, &json).with_context(|| format!("the plan could not be written to {}", path.display()))
}

/// Where a plan goes: behind a link to the file that it leads to. Renamed over a folder or a device, a plan would
/// fail or take its place.
fn writable(path: &Path) -> anyhow::Result<PathBuf> {
    match path.canonicalize() {
        Ok(place) if place.is_file() => Ok(place),
        Ok(_) => Err(usage(format!("--out {} is no file: name one that may be written", path.display()))),
        Err(_) => Ok(path.to_owned()), // not there yet; what else is wrong is told when it is written
    }
}

fn kept(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // As any file of this person: without it the file were for his eyes alone.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    let mut beside = tempfile::Builder::new().prefix(".ferry-plan-").permissions(mode).tempfile_in(folder)?;
    beside.write_all(bytes)?;
    beside.persist(path)?;
    Ok(())
}

/// The same lines as `run report --output csv`, so that one script reads both.
async fn list_csv(asked: &Asked<'_>) -> anyhow::Result<Option<Predicted>> {
    output::data(ferry_report::header().trim_end());
    let line = &mut |item: &ItemView| output::data(ferry_report::row(item, None).trim_end_matches('\n'));
    asked.each_left(line).await
}

/// The plan's object with one more member, `list`, written while it is read, and one with what
/// Auth0 has.
async fn list_json(asked: &Asked<'_>, view: &PlanView) -> anyhow::Result<Option<Predicted>> {
    let object = printed::text(&Shown { plan: view, list: None, target: None })?;
    output::part(object.strip_suffix('}').unwrap_or(&object)); // an object ends with it
    output::part(",\"list\":[");
    let mut separator = "";
    let line = &mut |item: &ItemView| {
        let json = serde_json::to_string(&Record::from(item)).unwrap_or_default(); // can't fail: texts only
        output::part(&format!("{separator}{json}"));
        separator = ",";
    };
    let predicted = asked.each_listed(line).await?;
    match &predicted {
        None => output::data("]}"),
        Some(predicted) => output::data(&format!("],\"target\":{}}}", serde_json::to_string(predicted)?)),
    }
    Ok(predicted)
}

/// The records of that list alone.
async fn list_ndjson(asked: &Asked<'_>) -> anyhow::Result<Option<Predicted>> {
    let mut wrong = None;
    let line = &mut |item: &ItemView| {
        wrong = printed::object(&Record::from(item)).err().or(wrong.take());
    };
    let predicted = asked.each_listed(line).await?;
    wrong.map_or(Ok(predicted), Err)
}

async fn print(
    asked: &Asked<'_>,
    plan: &PlanView,
    options: &Options,
    settings: &Settings,
) -> anyhow::Result<Option<Predicted>> {
    output::say(&format!("{} by {}: {} records", plan.source, plan.mapping, plan.records));
    output::data(&shown::planned(plan.accepted, &plan.by_code));
    shown::warnings(&plan.warnings);
    if asked.directory.is_some() && plan.accepted > 0 {
        shown::asking(plan.accepted, settings);
    }
    let predicted = if options.list {
        let mut lines = shown::Lines::default();
        let line = &mut |item: &ItemView| {
            if lines.is_first() {
                output::data("");
            }
            output::data(&lines.record(&Record::from(item)));
        };
        asked.each_left(line).await?
    } else {
        asked.predict(&mut |_| {}).await?
    };
    if let Some(predicted) = &predicted {
        output::data("");
        output::data(&shown::predicted(predicted));
    }
    let left_out =
        !plan.by_code.is_empty() || predicted.as_ref().is_some_and(|found| !found.by_code.is_empty());
    if left_out && !options.list {
        output::say("Which records: add --list, or --output csv for a spreadsheet.");
    }
    let to_send = predicted.as_ref().map_or(plan.accepted, |found| found.create);
    if to_send > 0 {
        shown::cost(to_send, settings);
    }
    say_next(plan, options);
    Ok(predicted)
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
