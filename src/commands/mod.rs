//! Nouns are modules, verbs are files: each with its options and a `run` that returns
//! an exit code. Commands do not import one another.

pub mod audit;
pub mod batch;
pub mod check;
pub mod completions;
pub mod config;
pub mod dead;
pub mod demo;
pub mod health;
pub mod man;
pub mod migrate;
pub mod plan;
pub mod queue;
pub mod run;
pub mod schema;
pub mod seed;
pub mod simulate;
pub mod stop_all;
pub mod user;
pub mod worker;

use ferry_domain::WorkerId;

use crate::{
    cli::{self, Cli, Command},
    consent,
    exit::{Exit, usage},
    metrics,
    servers::Servers,
    settings,
    setup::Setup,
    system::{SystemClock, SystemRandom},
    traces,
};

/// Runs a command; its settings and logs are ready before it begins.
pub async fn run(cli: Cli) -> anyhow::Result<Exit> {
    // They describe the program, whatever the settings are.
    match &cli.command {
        Command::Completions(options) => return completions::run(cli::command(), options),
        Command::Man(options) => return man::run(cli::command(), options),
        Command::Schema(options) => return schema::run(options),
        _ => {}
    }
    let setup = match (setup(&cli), &cli.command) {
        (Err(error), Command::Check(options)) => return check::unreadable(&error, options),
        (setup, _) => &setup?,
    };
    start_logs(setup, cli.command.tells_itself() && setup.origins.is_default("log.level"))?;
    let ended = run_command(setup, cli.command).await;
    // Side by side: a collector that hangs takes the patience once.
    tokio::join!(setup.traces.end(traces::PATIENCE), setup.metrics.end(traces::PATIENCE));
    ended
}

async fn run_command(setup: &Setup, command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Demo(options) => demo::run(setup, options).await,
        Command::Plan(options) => plan::run(setup, options).await,
        Command::Check(options) => check::run(setup, options).await,
        Command::Audit(options) => audit::run(setup, options).await,
        Command::Run(command) => run::run(setup, command).await,
        Command::StopAll(options) => stop_all::run(setup, true, options).await,
        Command::ResumeAll(options) => stop_all::run(setup, false, options).await,
        Command::Queue(command) => queue::run(setup, command).await,
        Command::Dead(command) => dead::run(setup, command).await,
        Command::User(command) => user::run(setup, command).await,
        Command::Batch(command) => batch::run(setup, command).await,
        Command::Worker(options) => worker::run(setup, options).await,
        Command::Health(options) => health::run(options).await,
        Command::Simulate(options) => simulate::run(options).await,
        Command::Seed(options) => seed::run(setup, options).await,
        Command::Migrate(options) => migrate::run(setup, options).await,
        Command::Config(command) => config::run(setup, command),
        Command::Completions(options) => completions::run(cli::command(), &options),
        Command::Man(options) => man::run(cli::command(), &options),
        Command::Schema(options) => schema::run(&options),
    }
}

/// `told` says that the command tells people itself what a log would warn of.
fn start_logs(setup: &Setup, told: bool) -> anyhow::Result<()> {
    let log = &setup.settings.log;
    let format = log.format.parse().map_err(usage)?;
    let mut quiet = ferry_auth0::QUIET_TARGETS.to_vec();
    if ["error", "warn", "info"].contains(&log.level.as_str()) {
        // What these say comes in our own words, once for each cause.
        quiet.extend(["apalis_core=off", "sqlx::query=error", "sqlx::postgres::notice=error"]);
        quiet.extend(["sqlx::pool=error", "sqlx_core::pool=error"]);
    }
    if log.level == "debug" {
        // Each fetch of each queue, which hides what is ours. A filter of one's own shows it.
        quiet.push("apalis_core=info");
    }
    let level = if told { "error" } else { &log.level };
    ferry_telemetry::start(format, level, &quiet, &setup.traces).map_err(usage)
}

fn setup(cli: &Cli) -> anyhow::Result<Setup> {
    let servers = Servers::from_environment();
    // What a plan was made with comes first: what is typed now counts more, and is compared.
    let carried = cli.command.carried()?;
    if cli.global.no_input {
        consent::never_ask();
    }
    let flags = [carried.flags, cli.global.flags(), cli.command.flags()].concat();
    let file = cli.global.config.clone().or(carried.settings_file);
    let (settings, origins) = settings::load(file.as_deref(), flags, &servers)?;
    let process = WorkerId::new(&SystemClock, &SystemRandom);
    let instance = process.to_string();
    let metrics = metrics::prepare(&cli.command, &instance)?;
    let traces = traces::start(&cli.command, &instance)?;
    Ok(Setup { settings, origins, servers, process, traces, metrics })
}
