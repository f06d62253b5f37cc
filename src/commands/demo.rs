//! `ferry demo`: the whole way in one process, with nothing installed.
//!
//! A MedLogistics application in SQLite, a simulated Auth0, and the same plan,
//! workers, verification and report as in production; only the queue is in
//! memory. It ends with exit 0 when each planted case came out as planted.

mod outcome;

pub use self::outcome::Summary;

use std::{path::PathBuf, sync::Arc};

use anyhow::Context;
use clap::Args;
use ferry_auth0::Auth0Settings;
use ferry_domain::{
    RunState, RunView,
    ports::{Clock, Limiter},
};
use ferry_operations::{Access, report::Shown, start, waits::Around};
use ferry_seed::{Population, WriteOptions, population};
use ferry_simulator::{Config, Simulator};
use ferry_workers::Role;
use tokio_util::sync::CancellationToken;

use crate::{
    exit::{Exit, usage},
    lifecycle,
    options::Output,
    output::{self, Progress},
    place::Place,
    planted, printed,
    reading::{self, Opened, Reading},
    settings::Settings,
    setup::Setup,
    shown,
    system::SystemClock,
    traces, wiring,
};

const CLIENT: &str = "demo";
/// Part of the chosen ids; the simulator's port would change them from demo to demo.
const TENANT: &str = "demo.simulator";

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Number of users in the example application, at least 40
    #[arg(long, default_value_t = 1_000)]
    pub users: u64,
    /// Chooses the example's users: the same seed, the same users
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Rate limits of the simulated tenant: off, free, enterprise, private-500, custom:BURST:PER_SECOND, …
    #[arg(long, default_value = "private-500", value_name = "PLAN")]
    pub limits: String,
    /// How to print the result; with json it is the last line
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let population = population(options.users, options.seed).map_err(usage)?;
    let setup = &Setup { settings: demo_settings(&setup.settings, &options)?, ..setup.clone() };
    let stop = lifecycle::stop_on_signal()?;
    let started = SystemClock.now();
    let folder = own_folder(options.seed)?;
    let file = folder.join("medlogistics.db");

    seed(&file, &population).await?;
    let simulator = simulator(&setup.settings, &population).await?;
    let run = plan_and_start(setup, &file).await?;
    let (run, interrupted) = work(setup, &file, &simulator, run, &stop).await?;
    simulator.shutdown().await;
    if interrupted {
        output::say(&format!(
            "Interrupted; what was done is in {}, and the simulated Auth0 ended with this process.\nBegin anew: ferry demo --seed {}. Nothing else is needed of {}: remove it.",
            file.display(),
            options.seed,
            folder.display()
        ));
        return Ok(Exit::Interrupted);
    }

    let access = wiring::access_to(wiring::ledger(&Place::beside(&file), setup).await?, setup);
    let report = write_report(&access, &run, &folder).await?;
    let odd = outcome::not_as_planted(&*access.items, &run, &population).await?;
    let seconds = (SystemClock.now() - started).as_seconds_f64();
    match options.output {
        Output::Json | Output::Ndjson => printed::object(&outcome::summary(&run, seconds, &report))?,
        Output::Table => outcome::print(&run, &population, seconds, &report, &file),
    }
    for line in &odd {
        output::say(line);
    }
    let well =
        odd.is_empty() && run.state == RunState::Sealed && run.discrepancies == 0 && run.tally.adds_up();
    Ok(if well { Exit::Done } else { Exit::VerificationFailed })
}

/// The settings as they are, aimed at the example and the simulator.
fn demo_settings(settings: &Settings, options: &Options) -> anyhow::Result<Settings> {
    let mut settings = settings.clone();
    settings.migration.name = Some("medlogistics".into());
    settings.auth0.connection = Config::default().connection;
    settings.auth0.limits.clone_from(&options.limits);
    settings.limits()?;
    settings.source = [("preset", "medlogistics"), ("email_verified", "assume")]
        .map(|(key, value)| (key.to_owned(), value.into()))
        .into_iter()
        .collect();
    Ok(settings)
}

/// A folder that no earlier demo used: ferry-demo-SEED, then ferry-demo-SEED-2, …
fn own_folder(seed: u64) -> anyhow::Result<PathBuf> {
    let mut number = 1;
    loop {
        let name =
            if number == 1 { format!("ferry-demo-{seed}") } else { format!("ferry-demo-{seed}-{number}") };
        match std::fs::create_dir(&name) {
            Ok(()) => return Ok(name.into()),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => {
                return Err(error).context(format!("the demo's folder {name} could not be made here"));
            }
        }
    }
}

async fn seed(file: &std::path::Path, population: &Population) -> anyhow::Result<()> {
    let mut progress = Progress::new("seeding", population.user_count());
    let target = format!("sqlite://{}", file.display());
    ferry_seed::write(&target, population, WriteOptions::default(), |users| progress.at(users, "")).await?;
    progress.done();
    Ok(())
}

async fn simulator(settings: &Settings, population: &Population) -> anyhow::Result<Simulator> {
    let simulator = Simulator::start(Config {
        client_id: CLIENT.into(),
        client_secret: CLIENT.into(),
        limits: settings.auth0.limits.parse().map_err(usage)?,
        ..Config::default()
    })
    .await?;
    planted::plant(&simulator, population);
    Ok(simulator)
}

async fn plan_and_start(setup: &Setup, file: &std::path::Path) -> anyhow::Result<RunView> {
    let application = Place::Sqlite(file.to_owned());
    let ledger = wiring::ledger_for(Some(&application), &Place::beside(file), setup).await?;
    ledger.prepare_application(&reading::usual_table()).await?;
    let text = format!("sqlite://{}", file.display());
    let Opened { mut subject, .. } =
        reading::open(setup, &text, &Reading::default(), TENANT.to_owned()).await?;
    let access = wiring::access_to(ledger, setup);
    let began = SystemClock.now();
    let mut progress = Progress::new("reading", 0);
    let read = &mut |read| progress.at(read, "records");
    let question =
        start::ask(&access, &mut subject, start::Wish::default(), read, std::future::pending()).await?;
    progress.done();
    let started = start::begin(&access, &question).await?;
    traces::record_start(&setup.traces, started.run, began, question.outcome.planned.tally.pending);
    Ok(access.run(started.run).await?)
}

/// Works until the run is sealed, or until a signal.
async fn work(
    setup: &Setup,
    file: &std::path::Path,
    simulator: &Simulator,
    run: RunView,
    stop: &CancellationToken,
) -> anyhow::Result<(RunView, bool)> {
    let (application, place) = (Place::Sqlite(file.to_owned()), Place::beside(file));
    let transport = wiring::transport(&place, Some(&application), setup).await?;
    let url = simulator.base_url().parse().context("the simulator's address")?;
    let auth0 = Auth0Settings::for_base_url(url, CLIENT, CLIENT.to_owned().into())?;
    let figures = Arc::default();
    let target = wiring::target(auth0, &place, setup, &figures)?;
    let (ending, limiter) = (stop.child_token(), target.limiter.clone());
    let env = wiring::worker(
        setup,
        &transport,
        target,
        Some(TENANT.to_owned()),
        &Role::ALL,
        figures,
        ending.clone(),
    )?;
    let workers = tokio::spawn(async move { ferry_workers::run(env, &Role::ALL).await });
    let watched = watch(&wiring::access_to(transport.ledger.clone(), setup), limiter, run, stop).await;
    ending.cancel();
    workers.await.context("the workers ended badly")??;
    watched
}

async fn watch(
    access: &Access,
    limiter: Arc<dyn Limiter>,
    run: RunView,
    stop: &CancellationToken,
) -> anyhow::Result<(RunView, bool)> {
    let mut progress = Progress::tall("users", run.tally.source.unsigned_abs());
    loop {
        let run = access.run(run.id).await?;
        if run.state == RunState::Sealed {
            progress.done();
            return Ok((run, false));
        }
        let what = if run.tally.pending > 0 { "creating" } else { "reading back" };
        progress.waits(why(access, &*limiter, &run).await?.as_deref());
        progress.at(run.tally.finished().unsigned_abs(), &format!("{what}, {} verified", run.verified));
        tokio::select! {
            () = tokio::time::sleep(std::time::Duration::from_millis(100)) => {}
            () = stop.cancelled() => return Ok((run, true)),
        }
    }
}

/// Why it waits: somebody paused the run from another terminal, or the limit.
async fn why(access: &Access, limiter: &dyn Limiter, run: &RunView) -> anyhow::Result<Option<String>> {
    let around = Around::of(access).await?;
    if run.state.seen_by_holder(around.orders.stop_all()).is_sending() {
        return Ok(limiter.waiting().map(|waiting| waiting.to_string()));
    }
    Ok(around.why(run))
}

async fn write_report(access: &Access, run: &RunView, folder: &std::path::Path) -> anyhow::Result<PathBuf> {
    let Shown { report, standing } = shown::report(access, run, None).await?;
    for (name, text) in [
        ("report.md", ferry_report::markdown(&report)),
        ("report.html", ferry_report::html(&report, &standing)),
        ("report.json", printed::text(&report)?),
    ] {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("{} could not be written", path.display()))?;
    }
    Ok(folder.join("report.md"))
}
