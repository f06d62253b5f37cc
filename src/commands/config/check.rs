//! `ferry config check`.

use crate::{
    exit::{Exit, usage},
    output,
    place::Place,
    setup::Setup,
    tenant,
};

/// Everything a worker needs, without asking any server.
pub fn run(setup: &Setup) -> anyhow::Result<Exit> {
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
