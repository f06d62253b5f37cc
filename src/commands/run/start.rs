//! `ferry run start`: plans a source into the ledger and lets workers begin.

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use ferry_domain::{
    plan::PlanFile,
    ports::{Clock, Ledger, LedgerError},
};
use ferry_operations::{
    Access, Error, plan,
    planner::Subject,
    start::{self, Question, Wish},
};
use ferry_sources::Location;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::{
    consent::{Concerned, Consent},
    exit::{Exit, usage},
    lifecycle,
    made_with::{self, Carried},
    options::Output,
    output::{self, Progress},
    place::Place,
    printed,
    reading::{self, Opened, Reading},
    servers::Servers,
    settings::{self, Flag},
    setup::Setup,
    shown,
    system::SystemClock,
    tenant, traces, wiring,
};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// A file (CSV, JSON, NDJSON, SQLite) or a database URL [default: the plan's, or DATABASE_URL]
    pub source: Option<String>,
    /// A file made by ferry plan: refuse to start (exit 6) if source or settings have changed since
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    #[command(flatten)]
    pub reading: Reading,
    /// Users in one batch, 1 to 1000; a worker takes users batch by batch
    #[arg(long, value_name = "USERS")]
    pub batch_size: Option<u32>,
    /// Users that have an account at Auth0 already, verified on both sides: adopt it, skip the user, or
    /// conflict (leave it to a person)
    #[arg(long, value_name = "POLICY")]
    pub on_existing: Option<String>,
    /// Stop the run when more users than this failed or conflict: a number of users, or off
    #[arg(long, value_name = "USERS")]
    pub max_failures: Option<String>,
    /// Stop the run when a larger share than this of the finished users failed or conflict: in percent
    /// (5, 2.5), once 50 have ended; or off
    #[arg(long, value_name = "PERCENT")]
    pub max_failure_rate: Option<String>,
    #[command(flatten)]
    pub consent: Consent,
    /// How to print the result
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

    /// What it takes from its plan before settings are read.
    pub fn carried(&self) -> anyhow::Result<Carried> {
        match &self.plan {
            Some(path) => made_with::carried(&made_with::read_plan(path)?),
            None => Ok(Carried::default()),
        }
    }
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let plan = options.plan.as_deref().map(made_with::read_plan).transpose()?;
    let text = source_text(&options, plan.as_ref(), &setup.servers)?;
    let tenant = tenant::required(&setup.servers)?;
    options.consent.can_be_had(&Concerned::sends([tenant.clone()], setup))?;
    let mut reading = options.reading.clone();
    if let Some(plan) = plan.as_ref().filter(|plan| plan.source.is_file()) {
        reading.format.get_or_insert_with(|| plan.source.kind.clone());
    }
    let Opened { mut subject, location } = reading::open(setup, &text, &reading, tenant).await?;
    let reason = options.consent.reason.as_deref();
    let wish = Wish { plan: plan.as_ref(), accepted: &options.reading.accept, reason };
    wish.check(&subject)?;

    let places = Places::of(&location, &setup.servers).await?;
    // A ledger file that is made here stays, whatever comes of the run: by the time that is known,
    // another process may have its tables or its runs in it.
    plan_and_begin(setup, &options, wish, &mut subject, &places).await
}

async fn plan_and_begin(
    setup: &Setup,
    options: &Options,
    wish: Wish<'_>,
    subject: &mut Subject,
    places: &Places,
) -> anyhow::Result<Exit> {
    let access = wiring::access_to(open_ledger(places, setup).await?, setup);
    let began = SystemClock.now();
    let mut progress = Progress::new("reading", 0);
    let stop = lifecycle::stop_on_signal()?;
    let read = &mut |read| progress.at(read, "records");
    let asked = start::ask(&access, subject, wish, read, stop.cancelled()).await;
    progress.done();
    let question = asked.map_err(|error| pasteable(error, places, &setup.servers))?;
    for warning in &question.warnings {
        let text = with_command(&format!("warning: {warning}"), places, &setup.servers);
        output::say(&output::folded(&text, 0).join("\n"));
    }
    let mut warnings = subject.source.warnings();
    warnings.extend(question.outcome.since.warnings());
    shown::warnings(&warnings);
    begin(began, &access, &question, options, places, setup, &stop).await
}

async fn begin(
    began: OffsetDateTime,
    access: &Access,
    question: &Question,
    options: &Options,
    places: &Places,
    setup: &Setup,
    stop: &CancellationToken,
) -> anyhow::Result<Exit> {
    let start::Outcome { run, planned, .. } = &question.outcome;
    if options.output == Output::Table {
        output::say(&format!("{}: {} records", run.source, planned.tally.source));
        let settled = plan::settled_of(access, run.id, planned).await?;
        output::say(&shown::planned(planned.tally.pending, &settled));
        shown::cost(planned.tally.pending, &setup.settings);
    }
    let concerned = Concerned::sends([run.spec.tenant.clone()], setup);
    let asked = options.consent.agreed_until(stop, question, &concerned);
    let agreed = start::wait_for(access, question, asked).await;
    if !matches!(agreed, Ok(Some(true))) {
        start::give_up(access, question).await?;
        let interrupted = agreed?.is_none();
        output::say("Nothing was started.");
        return Ok(if interrupted { Exit::Interrupted } else { Exit::Refused });
    }
    let started = start::begin(access, question).await?;
    traces::record_start(&setup.traces, started.run, began, planned.tally.pending);
    match options.output {
        Output::Json | Output::Ndjson => printed::object(&started)?,
        Output::Table => {
            output::data(&started.run.to_string());
            output::say(&format!("Started. Workers: {}", command("ferry worker", places, &setup.servers)));
            let watch = format!("ferry run watch {}", started.run);
            output::say(&format!("Follow:  {}", command(&watch, places, &setup.servers)));
        }
    }
    Ok(Exit::Done)
}

/// The same error, with a command that works when it is pasted.
fn pasteable(error: Error, places: &Places, servers: &Servers) -> anyhow::Error {
    match error {
        Error::Ledger(LedgerError::WriteBackTarget(what)) => {
            Error::from(LedgerError::WriteBackTarget(with_command(&what, places, servers))).into()
        }
        error => error.into(),
    }
}

/// What is found of a table does not know how its database was named.
fn with_command(text: &str, places: &Places, servers: &Servers) -> String {
    const MIGRATE: &str = "ferry migrate --app";
    text.replace(MIGRATE, &command(MIGRATE, places, servers))
}

/// A command that works when it is pasted: a password is never printed, so it has to be in
/// the environment.
fn command(words: &str, places: &Places, servers: &Servers) -> String {
    let Some(source) = &places.application else { return words.to_owned() };
    let named = [Place::of_application(servers).ok().flatten(), Place::of(servers).ok()];
    match source {
        _ if named.iter().flatten().any(|named| named.name() == source.name()) => words.to_owned(),
        Place::Sqlite(_) => format!("DATABASE_URL={} {words}", reading::quoted(&source.shown())),
        Place::Postgres(_) => format!("{words}, with DATABASE_URL set to the source"),
    }
}

fn source_text(options: &Options, plan: Option<&PlanFile>, servers: &Servers) -> anyhow::Result<String> {
    if let Some(text) = &options.source {
        return Ok(text.clone());
    }
    match plan {
        Some(plan) if plan.source.kind == "postgres" => {
            servers.database()?.map(|url| url.text().to_owned()).ok_or_else(|| {
                usage("the plan is of a PostgreSQL table: name the database as SOURCE, or set DATABASE_URL")
            })
        }
        // Only a table of SQLite has its name behind the file's.
        Some(plan) if plan.source.kind == "sqlite" => {
            let (path, _table) = plan.source.location.rsplit_once('#').unwrap_or((&plan.source.location, ""));
            Ok(path.to_owned())
        }
        Some(plan) => Ok(plan.source.location.clone()),
        None => reading::named(None, servers),
    }
}

/// Where a run's ledger and the application's table are.
struct Places {
    ledger: Place,
    /// `None` for a file.
    application: Option<Place>,
}

impl Places {
    async fn of(location: &Location, servers: &Servers) -> anyhow::Result<Places> {
        let ledger = wiring::ledger_of(location, servers).await?;
        Ok(Places { ledger, application: Place::of_location(location) })
    }
}

async fn open_ledger(places: &Places, setup: &Setup) -> anyhow::Result<Arc<dyn Ledger>> {
    let ledger = wiring::ledger_for(places.application.as_ref(), &places.ledger, setup).await?;
    wiring::check_readable(&*ledger).await?;
    Ok(ledger)
}
