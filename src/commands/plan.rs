//! `ferry plan`: what a run would do with each record.
//!
//! It plans into a ledger of its own in a temporary folder, by the same code as
//! `run start`, so that the counts (duplicates over the whole source included)
//! are those of the run. A set of addresses in memory would grow with the source.

use clap::Args;
use std::path::{Path, PathBuf};

use anyhow::Context;
use ferry_domain::plan::{PLAN_VERSION, PlanFile};
use serde_json::json;

use crate::{
    exit::Exit,
    options::Output,
    output, planner,
    reading::{self, Reading},
    settings::Settings,
    setup::Setup,
    system::{SystemClock, SystemRandom},
    tenant, wiring,
};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// A file (CSV, JSON, NDJSON, SQLite) or a database URL
    pub source: String,
    #[command(flatten)]
    pub reading: Reading,
    /// Write the plan with its digest to a file, for run start --plan
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Exit with 2 when there is something to do, 0 when there is nothing
    #[arg(long)]
    pub detailed_exitcode: bool,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let plan = make(setup, &options).await?;
    if let Some(path) = &options.out {
        write(path, &plan)?;
    }
    match options.output {
        Output::Json => output::json(&shown(&plan))?,
        Output::Table => print(&plan, &setup.settings, options.out.as_deref()),
    }
    let something_to_do = options.detailed_exitcode && plan.tally.pending > 0;
    Ok(if something_to_do { Exit::Usage } else { Exit::Done })
}

async fn make(setup: &Setup, options: &Options) -> anyhow::Result<PlanFile> {
    let settings = &setup.settings;
    let mut opened = reading::open(settings, &options.source, &options.reading).await?;
    let tenant = tenant::named(&setup.servers)?.unwrap_or_default();
    let scratch = scratch()?;
    let ledger = wiring::sqlite(&scratch.path().join("plan.db")).await?;
    let run = reading::new_run(setup, &opened, &tenant, None)?;
    let outcome = planner::plan(&*ledger, &mut *opened.source, &run, &SystemClock, &SystemRandom).await?;
    let settled =
        outcome.planned.settled.iter().map(|(state, code, n)| (format!("{} {code}", state.as_str()), *n));
    let mut plan = PlanFile {
        ferry_plan: PLAN_VERSION,
        made_by: env!("CARGO_PKG_VERSION").to_owned(),
        migration: settings.migration.name.clone(),
        mapping: settings.mapping_name(),
        rules_digest: reading::rules_digest(settings, &opened.mapping),
        target: if tenant.is_empty() { String::new() } else { target(&tenant, settings) },
        source: opened.source.identity(),
        source_digest: outcome.source_digest,
        tally: outcome.planned.tally,
        settled: settled.collect(),
        users: outcome.users,
        digest: String::new(),
    };
    plan.digest = plan.compute_digest();
    Ok(plan)
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

/// Tenant and connection as a plan names them.
pub fn target(tenant: &str, settings: &Settings) -> String {
    format!("{tenant} / {}", settings.auth0.connection)
}

/// Writes beside the target first, so that a plan is whole or not there.
fn write(path: &Path, plan: &PlanFile) -> anyhow::Result<()> {
    let beside = path.with_extension("part");
    let json = serde_json::to_vec(plan)?;
    std::fs::write(&beside, json)
        .and_then(|()| std::fs::rename(&beside, path))
        .with_context(|| format!("the plan could not be written to {}", path.display()))
}

fn shown(plan: &PlanFile) -> serde_json::Value {
    let by_code: Vec<_> = plan
        .settled
        .iter()
        .filter_map(|(key, count)| {
            let (state, code) = key.split_once(' ')?;
            let remedy = code.parse::<ferry_domain::Code>().ok()?.remedy();
            Some(json!({"state": state, "code": code, "count": count, "remedy": remedy}))
        })
        .collect();
    json!({
        "source": plan.source.to_string(),
        "mapping": plan.mapping,
        "records": plan.tally.source,
        "accepted": plan.tally.pending,
        "rejected": plan.tally.failed,
        "skipped": plan.tally.skipped,
        "by_code": by_code,
        "source_digest": if plan.source_digest.is_empty() { plan.users.digest() } else { plan.source_digest.clone() },
        "digest": plan.digest,
    })
}

fn print(plan: &PlanFile, settings: &Settings, out: Option<&Path>) {
    output::say(&format!("{} by {}: {} records", plan.source, plan.mapping, plan.tally.source));
    let mut rows =
        vec![vec!["to send".to_owned(), String::new(), plan.tally.pending.to_string(), String::new()]];
    for (key, count) in &plan.settled {
        let (state, code) = key.split_once(' ').unwrap_or((key, ""));
        let remedy = code.parse::<ferry_domain::Code>().map(|c| c.remedy()).unwrap_or_default();
        let word = if state == "failed" { "rejected" } else { state };
        rows.push(vec![word.to_owned(), code.to_owned(), count.to_string(), remedy.to_owned()]);
    }
    output::data(&output::table(&["what", "code", "users", "remedy"], rows, &[2]));
    if let Some(rate) = settings.limits().ok().and_then(|limits| limits.creates_per_second()) {
        let seconds = plan.tally.pending as f64 / rate;
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
