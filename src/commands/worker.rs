//! `ferry worker`: works on jobs until a signal.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use clap::Args;
use ferry_domain::{
    Figures,
    ports::{Limiter, LimiterFigures},
};
use ferry_telemetry::{Metrics, Pages, Patience, Sources, Turns, watch_turns};
use ferry_workers::{Environment, Role};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

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
    /// Serve /metrics, /healthz (or /livez) and /readyz at this address, for example 127.0.0.1:9464
    #[arg(long, env = "FERRY_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    if setup.settings.log.format == "json" {
        output::remark_as_json();
    }
    let mut roles = if options.roles.is_empty() { Role::ALL.to_vec() } else { options.roles };
    roles.sort_unstable();
    roles.dedup();
    let stop = lifecycle::stop_on_signal()?;
    let auth0 = tenant::sign_in(&setup.servers, &setup.settings)?;
    let place = wiring::ledger_place(&setup.servers).await?;
    let figures = Arc::new(Figures::default());
    let served = Served::begin(options.listen, &setup.metrics, &figures)?;
    let Some(transport) = transport_once_there(&place, setup, &stop, &figures).await? else {
        return Ok(Exit::Done);
    };
    let target = wiring::target(auth0, &place, setup, &figures)?;
    let limiter = target.limiter.clone();
    let tenant = tenant::named(&setup.servers)?;
    let env = wiring::worker(setup, &transport, target, tenant, &roles, figures, stop)?;
    served.works(limiter, &env);
    let names = roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    output::remark(&format!("ferry worker {} at {}: {names}", env.worker().id, place.shown()));
    ferry_workers::run(env, &roles).await?;
    drop(served);
    drop(transport.lock);
    Ok(Exit::Done)
}

/// Metrics and health: the pages, and what is sent to a collector. The pages are there before the
/// servers that the worker needs: a probe that finds nobody would have it started again and again.
/// They stay until the worker has handed its work back, and say meanwhile that it is not ready.
struct Served {
    pages: Option<Pages>,
    /// The tick, where there are no pages that bring it.
    turns: Option<Turns>,
    work: Arc<OnceLock<Work>>,
    end: CancellationToken,
}

/// What there is once the worker has begun.
struct Work {
    limiter: Arc<dyn Limiter>,
    env: Arc<Environment>,
}

impl Served {
    fn begin(listen: Option<SocketAddr>, metrics: &Metrics, figures: &Arc<Figures>) -> anyhow::Result<Self> {
        let (work, end) = (Arc::default(), CancellationToken::new());
        let mut served = Served { pages: None, turns: None, work, end };
        if listen.is_none() && !metrics.are_sent() {
            return Ok(served);
        }
        figures.set_not_begun(Some("the worker begins".to_owned()));
        let (sources, end) = (served.sources(figures), served.end.clone());
        let exposition = metrics.begin(&sources)?;
        let Some(listen) = listen else {
            served.turns = Some(watch_turns(&sources));
            return Ok(served);
        };
        let pages =
            ferry_telemetry::serve(listen, &sources, exposition, async move { end.cancelled().await })
                .map_err(|e| {
                    usage(format!("metrics can't be served at {listen}: {e}; name another --listen"))
                })?;
        output::remark(&format!("metrics and health at http://{}", pages.address()));
        served.pages = Some(pages);
        Ok(served)
    }

    /// What the metrics are read from, before and after the work has begun.
    fn sources(&self, figures: &Arc<Figures>) -> Sources {
        let (limited, timed) = (self.work.clone(), self.work.clone());
        let began = Instant::now();
        let waited = move || i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
        Sources {
            figures: figures.clone(),
            limiter: Arc::new(move || limited.get().map_or_else(nothing_sent, |work| work.limiter.figures())),
            // The clock of the work begins later than this one; a moment before it counts as now.
            monotonic_ms: Arc::new(move || timed.get().map_or_else(waited, |work| work.env.uptime_ms())),
            patience: Patience::default(),
            commit: env!("FERRY_BUILT_FROM"),
        }
    }

    /// From now on the pages show the work.
    fn works(&self, limiter: Arc<dyn Limiter>, env: &Arc<Environment>) {
        let _ = self.work.set(Work { limiter, env: env.clone() }); // set once, here
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

/// The figures of a limiter that nobody has asked yet.
fn nothing_sent() -> LimiterFigures {
    LimiterFigures { factor: 1.0, processes: 1, ..LimiterFigures::default() }
}

/// Ledger and queue. Servers that are away are waited for as later in an outage, since
/// workers and servers are often started together; what needs a person ends it immediately.
async fn transport_once_there(
    place: &Place,
    setup: &Setup,
    stop: &CancellationToken,
    figures: &Figures,
) -> anyhow::Result<Option<Transport>> {
    let application = Place::of_application(&setup.servers)?;
    let mut said = (String::new(), Instant::now());
    loop {
        match wiring::transport(place, application.as_ref(), setup).await {
            Ok(transport) => {
                figures.set_not_begun(None);
                return Ok(Some(transport));
            }
            Err(error) if wiring::passes(&error) => {
                let why = format!("{error:#}");
                figures.set_not_begun(Some(format!("waiting to begin: {why}")));
                if why != said.0 || said.1.elapsed() >= SAY_AGAIN {
                    warn!("Waiting to begin: {why}. Ctrl-C ends the worker.");
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
