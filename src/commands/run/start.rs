//! `ferry run start`: plans a source into the ledger and lets workers begin.

use clap::Args;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use ferry_domain::{
    plan::{PLAN_VERSION, PlanFile},
    ports::{Ledger, NewRun},
};
use ferry_sources::Location;
use secrecy::ExposeSecret;
use serde_json::json;

use crate::{
    commands::plan,
    exit::{Exit, refused, usage},
    options::{Consent, Output},
    output,
    place::Place,
    planner::{self, Outcome},
    reading::{self, Opened, Reading},
    servers::Servers,
    settings::{self, Flag, Settings},
    setup::Setup,
    system::{SystemClock, SystemRandom},
    tenant, wiring,
};

const SOURCE_CHANGED: &str = "SOURCE_CHANGED";

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// A file (CSV, JSON, NDJSON, SQLite) or a database URL; default: the plan's
    #[arg(required_unless_present = "plan")]
    pub source: Option<String>,
    /// Start what this plan says; refused (exit 6) when source or settings have changed since
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// Go on although something changed since the plan: SOURCE_CHANGED
    #[arg(long, value_name = "CODE", requires = "plan")]
    pub accept: Vec<String>,
    #[command(flatten)]
    pub reading: Reading,
    /// Users in one batch, 1 to 1000
    #[arg(long, value_name = "USERS")]
    pub batch_size: Option<u32>,
    /// Existing accounts, verified on both sides: adopt, skip, conflict
    #[arg(long, value_name = "POLICY")]
    pub on_existing: Option<String>,
    /// Stop when more users than this failed or conflict; a number of users, or off
    #[arg(long, value_name = "USERS")]
    pub max_failures: Option<String>,
    /// Stop when a larger share of the users that ended failed or conflict, in percent
    /// (5, 2.5), once 50 have ended; or off
    #[arg(long, value_name = "PERCENT")]
    pub max_failure_rate: Option<String>,
    #[command(flatten)]
    pub consent: Consent,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

impl Options {
    /// The settings that these override.
    pub fn flags(&self) -> Vec<Flag> {
        let mut flags = self.reading.flags();
        if let Some(size) = self.batch_size {
            flags.push(("run.batch_size", size.into()));
        }
        settings::push(&mut flags, "run.on_existing", self.on_existing.as_deref());
        settings::push(&mut flags, "run.max_failures", self.max_failures.as_deref());
        settings::push(&mut flags, "run.max_failure_rate", self.max_failure_rate.as_deref());
        flags
    }
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    if let Some(unknown) = options.accept.iter().find(|code| *code != SOURCE_CHANGED) {
        return Err(usage(format!("--accept {unknown}: only {SOURCE_CHANGED} can be accepted")));
    }
    let plan = options.plan.as_deref().map(read_plan).transpose()?;
    let text = source_text(&options, plan.as_ref(), &setup.servers)?;
    let tenant = tenant::required(&setup.servers)?;
    let mut opened = reading::open(&setup.settings, &text, &options.reading).await?;
    if let Some(plan) = &plan {
        check_plan(plan, &setup.settings, &opened, &tenant, source_change_accepted(&options))?;
    }

    let place = ledger_place(&opened.location, &setup.servers)?;
    let fresh = matches!(&place, Place::Sqlite(path) if !path.exists());
    let result = plan_and_begin(setup, &options, plan.as_ref(), &mut opened, &tenant, &place).await;
    if fresh && !matches!(result, Ok(Exit::Done)) {
        remove_unused(&place);
    }
    result
}

async fn plan_and_begin(
    setup: &Setup,
    options: &Options,
    plan: Option<&PlanFile>,
    opened: &mut Opened,
    tenant: &str,
    place: &Place,
) -> anyhow::Result<Exit> {
    let ledger = open_ledger(place, setup).await?;
    if let Some(target) = &opened.write_back {
        ledger.check_application(target).await.context("run `ferry migrate --app --yes` first")?;
    }
    let run = reading::new_run(setup, opened, tenant, options.consent.reason.clone())?;
    let outcome = planner::plan(&*ledger, &mut *opened.source, &run, &SystemClock, &SystemRandom).await?;
    if let Some(plan) = plan
        && let Err(stale) = check_users(plan, &outcome, source_change_accepted(options))
    {
        ledger.abandon(run.id).await?;
        return Err(stale);
    }
    begin(&*ledger, &run, &outcome, options, place).await
}

fn source_change_accepted(options: &Options) -> bool {
    options.accept.iter().any(|code| code == SOURCE_CHANGED)
}

/// A ledger file that this command made and nothing was started in.
fn remove_unused(place: &Place) {
    let Place::Sqlite(path) = place else { return };
    for end in ["", "-wal", "-shm"] {
        let mut name = path.clone().into_os_string();
        name.push(end);
        let _ = std::fs::remove_file(name); // not there, or somebody else's by now: no harm either way
    }
}

async fn begin(
    ledger: &dyn Ledger,
    run: &NewRun,
    outcome: &Outcome,
    options: &Options,
    place: &Place,
) -> anyhow::Result<Exit> {
    let planned = &outcome.planned;
    if options.output == Output::Table {
        output::say(&format!("{}: {} records", run.source, planned.tally.source));
        let table = output::table(&["what", "code", "users", "remedy"], planner::rows(planned), &[2]);
        output::say(&table);
    }
    let question = format!(
        "Create {} users in {} / {}, {} batches?",
        planned.tally.pending, run.spec.tenant, run.spec.connection, planned.batches
    );
    let agreed = output::confirmed(options.consent.yes, &question);
    if !matches!(agreed, Ok(true)) {
        ledger.abandon(run.id).await?;
        agreed?;
        output::say("Nothing was started.");
        return Ok(Exit::Refused);
    }
    ledger.start(run.id).await?;
    match options.output {
        Output::Json => output::json(&json!({
            "run": run.id, "source": planned.tally.source, "pending": planned.tally.pending,
            "skipped": planned.tally.skipped, "failed": planned.tally.failed, "batches": planned.batches,
        }))?,
        Output::Table => {
            output::data(&run.id.to_string());
            output::say(&format!("Started. Workers: DATABASE_URL={} ferry worker", place.shown()));
            output::say(&format!("Follow:  ferry run watch {}", run.id));
        }
    }
    Ok(Exit::Done)
}

fn source_text(options: &Options, plan: Option<&PlanFile>, servers: &Servers) -> anyhow::Result<String> {
    if let Some(text) = &options.source {
        return Ok(text.clone());
    }
    match plan {
        Some(plan) if plan.source.kind == "postgres" => {
            servers.database_url.get().map(str::to_owned).ok_or_else(|| {
                usage("the plan is of a PostgreSQL table: name the database as SOURCE, or set DATABASE_URL")
            })
        }
        Some(plan) => Ok(plan.source.location.split('#').next().unwrap_or_default().to_owned()),
        None => Err(usage("name a source, or a plan with --plan")),
    }
}

fn read_plan(path: &Path) -> anyhow::Result<PlanFile> {
    let text =
        std::fs::read(path).map_err(|e| usage(format!("{}: the plan can't be read: {e}", path.display())))?;
    let plan: PlanFile = serde_json::from_slice(&text)
        .map_err(|e| usage(format!("{}: this is no plan of `ferry plan -o`: {e}", path.display())))?;
    if plan.ferry_plan != PLAN_VERSION {
        return Err(refused(format!("{}: made by Ferry {}; make it again", path.display(), plan.made_by)));
    }
    let digest = plan.compute_digest();
    if digest != plan.digest {
        return Err(refused(format!(
            "{}: the plan was changed after it was made (digest {digest}, it says {}); make it again",
            path.display(),
            plan.digest
        )));
    }
    Ok(plan)
}

fn check_plan(
    plan: &PlanFile,
    settings: &Settings,
    opened: &Opened,
    tenant: &str,
    accepted: bool,
) -> anyhow::Result<()> {
    let identity = opened.source.identity();
    if plan.source != identity {
        return Err(refused(format!("the plan is of {}, not of {identity}", plan.source)));
    }
    let rules = reading::rules_digest(settings, &opened.mapping);
    if plan.rules_digest != rules {
        return Err(refused(format!(
            "mapping or settings changed since the plan (digest {rules}, the plan has {}); make the plan again",
            plan.rules_digest
        )));
    }
    let target = plan::target(tenant, settings);
    if !plan.target.is_empty() && plan.target != target {
        return Err(refused(format!("the plan is for {}, not for {target}", plan.target)));
    }
    if plan.source_digest != opened.digest && !accepted {
        return Err(refused(format!(
            "{identity} changed since the plan (digest {}, the plan has {}); make the plan again, or --accept {SOURCE_CHANGED}",
            opened.digest, plan.source_digest
        )));
    }
    Ok(())
}

/// A table's planned users one by one: new ones are no drift.
fn check_users(plan: &PlanFile, outcome: &Outcome, accepted: bool) -> anyhow::Result<()> {
    let drift = plan.users.drift(&outcome.users);
    if !drift.is_stale() || accepted {
        return Ok(());
    }
    Err(refused(format!(
        "{} changed since the plan: {} users changed, {} vanished, {} new (digest {}, the plan has {}); make the plan again, or --accept {SOURCE_CHANGED}",
        plan.source,
        drift.changed,
        drift.vanished,
        drift.added,
        outcome.users.digest(),
        plan.users.digest()
    )))
}

/// A table's ledger lives in its own database, so that an id and its record are
/// written in one transaction. A file's is where the environment says.
fn ledger_place(location: &Location, servers: &Servers) -> anyhow::Result<Place> {
    let own = match location {
        Location::File { .. } => return Place::of(servers),
        Location::Sqlite { path } => Place::Sqlite(path.clone()),
        Location::Postgres { url } => Place::Postgres(url.expose_secret().to_owned().into()),
    };
    match servers.ledger_url.get() {
        Some(url) if Place::parse(servers.ledger_url.name, url)?.shown() != own.shown() => {
            Err(usage(format!(
                "FERRY_LEDGER_URL names another database than the source {}: a table's ledger lives beside it; unset FERRY_LEDGER_URL",
                own.shown()
            )))
        }
        _ => Ok(own),
    }
}

async fn open_ledger(place: &Place, setup: &Setup) -> anyhow::Result<Arc<dyn Ledger>> {
    match place {
        Place::Sqlite(path) => wiring::sqlite(path).await,
        Place::Postgres(_) => wiring::ledger(place, setup).await,
    }
}
