//! The command line: one noun–verb grammar (design §8). Help texts are for
//! operators: what happens, in which unit, what the default is.

pub mod operators;
pub mod units;

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use ferry_domain::{Code, RunId};
use ferry_workers::Role;

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

/// Flags of every command.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Settings file; default: ferry.toml in this folder, if there is one
    #[arg(long, global = true, env = "FERRY_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Log level: error, warn, info, debug, trace, or pairs like ferry_workers=debug
    #[arg(long, global = true, env = "FERRY_LOG", value_name = "LEVEL")]
    pub log: Option<String>,
    /// Log format: text or json
    #[arg(long, global = true, value_name = "FORMAT")]
    pub log_format: Option<String>,
}

/// How data is printed on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    #[default]
    Table,
    /// One JSON value
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show everything in one process, simulator included; nothing to install
    Demo(Demo),
    /// Look at a source: what a run would do with each record, without writing anything
    Plan(Plan),
    /// Look at settings, ledger, queue and Auth0 before users move; says what to do. Writes nothing that stays
    Check(operators::Check),
    /// Runs: start, list, show, watch, pause, resume, cancel, rate, retry, report
    #[command(subcommand)]
    Run(Run),
    /// Stop all sending of all runs, by every worker, until resume-all
    StopAll(operators::StopAll),
    /// Let all workers send again
    ResumeAll(operators::StopAll),
    /// Jobs between ledger and workers: list, rebuild
    #[command(subcommand)]
    Queue(operators::Queue),
    /// What was given up and waits for a person: list, show, redrive, discard
    #[command(subcommand)]
    Dead(operators::Dead),
    /// Work on jobs until a signal: SIGTERM or Ctrl-C once hands back, twice ends at once
    Worker(Worker),
    /// Serve a simulated Auth0 on this machine until a signal
    Simulate(Simulate),
    /// Write the MedLogistics example application into a database
    Seed(Seed),
    /// Bring the ledger's tables up to date; with --app also the application's column
    Migrate(Migrate),
    /// Settings: show, check, template
    #[command(subcommand)]
    Config(Config),
}

#[derive(Clone, Debug, Args)]
pub struct Demo {
    /// Users in the example application, at least 40
    #[arg(long, default_value_t = 1_000)]
    pub users: u64,
    /// The same seed makes the same users
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// The simulated tenant's rate limits: off, free, enterprise, private-500, custom:BURST:PER_SECOND, …
    #[arg(long, default_value = "private-500", value_name = "PLAN")]
    pub limits: String,
    /// table, or json: the last line is one object
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// How records are read; each overrides the settings file.
#[derive(Clone, Debug, Default, Args)]
pub struct Reading {
    /// Named mapping of columns: medlogistics or authjs; else what the settings say in section source
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Format of a file whose name does not tell: csv, json, ndjson
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Where the source has no such column: column, assume (all verified), never
    #[arg(long, value_name = "RULE")]
    pub email_verified: Option<String>,
    /// Users that are disabled in the source: skip, block (carry as blocked), carry
    #[arg(long, value_name = "RULE")]
    pub inactive: Option<String>,
    /// Make users without their password hash; they can never get it later
    #[arg(long)]
    pub discard_hashes: bool,
}

#[derive(Clone, Debug, Args)]
pub struct Plan {
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

#[derive(Debug, Subcommand)]
pub enum Run {
    /// Plan a source into the ledger and let workers begin
    Start(Box<RunStart>),
    /// List runs, newest first
    List(RunList),
    /// Show one run: state, why it waits, sums, jobs
    Show(RunShow),
    /// Follow a run until it ends; the exit code says how
    Watch(RunWatch),
    /// Stop sending of one run within a second; what is under way is finished. Nothing is lost
    Pause(operators::RunMove),
    /// Let a paused or stopped run go on where it was
    Resume(operators::RunMove),
    /// Give a run up for good: shows how many users, then asks; users at Auth0 already stay
    Cancel(operators::RunMove),
    /// Set the rate limits while it runs; the newest set counts for the tenant
    Rate(operators::RunRate),
    /// Take failed and conflicting users up again, also of a sealed run
    Retry(RunRetry),
    /// Print the report of a run
    Report(RunReport),
}

#[derive(Clone, Debug, Args)]
pub struct RunStart {
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

/// Agreement to a bulk action, and why.
#[derive(Clone, Debug, Args)]
pub struct Consent {
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub struct RunList {
    /// At most so many
    #[arg(long, default_value_t = 20)]
    pub limit: i64,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

#[derive(Clone, Debug, Args)]
pub struct RunShow {
    /// The run's id
    pub run: RunId,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// When watching ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Until {
    /// The report is written
    #[default]
    Sealed,
}

#[derive(Clone, Debug, Args)]
pub struct RunWatch {
    /// The run's id
    pub run: RunId,
    /// When to end
    #[arg(long, value_enum, default_value_t)]
    pub until: Until,
}

#[derive(Clone, Debug, Args)]
pub struct RunRetry {
    /// The run's id
    pub run: RunId,
    /// Only users with this code; may be given several times
    #[arg(long = "code", value_name = "CODE")]
    pub codes: Vec<Code>,
    #[command(flatten)]
    pub consent: Consent,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Form of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportOutput {
    /// For people
    #[default]
    Markdown,
    /// Everything as one object
    Json,
    /// One line for each user that was not created or adopted
    Csv,
}

#[derive(Clone, Debug, Args)]
pub struct RunReport {
    /// The run's id
    pub run: RunId,
    /// A revision; default: the newest, or the state now if there is none
    #[arg(long)]
    pub revision: Option<i32>,
    #[arg(long, value_enum, default_value_t)]
    pub output: ReportOutput,
}

#[derive(Clone, Debug, Args)]
pub struct Worker {
    /// Some of provision, verify, report, relay; default: all
    #[arg(long, value_delimiter = ',', value_name = "ROLES")]
    pub roles: Vec<Role>,
    /// Serve /metrics, /healthz and /readyz here, for example 127.0.0.1:9464
    #[arg(long, env = "FERRY_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
}

#[derive(Clone, Debug, Args)]
pub struct Simulate {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// The one application that gets tokens
    #[arg(long, env = "AUTH0_CLIENT_ID", default_value = "ferry", value_name = "ID")]
    pub client_id: String,
    /// Its secret
    #[arg(
        long,
        env = "AUTH0_CLIENT_SECRET",
        hide_env_values = true,
        default_value = "simulated",
        value_name = "SECRET"
    )]
    pub client_secret: String,
    /// The database connection that exists
    #[arg(long, default_value = "Username-Password-Authentication", value_name = "NAME")]
    pub connection: String,
    /// Rate limits: off, free, enterprise, private-500, custom:BURST:PER_SECOND, …
    #[arg(long, default_value = "off", value_name = "PLAN")]
    pub limits: String,
    /// How spent limits come back: steadily, or all at once each second
    #[arg(long, default_value = "token-bucket", value_parser = ["token-bucket", "fixed-window"], value_name = "MODEL")]
    pub refill: String,
    /// Answers take as long as recorded at real tenants, on top of --latency
    #[arg(long)]
    pub recorded_latency: bool,
    /// Every answer takes so long, in milliseconds
    #[arg(long, default_value_t = 0, value_name = "MS")]
    pub latency: u64,
    /// … and up to so much longer
    #[arg(long, default_value_t = 0, value_name = "MS")]
    pub jitter: u64,
    /// Share of creates that are stored and never answered, 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub lost_answers: f64,
    /// Share of requests answered by a server error, 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub server_errors: f64,
    /// Makes the faults repeat
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
}

#[derive(Clone, Debug, Args)]
pub struct Seed {
    /// PostgreSQL URL, or a SQLite file
    #[arg(long, value_name = "URL")]
    pub target: String,
    /// Users, at least 40
    #[arg(long, default_value_t = 1_000)]
    pub users: u64,
    /// The same seed makes the same users
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Remove an earlier example first; only tables this command made
    #[arg(long)]
    pub replace: bool,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

#[derive(Clone, Debug, Args)]
pub struct Migrate {
    /// Also add auth0_user_id to the application's table
    #[arg(long)]
    pub app: bool,
    /// Preset that names the application's table; default: section source of the settings, else table users with key id
    #[arg(long, value_name = "NAME", requires = "app")]
    pub preset: Option<String>,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Subcommand)]
pub enum Config {
    /// Every setting with its value and where it came from
    Show {
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Whether settings and environment are complete and can be read
    Check,
    /// The settings file with every key, its default and a sentence
    Template,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
