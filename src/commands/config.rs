//! `ferry config`: show, check, template.

use serde_json::json;

use crate::{
    cli::{Config, Output},
    exit::{Exit, usage},
    output,
    settings::{DEFAULTS, Loaded},
    system::environment,
    wiring::{self, Place},
};

/// Servers and secrets: name, whether the value may be shown.
const VARIABLES: &[(&str, bool)] = &[
    ("AUTH0_DOMAIN", true),
    ("AUTH0_BASE_URL", true),
    ("AUTH0_CLIENT_ID", true),
    ("AUTH0_CLIENT_SECRET", false),
    ("AUTH0_CLIENT_SECRET_FILE", true),
    ("DATABASE_URL", false),
    ("FERRY_LEDGER_URL", false),
    ("REDIS_URL", false),
];

pub fn run(loaded: &Loaded, command: Config) -> anyhow::Result<Exit> {
    match command {
        Config::Template => {
            output::data(DEFAULTS.trim_end());
            Ok(Exit::Done)
        }
        Config::Show { output } => show(loaded, output),
        Config::Check => check(loaded),
    }
}

fn show(loaded: &Loaded, form: Output) -> anyhow::Result<Exit> {
    let mut rows = loaded.listed()?;
    for &(name, may_be_shown) in VARIABLES {
        let value = match environment(name) {
            None => "(not set)".to_owned(),
            Some(_) if !may_be_shown => "(set, hidden)".to_owned(),
            Some(value) => value,
        };
        rows.push((name.to_owned(), value, "environment".to_owned()));
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
fn check(loaded: &Loaded) -> anyhow::Result<Exit> {
    let settings = &loaded.settings;
    let mut found = Vec::new();
    let mut note = |result: anyhow::Result<()>| {
        if let Err(error) = result {
            found.push(error.to_string());
        }
    };
    note(wiring::auth0_settings(settings).map(drop));
    let place = Place::from_environment();
    if let Ok(Place::Postgres(_)) = &place
        && environment("REDIS_URL").is_none()
    {
        note(Err(usage("a PostgreSQL ledger needs Redis for its queue: set REDIS_URL")));
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
