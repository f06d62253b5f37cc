//! `ferry user list`: users of a run that a filter means, page by page.

use anyhow::Context;
use clap::Args;
use ferry_domain::shell;
use ferry_operations::{
    Error, RunName,
    units::grouped,
    user::{self, Listed, Selection, User},
};

use crate::{exit::Exit, options::ListOutput, output, printed, setup::Setup, table, wiring};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The run's id, how it begins, or last
    #[arg(default_value = "last")]
    pub run: RunName,
    /// Only users that this filter means: 'state=failed code=A,B key=K line=200..300 hospital=H-12'
    #[arg(long = "where", value_name = "FILTER")]
    pub filter: Option<String>,
    /// Show at most this many users
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    pub limit: i64,
    /// Only users after this position in the source: what the page before names
    #[arg(long, default_value_t = 0, value_name = "SEQ", value_parser = clap::value_parser!(i64).range(0..))]
    pub after: i64,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: ListOutput,
}

const COLUMNS: [&str; 6] = ["key", "place", "state", "code", "auth0_user_id", "batch"];

/// Said where a filter by properties finds nobody.
const NO_RECORD: &str = "Of a record that a rule refused (EMAIL_INVALID, for example) nothing is kept but its key and \
                         place: choose those by code, place and line.";

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let selection = Selection::read(options.filter.as_deref()).map_err(Error::from).context("--where")?;
    let access = wiring::access(setup).await?;
    let Options { after, limit, .. } = options;
    let of_application = selection.has_properties();
    let listed = user::list(&access, &options.run, selection, after, limit).await?;
    match options.output {
        ListOutput::Json => {
            printed::object(&listed)?;
            return Ok(Exit::Done);
        }
        ListOutput::Ndjson => printed::lines(&listed.users)?,
        ListOutput::Csv => {
            output::part(&ferry_report::cells(COLUMNS.map(str::to_owned)));
            listed.users.iter().for_each(|user| output::part(&ferry_report::cells(cells(user, ""))));
        }
        ListOutput::Table if !listed.users.is_empty() => {
            let rows = listed.users.iter().map(|user| cells(user, "-").to_vec()).collect();
            output::data(&table::table(&COLUMNS, rows, &[]));
        }
        ListOutput::Table => {}
    }
    output::say(&told(&listed, &options));
    if of_application && listed.matching == 0 {
        output::say(&output::folded(NO_RECORD, 0).join("\n"));
    }
    Ok(Exit::Done)
}

fn cells(user: &User, none: &str) -> [String; 6] {
    let User { key, place, state, code, auth0_user_id, batch, .. } = user;
    let code = code.map_or_else(|| none.to_owned(), |code| code.to_string());
    let account = auth0_user_id.clone().unwrap_or_else(|| none.to_owned());
    [key.clone(), place.clone(), (*state).to_owned(), code, account, batch.clone()]
}

/// How many there are, and how to see the next of them.
fn told(listed: &Listed, options: &Options) -> String {
    let Listed { run, matching, users, next_after } = listed;
    let (here, all) = (grouped(users.len() as i64), grouped(*matching));
    let Some(after) = next_after else {
        return match (users.is_empty(), options.after) {
            (false, _) => format!("{here} of {all} users of run {run}. More of one: ferry user show KEY"),
            (true, 0) => format!("No user of run {run} matches."),
            (true, after) => format!("No user of run {run} after {after} matches; {all} in all."),
        };
    };
    let mut next = format!("ferry user list {run}");
    if let Some(filter) = &options.filter {
        // What a person typed may be an address.
        let filter = if filter.contains('@') { "…".to_owned() } else { shell::quoted(filter) };
        next += &format!(" --where {filter}");
    }
    if options.limit != 50 {
        next += &format!(" --limit {}", options.limit);
    }
    format!("{here} of {all} users; next page: {next} --after {after}")
}
