//! `ferry plan`: what a run would do with each record.
//!
//! It plans into a ledger of its own in a temporary folder, by the same code as
//! `run start`, so that the counts (duplicates over the whole source included)
//! are those of the run. A set of addresses in memory would grow with the source.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use ferry_domain::{WriteBackTarget, plan::PlanFile};
use ferry_operations::{
    accept::Accept,
    plan::{self, PlanView},
};
use ferry_sources::Location;

use crate::{
    exit::Exit,
    options::Output,
    output::{self, Progress},
    reading::{self, Opened, Reading},
    settings::Settings,
    setup::Setup,
    shown, tenant, wiring,
};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// A file (CSV, JSON, NDJSON, SQLite) or a database URL
    pub source: String,
    #[command(flatten)]
    pub reading: Reading,
    /// Write the plan to a file, for run start --plan
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Exit with 2 if there are users to move, with 0 if there are none
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let plan = make(setup, &options).await?;
    if let Some(path) = &options.out {
        write(path, &plan)?;
    }
    let view = PlanView::from(&plan);
    match options.output {
        Output::Json => output::json(&view)?,
        Output::Table => print(&view, &setup.settings, options.out.as_deref()),
    }
    let something_to_do = options.detailed_exitcode && view.accepted > 0;
    Ok(if something_to_do { Exit::Usage } else { Exit::Done })
}

async fn make(setup: &Setup, options: &Options) -> anyhow::Result<PlanFile> {
    options.reading.check_accepted(&[Accept::RowSecurity])?;
    let tenant = tenant::named(&setup.servers)?.unwrap_or_default();
    let Opened { mut subject, location } =
        reading::open(&setup.settings, &options.source, &options.reading, tenant).await?;
    if let Some(target) = &subject.spec.write_back {
        look_at_table(setup, &location, target).await?;
    }
    let folder = scratch()?;
    let access = wiring::access_to(wiring::sqlite(&folder.path().join("plan.db")).await?, setup);
    let mut progress = Progress::new("reading", 0);
    let made = plan::make(&access, &mut subject, &mut |read| progress.at(read, "records")).await;
    progress.done();
    Ok(made?)
}

/// Refuses a table that no id could ever be written to; says what else `run start` will find.
async fn look_at_table(setup: &Setup, location: &Location, target: &WriteBackTarget) -> anyhow::Result<()> {
    let table = wiring::application_table(location, target, setup).await?;
    table.check_preparing()?;
    for finding in table.findings() {
        output::say(&format!("warning: {finding}"));
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

fn print(plan: &PlanView, settings: &Settings, out: Option<&Path>) {
    output::say(&format!("{} by {}: {} records", plan.source, plan.mapping, plan.records));
    output::data(&shown::planned(plan.accepted, &plan.by_code));
    if let Some(rate) = settings.limits().ok().and_then(|limits| limits.creates_per_second()) {
        let seconds = plan.accepted as f64 / rate;
        output::say(&format!(
            "Creating them takes at least {} under {} ({rate:.1} users/s); reading each back shares the limit where it is one.",
            duration(seconds),
            settings.auth0.limits
        ));
    }
    match out {
        Some(path) => output::say(&format!(
            "Plan {} written to {}. Next: ferry run start --plan {}",
            &plan.digest[..12],
            path.display(),
            path.display()
        )),
        None => output::say("Nothing was written. Keep it with -o FILE, or begin with ferry run start."),
    }
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3_600.0),
    }
}
