//! `ferry worker`: works on jobs until a signal.

use ferry_workers::Role;

use crate::{
    cli::Worker,
    exit::Exit,
    lifecycle, output,
    settings::Settings,
    wiring::{self, Place},
};

pub async fn run(settings: &Settings, options: Worker) -> anyhow::Result<Exit> {
    let mut roles = if options.roles.is_empty() { Role::ALL.to_vec() } else { options.roles };
    roles.sort_unstable();
    roles.dedup();
    let stop = lifecycle::stop_on_signal()?;
    let auth0 = wiring::auth0_settings(settings)?;
    let place = Place::from_environment()?;
    let transport = wiring::transport(&place, settings).await?;
    let (directory, limiter) = wiring::directory(auth0, &settings.limits()?, &place)?;
    let env = wiring::worker(&transport, directory, wiring::tuning(settings), &roles, stop);
    let names = roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    output::say(&format!("ferry worker {} at {}: {names}", env.worker.id, place.shown()));
    let ended = ferry_workers::run(env, &roles).await;
    limiter.give_back().await;
    ended?;
    drop(transport.lock);
    Ok(Exit::Done)
}
