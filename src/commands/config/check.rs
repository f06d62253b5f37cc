//! `ferry config check`.

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    exit::{Exit, usage},
    options::Output,
    output,
    place::Place,
    printed,
    setup::Setup,
    tenant,
};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Whether settings and environment are complete.
#[derive(Serialize, JsonSchema)]
pub struct Checked<'a> {
    /// Whether nothing is missing or wrong.
    complete: bool,
    /// What is missing or wrong, each with what to do.
    problems: &'a [String],
}

/// Everything a worker needs, without asking any server: all that is missing or wrong in one list.
pub fn run(setup: &Setup, options: &Options) -> anyhow::Result<Exit> {
    let Setup { settings, servers, .. } = setup;
    let mut found = servers.unfilled();
    let mut note = |result: anyhow::Result<()>| {
        if let Err(error) = result {
            let told = error.to_string();
            if !found.contains(&told) {
                found.push(told);
            }
        }
    };
    tenant::problems(servers).into_iter().for_each(|problem| note(Err(problem)));
    // Beside a ledger of its own the application's database is not the place that is asked for.
    note(Place::of_application(servers).map(drop));
    let place = Place::of(servers);
    if let Ok(Place::Postgres(_)) = &place {
        note(servers.required_redis().map(drop));
        note(servers.redis_ca().map(drop));
    }
    note(place.map(drop));
    if !settings.source.is_empty() {
        note(settings.mapping().map(drop));
    }
    if options.output != Output::Table {
        printed::object(&Checked { complete: found.is_empty(), problems: &found })?;
    }
    if found.is_empty() {
        output::say("Settings and environment are complete. No server was asked.");
        return Ok(Exit::Done);
    }
    if options.output == Output::Table {
        found.iter().for_each(|line| output::data(&output::folded(line, 0).join("\n")));
    }
    Err(usage(match found.len() {
        1 => "1 setting is missing or wrong".to_owned(),
        many => format!("{many} settings are missing or wrong"),
    }))
}
