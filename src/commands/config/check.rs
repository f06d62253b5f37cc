//! `ferry config check`.

use crate::{
    exit::{Exit, usage},
    output,
    place::Place,
    setup::Setup,
    tenant,
};

/// Everything a worker needs, without asking any server: all that is missing or wrong in one list.
pub fn run(setup: &Setup) -> anyhow::Result<Exit> {
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
    if found.is_empty() {
        output::say("Settings and environment are complete. No server was asked.");
        return Ok(Exit::Done);
    }
    for line in &found {
        output::data(&output::folded(line, 0).join("\n"));
    }
    Err(usage(match found.len() {
        1 => "1 setting is missing or wrong".to_owned(),
        many => format!("{many} settings are missing or wrong"),
    }))
}
