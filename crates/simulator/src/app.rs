//! The state that all routes share: the tenant, limits, tokens and counters. Locks are short.

use std::sync::{Mutex, MutexGuard};

use crate::clock::Clock;
use crate::config::Config;
use crate::faults::Injector;
use crate::ids::Ids;
use crate::limits::Limits;
use crate::lock::locked;
use crate::state::Tenant;
use crate::stats::{Log, Stats};
use crate::tokens::Tokens;

/// The shared state of one simulator.
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) base_url: String,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) tokens: Tokens,
    pub(crate) faults: Injector,
    pub(crate) log: Log,
    secret: Mutex<String>,
    limits: Mutex<Limits>,
    tenant: Mutex<Tenant>,
}

impl App {
    pub(crate) fn new(config: Config, base_url: String, tokens: Tokens) -> Self {
        let ids = Ids::new(config.seed);
        let mut tenant = Tenant::new(config.password_policy, config.requires_username);
        tenant.add_connection(ids.connection_id(), &config.connection, "auth0");
        Self {
            base_url,
            clock: Clock::default(),
            tokens,
            faults: Injector::new(config.faults.clone(), config.seed),
            log: Log::default(),
            secret: Mutex::new(config.client_secret.clone()),
            limits: Mutex::new(Limits::new(&config.limits, config.refill)),
            tenant: Mutex::new(tenant),
            ids,
            config,
        }
    }

    pub(crate) fn tenant(&self) -> MutexGuard<'_, Tenant> {
        locked(&self.tenant)
    }

    /// The client's secret, which may have been rotated.
    pub(crate) fn secret(&self) -> MutexGuard<'_, String> {
        locked(&self.secret)
    }

    pub(crate) fn limits(&self) -> MutexGuard<'_, Limits> {
        locked(&self.limits)
    }

    pub(crate) fn stats(&self) -> Stats {
        let users = self.tenant().len();
        self.log.snapshot(users, self.faults.counts())
    }
}
