//! `ferry run list`.
//!
//! Two lines for each run: what is counted, and where it comes from. On one line they would
//! need twice the columns of a terminal.

use std::time::Duration;

use clap::Args;
use ferry_domain::RunView;
use ferry_operations::{
    named, pace, units,
    views::{RunLine, to_the_second},
    waits::Around,
};
use time::OffsetDateTime;

use crate::{
    exit::Exit,
    options::ListOutput,
    output::{self, WIDTH},
    printed,
    setup::Setup,
    table, wiring,
};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Show at most this many runs
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    pub limit: i64,
    /// How to print the result; the table shows how ids begin, which every command takes
    #[arg(long, value_enum, default_value_t)]
    pub output: ListOutput,
}

const COLUMNS: [&str; 16] = [
    "run",
    "state",
    "migration",
    "from",
    "source",
    "created",
    "adopted",
    "pending",
    "conflict",
    "failed",
    "skipped",
    "cancelled",
    "created_at",
    "started_at",
    "ended_at",
    "abandoned",
];

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let access = wiring::access(setup).await?;
    let runs = access.runs.runs(options.limit).await?;
    match options.output {
        ListOutput::Json => printed::array(runs.iter().map(RunLine::from))?,
        ListOutput::Ndjson => printed::lines(runs.iter().map(RunLine::from))?,
        ListOutput::Csv => printed::csv(COLUMNS, runs.iter().map(RunLine::from))?,
        ListOutput::Table if runs.is_empty() => output::say("No runs yet. Begin with ferry run start."),
        ListOutput::Table => {
            if Around::of(&access).await?.orders.stop_all() {
                output::say("All sending is stopped: ferry resume-all");
            }
            output::data(&table(&runs, access.clock.now()));
        }
    }
    Ok(Exit::Done)
}

fn table(runs: &[RunView], now: OffsetDateTime) -> String {
    let header = ["run", "state", "users", "moved", "left out", "need a person", "to do"];
    let ids = named::shortest(&runs.iter().map(|run| run.id).collect::<Vec<_>>());
    let rows = runs.iter().zip(ids).map(|(run, id)| row(run, id)).collect();
    let origins: Vec<_> = runs.iter().map(|run| vec![origin(run, now)]).collect();
    table::with_below(&header, rows, &[2, 3, 4, 5, 6], &origins)
}

/// The last five add up to the first of them.
fn row(run: &RunView, id: String) -> Vec<String> {
    let sums = &run.tally;
    let state = if run.abandoned { "abandoned".to_owned() } else { run.state.to_string() };
    let counts = [
        sums.source,
        sums.created + sums.adopted,
        sums.skipped + sums.cancelled,
        sums.failed + sums.conflict,
        sums.pending,
    ];
    [id, state].into_iter().chain(counts.map(|count| count.to_string())).collect()
}

/// Where its users come from, when it was begun, and how long it took or has taken so far.
fn origin(run: &RunView, now: OffsetDateTime) -> String {
    let begun = to_the_second(run.started_at.unwrap_or(run.created_at));
    let word = if run.started_at.is_some() { "begun" } else { "planned" };
    let time = match pace::elapsed(run, now) {
        Some(time) if run.state.is_active() => format!(", {} ago", units::rounded(time)),
        Some(time) => format!(", took {}", units::rounded(time.max(Duration::from_secs(1)))),
        None => String::new(),
    };
    let when = format!("{word} {begun}{time}");
    let room = WIDTH.saturating_sub(when.chars().count() + 4);
    format!("  {}  {when}", output::shortened(&run.source.to_string(), room))
}

#[cfg(test)]
mod tests {
    use ferry_contract::run_view;
    use ferry_domain::{RunState, SourceIdentity, Tally};

    use super::*;

    fn run(number: u8, state: RunState) -> RunView {
        let count = 1_234_567;
        RunView {
            id: format!("01a2235d-00{number:02}-7000-8000-000000000000").parse().unwrap(),
            source: SourceIdentity {
                kind: "postgres".into(),
                location: "database.internal.example.com:5432/medlogistics/public.application_users".into(),
            },
            tally: Tally {
                source: 7 * count,
                created: count,
                adopted: count,
                skipped: count,
                cancelled: count,
                failed: count,
                conflict: count,
                pending: count,
            },
            started_at: Some(OffsetDateTime::UNIX_EPOCH),
            ..run_view(0, state)
        }
    }

    #[test]
    fn a_list_of_runs_fits_a_terminal_and_its_columns_add_up() {
        let runs = [run(1, RunState::Cancelling), run(2, RunState::Sealed)];
        let now = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(5_000);
        let text = table(&runs, now);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        let words: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(&words[1..3], ["cancelling", "8641969"], "{text}");
        let sums: i64 = words[3..].iter().map(|word| word.parse::<i64>().unwrap()).sum();
        assert_eq!(sums, 8_641_969, "{text}");
        assert!(
            text.lines().nth(2).unwrap().contains("application_users  begun 1970-01-01T00:00:00Z, 83 min")
        );
        assert_ne!(words[0], text.lines().nth(3).unwrap().split_whitespace().next().unwrap(), "{text}");
    }

    #[test]
    fn a_run_whose_start_is_gone_is_listed_as_abandoned() {
        let run = RunView { abandoned: true, started_at: None, ..run(1, RunState::Planned) };
        let text = table(&[run], OffsetDateTime::UNIX_EPOCH);
        assert!(text.contains("abandoned") && text.contains("planned 1970"), "{text}");
    }
}
