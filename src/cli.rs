//! The command line: one noun–verb grammar (design §8). Help texts are for
//! operators: what happens, in which unit, what the default is. Each command's
//! options are beside its `run`, in `commands`.

use clap::{Parser, Subcommand};

use crate::{
    commands::{check, config, dead, demo, migrate, plan, queue, run, seed, simulate, stop_all, worker},
    options::Global,
    settings::Flag,
};

/// Moves an application's users into Auth0 through a durable job queue.
#[derive(Debug, Parser)]
#[command(name = "ferry", version, about, max_term_width = 100)]
#[command(after_help = "Try it with nothing installed: ferry demo\nSettings: ferry config template")]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show everything in one process, simulator included; nothing to install
    Demo(demo::Options),
    /// Look at a source: what a run would do with each record, without writing anything
    Plan(plan::Options),
    /// Look at settings, ledger, queue and Auth0 before users move; says what to do. Writes nothing that stays
    Check(check::Options),
    /// Runs: start, list, show, watch, pause, resume, cancel, rate, retry, report
    #[command(subcommand)]
    Run(run::Command),
    /// Stop all sending of all runs, by every worker, until resume-all
    StopAll(stop_all::Options),
    /// Let all workers send again
    ResumeAll(stop_all::Options),
    /// Jobs between ledger and workers: list, rebuild
    #[command(subcommand)]
    Queue(queue::Command),
    /// What was given up and waits for a person: list, show, redrive, discard
    #[command(subcommand)]
    Dead(dead::Command),
    /// Work on jobs until a signal: SIGTERM or Ctrl-C once hands back, twice ends at once
    Worker(worker::Options),
    /// Serve a simulated Auth0 on this machine until a signal
    Simulate(simulate::Options),
    /// Write the MedLogistics example application into a database
    Seed(seed::Options),
    /// Bring the ledger's tables up to date; with --app also the application's column
    Migrate(migrate::Options),
    /// Settings: show, check, template
    #[command(subcommand)]
    Config(config::Command),
}

impl Command {
    /// The settings that its options override.
    pub fn flags(&self) -> Vec<Flag> {
        match self {
            Command::Plan(options) => options.reading.flags(),
            Command::Run(command) => command.flags(),
            Command::Migrate(options) => options.flags(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
