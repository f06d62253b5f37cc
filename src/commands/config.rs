//! `ferry config`: show, check, template.

use serde_json::json;

use crate::{
    cli::{Config, Output},
    exit::{Exit, usage},
    output,
    place::Place,
    settings::DEFAULTS,
    setup::Setup,
    tenant,
};

pub fn run(setup: &Setup, command: Config) -> anyhow::Result<Exit> {
    match command {
        Config::Template => {
            output::data(DEFAULTS.trim_end());
            Ok(Exit::Done)
        }
        Config::Show { output } => show(setup, output),
        Config::Check => check(setup),
    }
}

fn show(setup: &Setup, form: Output) -> anyhow::Result<Exit> {
    let mut rows = setup.origins.listed()?;
    for variable in setup.servers.all() {
        rows.push((variable.name.to_owned(), variable.shown().to_owned(), "environment".to_owned()));
    }
    match form {
        Output::Json => {
            let list: Vec<_> = rows
                .iter()
                .map(|(key, value, from)| json!({"key": key, "value": value, "from": from}))
                .collect();
            output::json(&list)?;
        }
        Output::Table => {
            let rows = rows.into_iter().map(|(key, value, from)| vec![key, value, from]).collect();
            output::data(&output::table(&["setting", "value", "from"], rows, &[]));
        }
    }
    Ok(Exit::Done)
}

/// Everything a worker needs, without asking any server.
fn check(setup: &Setup) -> anyhow::Result<Exit> {
    let Setup { settings, servers, .. } = setup;
    let mut found = Vec::new();
    let mut note = |result: anyhow::Result<()>| {
        if let Err(error) = result {
            found.push(error.to_string());
        }
    };
    note(tenant::sign_in(servers, settings).map(drop));
    let place = setup.place();
    if let Ok(Place::Postgres(_)) = &place {
        note(servers.required_redis().map(drop));
    }
    note(place.map(drop));
    if !settings.source.is_empty() {
        note(settings.mapping().map(drop));
    }
    if found.is_empty() {
        output::say("Settings and environment are complete. No server was asked.");
        return Ok(Exit::Done);
    }
    for line in &found {
        output::data(line);
    }
    Err(usage(format!("{} settings are missing or wrong", found.len())))
}
