//! The running server and the handle that tests hold.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::app::App;
use crate::config::Config;
use crate::faults::Faults;
use crate::limits::Plan;
use crate::routes;
use crate::state::{PlantedUser, UserView};
use crate::stats::Stats;
use crate::tokens::Tokens;

/// How long [`Simulator::shutdown`] waits for requests that are still being answered.
const GRACE: Duration = Duration::from_secs(5);

/// Why a simulator could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("the simulator cannot listen on {address}; choose another one, or port 0 for any")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// The error of the system.
        #[source]
        source: io::Error,
    },
    /// A share of faults is not between 0 and 1.
    #[error("faults {0} must be between 0 and 1")]
    Share(String),
    /// The built-in signing key cannot be read.
    #[error("the simulator's own signing key cannot be read")]
    Key(#[source] jsonwebtoken::errors::Error),
}

/// A running simulator. Dropping it stops it immediately; [`Simulator::shutdown`] first finishes
/// the requests under way.
pub struct Simulator {
    app: Arc<App>,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
}

impl Simulator {
    /// Starts a simulator on the current tokio runtime; it answers when this returns.
    ///
    /// # Errors
    /// When the address cannot be listened on or the settings make no sense.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let wrong = config.faults.out_of_range();
        if !wrong.is_empty() {
            return Err(StartError::Share(wrong.join(", ")));
        }
        let address = config.listen;
        let failed = |source| StartError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;

        let base_url = format!("http://{bound}");
        let tokens = Tokens::new(&base_url, config.token_lifetime).map_err(StartError::Key)?;
        let app = Arc::new(App::new(config, base_url, tokens));
        let router = routes::router(Arc::clone(&app));
        // Small answers must not wait for the acknowledgement of the ones before.
        let listener = listener.tap_io(|connection| {
            if let Err(error) = connection.set_nodelay(true) {
                tracing::debug!(%error, "a connection keeps its send delay");
            }
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(async move {
            let served = axum::serve(listener, router).with_graceful_shutdown(async {
                // An error means that the handle is gone, which is a reason to stop as well.
                let _ = stopped.await;
            });
            if let Err(error) = served.await {
                tracing::error!(%error, "the simulator stopped serving");
            }
        });
        tracing::debug!(address = %bound, "the simulator listens");
        Ok(Self { app, stop: Some(stop), server })
    }

    /// The address it answers at, without a slash at the end: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn base_url(&self) -> String {
        self.app.base_url.clone()
    }

    /// Puts a user directly into the tenant, without any check, and returns the full id.
    ///
    /// A user with the same id is replaced. Two with one address in one connection can both be
    /// planted; the later one is found by that address.
    ///
    /// # Panics
    /// When the connection does not exist: add it first.
    pub fn plant(&self, user: PlantedUser) -> String {
        let now_ms = self.app.clock.now_ms();
        self.app
            .tenant()
            .plant(user, &self.app.ids, now_ms)
            .expect("the connection of a planted user exists; add it by add_connection first")
    }

    /// Makes an address in the configured connection answer 409 on create although no user with it
    /// can be found: the "ghost" that incomplete records leave at Auth0.
    pub fn plant_ghost(&self, email: &str) {
        self.app.tenant().plant_ghost(email);
    }

    /// Adds a connection (`auth0` makes a database) and returns its id, `con_…`.
    pub fn add_connection(&self, name: &str, strategy: &str) -> String {
        let id = self.app.ids.connection_id();
        self.app.tenant().add_connection(id.clone(), name, strategy);
        id
    }

    /// All users, sorted by id.
    #[must_use]
    pub fn users(&self) -> Vec<UserView> {
        self.app.tenant().page(None, usize::MAX)
    }

    /// One user by full id.
    #[must_use]
    pub fn user(&self, id: &str) -> Option<UserView> {
        self.app.tenant().user(id).map(|user| user.view())
    }

    /// Removes a user without the client's knowledge; returns whether there was one.
    pub fn remove(&self, id: &str) -> bool {
        self.app.tenant().remove(id)
    }

    /// Changes a user without the client's knowledge; returns whether there was one. Id and
    /// connection stay the same whatever the closure does. The closure must not call the simulator.
    pub fn change(&self, id: &str, change: impl FnOnce(&mut UserView)) -> bool {
        self.app.tenant().change(id, change)
    }

    /// Gives the client another secret. Its tokens are valid until they expire, as at Auth0.
    pub fn rotate_secret(&self, secret: &str) {
        secret.clone_into(&mut self.app.secret());
    }

    /// Moves the simulator's clock forward: tokens age, buckets fill.
    pub fn advance(&self, by: Duration) {
        self.app.clock.advance(by);
    }

    /// Injects other faults from the next request on; the counters are kept.
    ///
    /// # Errors
    /// When a share is not between 0 and 1; then nothing changes.
    pub fn set_faults(&self, faults: Faults) -> Result<(), StartError> {
        let wrong = faults.out_of_range();
        if !wrong.is_empty() {
            return Err(StartError::Share(wrong.join(", ")));
        }
        self.app.faults.set(faults);
        Ok(())
    }

    /// Follows other limits from now on. What was left of them stays, as far as it fits.
    pub fn set_limits(&self, plan: &Plan) {
        self.app.limits().change(plan, self.app.clock.now_ms());
    }

    /// The counters at present.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.app.stats()
    }

    /// Stops taking requests, finishes those under way (for at most 5 s) and frees the port.
    pub async fn shutdown(mut self) {
        if let Some(stop) = self.stop.take() {
            // An error means that it has stopped already.
            let _ = stop.send(());
        }
        if tokio::time::timeout(GRACE, &mut self.server).await.is_err() {
            tracing::warn!("the simulator was stopped while it still answered requests");
            self.server.abort();
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.server.abort();
    }
}
