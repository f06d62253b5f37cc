//! The sections of the settings, as the file has them.

use ferry_domain::OnExisting;
use serde::Deserialize;

use crate::figure::Figure;

/// `[migration]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Migration {
    /// Part of every chosen id; made of the source where it is not set.
    pub name: Option<String>,
}

/// `[auth0]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth0 {
    pub connection: String,
    pub limits: String,
    /// Tenants, as AUTH0_DOMAIN names them.
    pub production: Vec<String>,
    /// Above 0, at most 1.
    pub floor_share: f64,
    pub request_timeout_seconds: u64,
    pub connect_timeout_seconds: u64,
}

/// `[run]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// 1 to 1000.
    pub batch_size: u32,
    pub on_existing: OnExisting,
    /// At least 1.
    pub max_attempts: i32,
    /// Users, or off; see [`super::Settings::stop_after`].
    pub max_failures: Figure,
    /// Percent, or off.
    pub max_failure_rate: Figure,
}

/// `[worker]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worker {
    /// 1 to 256.
    pub batches: usize,
    /// 1 to 256.
    pub users: usize,
    /// 1 to 1000.
    pub group: usize,
    pub group_wait_ms: u64,
    /// Seconds, at least 1.
    pub lease_seconds: u64,
    pub grace_seconds: u64,
}

/// `[queue]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// First part of all keys.
    pub namespace: String,
    /// 1 to 4000.
    pub window: i64,
}

/// `[ledger]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// 2 to 100.
    pub max_connections: u32,
    /// Whether deaths show immediately.
    pub death_lock: bool,
}

/// `[dead]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dead {
    /// Days that resolved letters are kept; 0 for ever.
    pub keep_days: u64,
}

/// `[log]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub level: String,
    /// text or json.
    pub format: String,
}

/// `[traces]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traces {
    /// From 0, nobody, to 1, everybody.
    pub user_share: f64,
}
