//! `ferry worker`: works on jobs until a signal.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use clap::Args;
use ferry_domain::{Figures, ports::Limiter};
use ferry_telemetry::{Pages, Patience, Sources};
use ferry_workers::{Environment, Role};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    exit::{Exit, usage},
    lifecycle, output,
    place::Place,
    setup::Setup,
    tenant,
    wiring::{self, Transport},
};

/// Between two tries to reach the servers at the start.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);
/// How often the same reason is told.
const SAY_AGAIN: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// What this process does, separated by commas: provision, verify, report, relay [default: all]
    #[arg(long, value_delimiter = ',', value_name = "ROLES")]
    pub roles: Vec<Role>,
    /// Serve /metrics, /healthz and /readyz at this address, for example 127.0.0.1:9464
    #[arg(long, env = "FERRY_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let mut roles = if options.roles.is_empty() { Role::ALL.to_vec() } else { options.roles };
    roles.sort_unstable();
    roles.dedup();
    let stop = lifecycle::stop_on_signal()?;
    let auth0 = tenant::sign_in(&setup.servers, &setup.settings)?;
    let place = setup.place()?;
    let Some(transport) = transport_once_there(&place, setup, &stop).await? else { return Ok(Exit::Done) };
    let target = wiring::target(auth0, &place, setup)?;
    let figures = Arc::new(Figures::default());
    let limiter = target.limiter.clone();
    let tenant = tenant::named(&setup.servers)?;
    let env = wiring::worker(setup, &transport, target, tenant, &roles, figures.clone(), stop.clone())?;
    let pages = options.listen.map(|address| serve(address, &env, figures, limiter, stop)).transpose()?;
    let names = roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    output::say(&format!("ferry worker {} at {}: {names}", env.worker().id, place.shown()));
    if let Some(pages) = &pages {
        output::say(&format!("metrics and health at http://{}", pages.address()));
    }
    ferry_workers::run(env, &roles).await?;
    drop(pages);
    drop(transport.lock);
    Ok(Exit::Done)
}

/// Ledger and queue. Servers that are away are waited for as later in an outage, since
/// workers and servers are often started together; what needs a person ends it immediately.
async fn transport_once_there(
    place: &Place,
    setup: &Setup,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Transport>> {
    let mut said = (String::new(), Instant::now());
    loop {
        match wiring::transport(place, setup).await {
            Ok(transport) => return Ok(Some(transport)),
            Err(error) if wiring::passes(&error) => {
                let why = format!("{error:#}");
                if why != said.0 || said.1.elapsed() >= SAY_AGAIN {
                    output::say(&format!("Waiting to begin: {why}. Ctrl-C ends the worker."));
                    said = (why, Instant::now());
                }
            }
            Err(error) => return Err(error),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(BETWEEN_TRIES) => {}
        }
    }
}

fn serve(
    listen: SocketAddr,
    env: &Arc<Environment>,
    figures: Arc<Figures>,
    limiter: Arc<dyn Limiter>,
    stop: CancellationToken,
) -> anyhow::Result<Pages> {
    let clock = env.clone();
    let sources = Sources {
        figures,
        limiter: Arc::new(move || limiter.figures()),
        monotonic_ms: Arc::new(move || clock.uptime_ms()),
        patience: Patience::default(),
    };
    ferry_telemetry::serve(listen, sources, async move { stop.cancelled().await })
        .map_err(|e| usage(format!("metrics can't be served at {listen}: {e}; name another --listen")))
}
