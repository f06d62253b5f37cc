//! The command line: one noun–verb grammar (design §8). Help texts are for
//! operators: what happens, in which unit, what the default is. Each command's
//! options are beside its `run`, in `commands`.

use clap::{Parser, Subcommand};

use crate::{
    commands::{
        audit, check, config, dead, demo, migrate, plan, queue, run, seed, simulate, stop_all, worker,
    },
    made_with::Carried,
    options::Global,
    settings::Flag,
};

/// What a new user asks first.
const AFTER_HELP: &str = "\
Try it with nothing installed: ferry demo
Settings: ferry config template
The ledger is the database in which Ferry records each user, job and result: DATABASE_URL, or a SQLite file.";

const PLAN: &str = "Examples:
  ferry plan --preset medlogistics                   the table of DATABASE_URL, in numbers
  ferry plan users.csv --list                        each record that would not be sent, and why
  ferry plan users.csv -o friday.plan                keep the plan, for ferry run start --plan friday.plan
  ferry plan users.csv --detailed-exitcode           7: there are users to move, 3: only records that need a person";

const CHECK: &str = "Examples:
  ferry check                                        exit code 0: all is well, 11: warnings, 10: errors
  ferry check --output json                          the same for a script";

const WORKER: &str = "Examples:
  ferry worker                                       all roles; on SQLite the only process
  ferry worker --listen 0.0.0.0:9464                 with /metrics, /livez and /readyz";

/// Moves an application's users into Auth0 through a durable job queue.
#[derive(Debug, Parser)]
#[command(name = "ferry", version, about, max_term_width = 100)]
#[command(after_help = AFTER_HELP)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Try it: move an example application's users into a simulated Auth0, all in this process
    Demo(demo::Options),
    /// Show what a run would do with each record of a source; changes nothing
    #[command(after_help = PLAN)]
    Plan(plan::Options),
    /// Check settings, ledger, queue and Auth0 before a run, and say what to correct. Leaves nothing behind
    #[command(after_help = CHECK)]
    Check(check::Options),
    /// Move users: start, list, show, watch, pause, resume, cancel, rate, retry, report
    #[command(subcommand)]
    Run(run::Command),
    /// Stop sending for every run and every worker, until resume-all
    StopAll(stop_all::Options),
    /// Undo stop-all: let workers send again. Paused and stopped runs stay as they are
    ResumeAll(stop_all::Options),
    /// Jobs on their way from the ledger to workers: list, rebuild
    #[command(subcommand)]
    Queue(queue::Command),
    /// Dead letters: jobs that were given up and wait for a person: list, show, redrive, discard
    #[command(subcommand)]
    Dead(dead::Command),
    /// Show who ordered what, when and why: starts, pauses, cancels, rates, retries, stop-all
    Audit(audit::Options),
    /// Create and verify users. SIGTERM or Ctrl-C stops it and hands unfinished work back; a second one ends it immediately
    #[command(after_help = WORKER)]
    Worker(worker::Options),
    /// Serve a simulated Auth0 on this machine until SIGTERM or Ctrl-C
    Simulate(simulate::Options),
    /// Write an example application with made-up users (MedLogistics) into a database
    Seed(seed::Options),
    /// Create or update the ledger's tables; with --app also the column auth0_user_id of the application's table
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

impl Command {
    /// Whether lines of a log would stand between those for a person, who is told the same by the
    /// command.
    pub fn tells_itself(&self) -> bool {
        matches!(self, Command::Run(run::Command::RestoreIds(_)))
    }

    /// What it takes from a plan before settings are read.
    pub fn carried(&self) -> anyhow::Result<Carried> {
        match self {
            Command::Run(command) => command.carried(),
            _ => Ok(Carried::default()),
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
