//! Settings of a simulator. Every field is public and has a default, so a test names only
//! the fields that it is about: `Config { limits, ..Config::default() }`.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::faults::Faults;
use crate::limits::{Plan, Refill};
use crate::password::PasswordPolicy;

/// The scopes a client's token carries unless [`Config::scopes`] says otherwise: everything that
/// the simulated endpoints ask for.
const ALL_SCOPES: [&str; 6] = [
    "read:users",
    "create:users",
    "update:users",
    "delete:users",
    "update:users_app_metadata",
    "read:connections",
];

/// Settings of one simulator.
#[derive(Clone)]
pub struct Config {
    /// Address to listen on. Default `127.0.0.1:0`: the loopback, a port chosen by the system.
    pub listen: SocketAddr,
    /// Id of the only client that may ask for tokens.
    pub client_id: String,
    /// That client's secret.
    pub client_secret: String,
    /// Name of the database connection that exists from the start. Default
    /// `Username-Password-Authentication`.
    pub connection: String,
    /// Rate limits. Default: none.
    pub limits: Plan,
    /// How spent buckets fill again. Default: token bucket.
    pub refill: Refill,
    /// Faults to inject. Default: none.
    pub faults: Faults,
    /// Seed of all random values: ids, jitter, which request gets a fault.
    pub seed: u64,
    /// Password policy of every database connection. Default `good`.
    pub password_policy: PasswordPolicy,
    /// Whether database connections accept (and demand) a username. Default false.
    pub requires_username: bool,
    /// Life of a token. Default one day, as at Auth0; whole seconds, at least one.
    pub token_lifetime: Duration,
    /// Scopes granted to the client. Default: everything the endpoints here ask for.
    pub scopes: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            client_id: "simulator-client".to_owned(),
            client_secret: "simulator-secret".to_owned(),
            connection: "Username-Password-Authentication".to_owned(),
            limits: Plan::off(),
            refill: Refill::default(),
            faults: Faults::default(),
            seed: 0,
            password_policy: PasswordPolicy::default(),
            requires_username: false,
            token_lifetime: Duration::from_secs(86_400),
            scopes: ALL_SCOPES.map(str::to_owned).to_vec(),
        }
    }
}

impl fmt::Debug for Config {
    /// Leaves the secret out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("client_id", &self.client_id)
            .field("connection", &self.connection)
            .field("limits", &self.limits)
            .field("refill", &self.refill)
            .field("faults", &self.faults)
            .field("seed", &self.seed)
            .field("password_policy", &self.password_policy)
            .finish_non_exhaustive()
    }
}
