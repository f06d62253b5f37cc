//! The client itself: one connection pool, one token, one limiter.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use ferry_domain::{Figures, ports::Limiter};
use reqwest::redirect;
use url::Url;

use crate::{
    errors::{SettingsError, TokenError},
    settings::Auth0Settings,
    token::{Granted, Tokens},
    unanswered::Unanswered,
};

/// Idle connections kept open: as many as users are commonly created at the same time.
const POOL: usize = 256;
/// Idle connections are closed before load balancers do (60 s and more).
const IDLE: Duration = Duration::from_secs(50);

/// The Management API of one tenant. Clones of an `Arc` of it share token and connections.
pub struct Auth0 {
    pub(crate) http: reqwest::Client,
    pub(crate) tokens: Tokens,
    pub(crate) limiter: Arc<dyn Limiter>,
    pub(crate) patience: Duration,
    pub(crate) requests: AtomicU64,
    pub(crate) unanswered: Unanswered,
    pub(crate) figures: Arc<Figures>,
    pub(crate) urls: Urls,
}

/// The URLs that are the same for every request, made once.
pub(crate) struct Urls {
    pub(crate) host: String,
    pub(crate) users: Url,
    pub(crate) users_by_email: Url,
    pub(crate) connections: Url,
}

impl Auth0 {
    /// Makes the client; sends nothing yet. `figures` is told how long requests take.
    ///
    /// # Errors
    /// When the settings can't work, or TLS can't be set up.
    pub fn new(
        settings: Auth0Settings,
        limiter: Arc<dyn Limiter>,
        figures: Arc<Figures>,
    ) -> Result<Auth0, SettingsError> {
        settings.check()?;
        let http =
            http_client(&settings).map_err(|error| SettingsError::Client(error.without_url().to_string()))?;
        let unanswered = Unanswered::default();
        Ok(Auth0 {
            tokens: Tokens::new(http.clone(), &settings, unanswered.clone(), figures.clone()),
            figures,
            unanswered,
            http,
            limiter,
            patience: settings.throttle_patience,
            requests: AtomicU64::new(0),
            urls: Urls {
                host: settings.base_url.host_str().unwrap_or_default().to_owned(),
                users: settings.url("/api/v2/users"),
                users_by_email: settings.url("/api/v2/users-by-email"),
                connections: settings.url("/api/v2/connections"),
            },
        })
    }

    /// Makes sure that there is a token, for checks before the first user; says what came with it.
    ///
    /// # Errors
    /// With a text that says what to correct.
    pub async fn authenticate(&self) -> Result<Granted, TokenError> {
        Ok(self.tokens.current().await?.granted.clone())
    }
}

fn http_client(settings: &Auth0Settings) -> Result<reqwest::Client, reqwest::Error> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("ferry/", env!("CARGO_PKG_VERSION")))
        .timeout(settings.request_timeout)
        .connect_timeout(settings.connect_timeout)
        .pool_max_idle_per_host(POOL)
        .pool_idle_timeout(IDLE)
        .redirect(redirect::Policy::none())
        .referer(false);
    if settings.is_local() {
        builder = builder.no_proxy();
    }
    // Over TLS the server may choose HTTP/2; without TLS HTTP/1.1 is used.
    builder = match settings.base_url.scheme() {
        "https" => builder.http2_adaptive_window(true),
        _ => builder.http1_only(),
    };
    builder.build()
}
