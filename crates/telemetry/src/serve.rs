//! Three pages over HTTP: `/metrics`, `/healthz` (also as `/livez`) and `/readyz`.
//!
//! They are served from a thread of their own with a runtime of its own. On the workers'
//! runtime a probe would hang exactly when it is needed, and a hanging probe tells less than
//! one that answers *why*. The workers' runtime only runs a tick, and the probe reads its
//! age. Metrics are gathered on yet another thread: they may wait for the limiter's
//! lock, the probes may not.

use std::{future::Future, io, net::SocketAddr, sync::Arc, thread, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Handle},
    sync::oneshot,
};
use tracing::{info, warn};

use crate::{Exposition, Sources, Turns, health, watch_turns};

/// How long open connections keep the server from ending.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// The running server of the pages.
#[derive(Debug)]
pub struct Pages {
    address: SocketAddr,
    ended: oneshot::Receiver<()>,
    /// Kept as long as the pages are.
    _turns: Turns,
}

impl Pages {
    /// The address that is served, with the port that the system chose for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resolves when nothing is served any more, at most a second after `stop`.
    pub async fn ended(mut self) {
        // An error means that the thread is gone, which is an end as well.
        let _ = (&mut self.ended).await;
    }
}

/// Serves the pages until `stop` resolves; `exposition` is that of metrics.
///
/// Call it on the runtime that does the work: that is the one that is watched. Keep the
/// returned value: without it there is no tick, and the process counts as dead.
///
/// # Errors
/// When the address can't be listened on, or when there is no runtime.
pub fn serve(
    listen: SocketAddr,
    sources: &Sources,
    exposition: Exposition,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<Pages> {
    Handle::try_current().map_err(io::Error::other)?;
    let listener = std::net::TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    // One thread more is enough for scrapes; a second scrape waits for the first.
    let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(1).build()?;
    let (end, ended) = oneshot::channel();
    let pages = Arc::new(Served { sources: sources.clone(), exposition: Arc::new(exposition) });
    let turns = watch_turns(sources);
    thread::Builder::new().name("ferry-pages".to_owned()).spawn(move || {
        if let Err(error) = runtime.block_on(listen_until(listener, pages, stop)) {
            warn!(%error, "metrics and health are not served any more");
        }
        runtime.shutdown_timeout(LAST_ANSWERS);
        // An error means that the caller no longer waits for it.
        let _ = end.send(());
    })?;
    info!(%address, "serving metrics and health");
    Ok(Pages { address, ended, _turns: turns })
}

async fn listen_until(
    listener: std::net::TcpListener,
    pages: Arc<Served>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/livez", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(pages);
    let (stopped, mut stopping) = tokio::sync::watch::channel(false);
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        stop.await;
        stopped.send_replace(true);
    });
    let overdue = async {
        // An error means that the server ended by itself: nothing is overdue.
        if stopping.wait_for(|stopped| *stopped).await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(LAST_ANSWERS).await;
    };
    tokio::select! {
        served = server.into_future() => served,
        () = overdue => Ok(()),
    }
}

struct Served {
    sources: Sources,
    exposition: Arc<Exposition>,
}

async fn metrics(State(served): State<Arc<Served>>) -> Response {
    let exposition = served.exposition.clone();
    let page = tokio::task::spawn_blocking(move || exposition.page()).await;
    match page {
        Ok(Ok(page)) => ([(header::CONTENT_TYPE, Exposition::CONTENT_TYPE)], page).into_response(),
        Ok(Err(error)) => line(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Err(_) => {
            line(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be gathered; the log says why")
        }
    }
}

async fn healthz(State(served): State<Arc<Served>>) -> Response {
    let Sources { figures, monotonic_ms, patience, .. } = &served.sources;
    match health::dead_because(figures, monotonic_ms(), *patience) {
        None => line(StatusCode::OK, "alive"),
        Some(why) => line(StatusCode::SERVICE_UNAVAILABLE, &why),
    }
}

async fn readyz(State(served): State<Arc<Served>>) -> Response {
    match health::lacking(&served.sources.figures).as_slice() {
        [] => line(StatusCode::OK, "ready"),
        lacking => line(StatusCode::SERVICE_UNAVAILABLE, &format!("not ready: {}", lacking.join("; "))),
    }
}

/// One line for people and probes.
fn line(status: StatusCode, line: &str) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], format!("{line}\n")).into_response()
}
