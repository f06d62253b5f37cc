//! The port to the tenant's rate limit.

use std::time::Duration;

use async_trait::async_trait;

/// Endpoint groups with buckets of their own (FACTS §12.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// `POST`, `PATCH` and `DELETE` of users.
    UserWrites,
    /// `GET` of users.
    UserReads,
    /// All other endpoints.
    Rest,
}

/// What an answer's headers said about a bucket (FACTS §2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// `x-ratelimit-limit`: size of the bucket.
    pub limit: u32,
    /// `x-ratelimit-remaining`: requests left in it.
    pub remaining: u32,
}

/// Gives permits for requests, in order of asking.
#[async_trait]
pub trait Limiter: Send + Sync {
    /// Waits until one request of the group may be sent.
    async fn acquire(&self, group: Group);

    /// Takes what an answer said into account.
    fn observe(&self, group: Group, observed: Observed);

    /// A 429 came back: everyone slows down. `retry_after` is what the server
    /// said about when to come back, if it said anything.
    fn throttled(&self, group: Group, retry_after: Option<Duration>);

    /// How long the next request would wait, for progress lines that say why they wait.
    fn waiting(&self) -> Option<Duration>;
}
