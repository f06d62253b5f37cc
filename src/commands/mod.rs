//! One file for each command.

mod check;
mod config;
mod dead_act;
mod dead_filter;
mod dead_list;
mod dead_show;
mod demo;
mod filter;
mod migrate;
mod plan;
mod queue_list;
mod queue_rebuild;
mod reading;
mod run_list;
mod run_move;
mod run_rate;
mod run_report;
mod run_retry;
mod run_show;
mod run_start;
mod run_watch;
mod seed;
mod simulate;
mod stop_all;
mod waits;
mod worker;

use ferry_domain::run::RunMove;

use crate::{
    cli::{
        Cli, Command, Global, Reading, Run,
        operators::{Dead, Queue},
    },
    exit::{Exit, usage},
    servers::Servers,
    settings::{self, Flag},
    setup::Setup,
};

/// Runs a command; its settings and logs are ready before it begins.
pub async fn run(cli: Cli) -> anyhow::Result<Exit> {
    let setup = match (setup(&cli), &cli.command) {
        (Err(error), Command::Check(options)) => return check::unreadable(&error, options),
        (setup, _) => &setup?,
    };
    start_logs(&setup.settings.log)?;
    match cli.command {
        Command::Demo(options) => demo::run(setup, options).await,
        Command::Plan(options) => plan::run(setup, options).await,
        Command::Run(Run::Start(options)) => run_start::run(setup, *options).await,
        Command::Run(Run::List(options)) => run_list::run(setup, options).await,
        Command::Run(Run::Show(options)) => run_show::run(setup, options).await,
        Command::Run(Run::Watch(options)) => run_watch::run(setup, options).await,
        Command::Check(options) => check::run(setup, options).await,
        Command::Run(Run::Pause(options)) => run_move::run(setup, RunMove::Pause, options).await,
        Command::Run(Run::Resume(options)) => run_move::run(setup, RunMove::Resume, options).await,
        Command::Run(Run::Cancel(options)) => run_move::run(setup, RunMove::Cancel, options).await,
        Command::Run(Run::Rate(options)) => run_rate::run(setup, options).await,
        Command::Run(Run::Retry(options)) => run_retry::run(setup, options).await,
        Command::Run(Run::Report(options)) => run_report::run(setup, options).await,
        Command::StopAll(options) => stop_all::run(setup, true, options).await,
        Command::ResumeAll(options) => stop_all::run(setup, false, options).await,
        Command::Queue(Queue::List { output }) => queue_list::run(setup, output).await,
        Command::Queue(Queue::Rebuild(options)) => queue_rebuild::run(setup, options).await,
        Command::Dead(Dead::List(options)) => dead_list::run(setup, options).await,
        Command::Dead(Dead::Show(options)) => dead_show::run(setup, options).await,
        Command::Dead(Dead::Redrive(options)) => dead_act::redrive(setup, options).await,
        Command::Dead(Dead::Discard(options)) => dead_act::discard(setup, options).await,
        Command::Worker(options) => worker::run(setup, options).await,
        Command::Simulate(options) => simulate::run(options).await,
        Command::Seed(options) => seed::run(options).await,
        Command::Migrate(options) => migrate::run(setup, options).await,
        Command::Config(options) => config::run(setup, options),
    }
}

fn start_logs(log: &settings::Log) -> anyhow::Result<()> {
    let format = log.format.parse().map_err(usage)?;
    ferry_telemetry::start(format, &log.level, ferry_auth0::QUIET_TARGETS).map_err(usage)
}

fn setup(cli: &Cli) -> anyhow::Result<Setup> {
    let servers = Servers::from_environment();
    let mut flags = global(&cli.global);
    match &cli.command {
        Command::Plan(plan) => flags.extend(reading_flags(&plan.reading)),
        Command::Run(Run::Start(start)) => {
            flags.extend(reading_flags(&start.reading));
            if let Some(size) = start.batch_size {
                flags.push(("run.batch_size", size.into()));
            }
            push(&mut flags, "run.on_existing", start.on_existing.clone());
            push(&mut flags, "run.max_failures", start.max_failures.clone());
            push(&mut flags, "run.max_failure_rate", start.max_failure_rate.clone());
        }
        Command::Migrate(migrate) => push(&mut flags, "source.preset", migrate.preset.clone()),
        _ => {}
    }
    let (settings, origins) = settings::load(cli.global.config.as_deref(), flags, &servers)?;
    Ok(Setup { settings, origins, servers })
}

fn push(flags: &mut Vec<Flag>, key: &'static str, value: Option<String>) {
    if let Some(value) = value {
        flags.push((key, value.into()));
    }
}

fn global(global: &Global) -> Vec<Flag> {
    let mut flags = Vec::new();
    push(&mut flags, "log.level", global.log.clone());
    push(&mut flags, "log.format", global.log_format.clone());
    flags
}

fn reading_flags(reading: &Reading) -> Vec<Flag> {
    let mut flags = Vec::new();
    push(&mut flags, "source.preset", reading.preset.clone());
    push(&mut flags, "source.email_verified", reading.email_verified.clone());
    push(&mut flags, "source.inactive", reading.inactive.clone());
    if reading.discard_hashes {
        flags.push(("source.discard_hashes", true.into()));
    }
    flags
}
