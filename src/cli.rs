//! The command line: one noun–verb grammar (design §8). Help texts are for
//! operators: what happens, in which unit, what the default is. Each command's
//! options are beside its `run`, in `commands`.

use clap::{Arg, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::{
    commands::{
        audit, batch, check, completions, config, dead, demo, health, man, migrate, plan, queue, run, schema,
        seed, simulate, stop_all, user, worker,
    },
    examples,
    made_with::Carried,
    options::Global,
    settings::{self, Flag},
};

/// Options whose default is a setting's, and its key.
const OF_SETTINGS: [(&str, &str); 6] = [
    ("batch_size", "run.batch_size"),
    ("on_existing", "run.on_existing"),
    ("max_failures", "run.max_failures"),
    ("max_failure_rate", "run.max_failure_rate"),
    ("email_verified", "source.email_verified"),
    ("inactive", "source.inactive"),
];

/// The command line of this process.
///
/// # Errors
/// What to print where it can't be read, or where help was asked for.
pub fn parse() -> Result<Cli, clap::Error> {
    let matches = command().try_get_matches()?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command()))
}

/// With examples, and the defaults of settings in the help, as the settings have them.
pub fn command() -> clap::Command {
    let command = Cli::command()
        .mut_subcommand("plan", |plan| plan.mut_args(with_default))
        .mut_subcommand("run", |run| run.mut_subcommand("start", |start| start.mut_args(with_default)));
    examples::added(command)
}

fn with_default(arg: Arg) -> Arg {
    let key = OF_SETTINGS.iter().find(|(id, _)| arg.get_id() == id).map(|(_, key)| *key);
    let Some(default) = key.and_then(settings::default_of) else { return arg };
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    arg.help(format!("{help} [default: the settings', else {default}]"))
}

/// What a new user asks first.
const AFTER_HELP: &str = "\
Try it with nothing installed: ferry demo
Settings: ferry config template
The ledger is the database in which Ferry records each user, job and result: DATABASE_URL, or a SQLite file.";

/// The commit is told by build.rs.
const LONG_VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\ncommit ", env!("FERRY_BUILT_FROM"));

/// Moves an application's users into Auth0 through a durable job queue.
#[derive(Debug, Parser)]
#[command(name = "ferry", version, long_version = LONG_VERSION, about, max_term_width = 100)]
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
    Plan(plan::Options),
    /// Check settings, ledger, queue and Auth0 before a run, and say what to correct. Leaves nothing behind
    Check(check::Options),
    /// Move users: start, list, show, watch, pause, resume, cancel, rate, retry, report
    #[command(subcommand)]
    Run(run::Command),
    /// Users of a run by a filter; one user: what each run made of it, and how its account is now
    #[command(subcommand)]
    User(user::Command),
    /// Batches of a run: how many of their users are where, their jobs, and who holds them
    #[command(subcommand)]
    Batch(batch::Command),
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
    Worker(worker::Options),
    /// Ask a worker on this machine whether it takes work. Exit code 0: yes, 1: no, and why; for probes of containers
    Health(health::Options),
    /// Serve a simulated Auth0 on this machine until SIGTERM or Ctrl-C
    Simulate(simulate::Options),
    /// Write an example application with made-up users (MedLogistics) into a database
    Seed(seed::Options),
    /// Create or update the ledger's tables; with --app also the column auth0_user_id of the application's table
    Migrate(migrate::Options),
    /// Write a script with which a shell completes commands and options
    Completions(completions::Options),
    /// List the schemas of the JSON that commands print, print one, or write all into a folder
    Schema(schema::Options),
    /// Write pages for man, one for each command, into a folder
    Man(man::Options),
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

    /// Whether it has spans: it begins a run, or works on one.
    pub fn is_traced(&self) -> bool {
        matches!(self, Command::Demo(_) | Command::Worker(_) | Command::Run(run::Command::Start(_)))
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
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn the_help_says_each_default_that_settings_have() {
        let help = |words: &[&str]| {
            let mut command = command();
            let mut of = &mut command;
            for word in words {
                of = of.find_subcommand_mut(word).expect("a command");
            }
            of.render_help().to_string().split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let start = help(&["run", "start"]);
        for (option, default) in [
            ("--batch-size", "250"),
            ("--on-existing", "adopt"),
            ("--max-failures", "off"),
            ("--max-failure-rate", "off"),
            ("--email-verified", "column"),
            ("--inactive", "skip"),
        ] {
            let told = start.split(&format!("{option} <")).nth(1).unwrap_or_else(|| panic!("{start}"));
            let own = told.split(" --").next().unwrap_or_default();
            assert!(own.contains(&format!("[default: the settings', else {default}]")), "{option}: {own}");
        }
        assert!(help(&["plan"]).contains("[default: the settings', else skip]"));
        for (_, key) in OF_SETTINGS {
            assert!(settings::default_of(key).is_some(), "{key}");
        }
        assert_eq!(settings::default_of("source.table"), None);
    }

    /// Words of a line of a shell, with double quotes and nothing else.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut quoted) = (vec![String::new()], false);
        for letter in line.chars() {
            match letter {
                '"' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                other => words.last_mut().unwrap().push(other),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    fn version_is_told(error: clap::Error) -> Result<(), clap::Error> {
        if error.kind() == clap::error::ErrorKind::DisplayVersion { Ok(()) } else { Err(error) }
    }

    #[test]
    fn every_command_of_a_runbook_can_be_typed() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("ops/runbooks");
        let mut read = 0;
        for page in std::fs::read_dir(folder).unwrap() {
            let page = page.unwrap().path();
            let text = std::fs::read_to_string(&page).unwrap();
            for line in text.lines().filter(|line| line.starts_with("ferry ")) {
                let line = line.replace("RUN", "0193f3a0-0000-7000-8000-000000000001");
                let line = line.split(" | ").next().unwrap_or_default().replace(" ID", " 7");
                let parsed = command().try_get_matches_from(words(&line));
                if let Err(error) = parsed.map(drop).or_else(version_is_told) {
                    panic!("{}: {line}\n{error}", page.display());
                }
                read += 1;
            }
        }
        assert!(read > 40, "only {read} commands were found");
    }
}
