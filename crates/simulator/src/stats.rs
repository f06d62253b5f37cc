//! Counters that tests and the operator read: requests, refusals, and the highest rate.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::faults::FaultCounts;
use crate::lock::locked;
use crate::operations::Operation;

/// A snapshot of the counters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Requests by method and route template, such as `POST /api/v2/users`; refused ones included.
    /// Every known route is present, with 0 if it was never asked.
    pub requests: BTreeMap<String, u64>,
    /// Answers 429 of the Management API and the token endpoint.
    pub rate_limited: u64,
    /// Most Management API requests that arrived within one second of the clock, 429s included.
    pub max_per_second: u64,
    /// `POST /users` answered 201. Users whose answer was lost are not among them.
    pub users_created: u64,
    /// Users in the tenant now.
    pub users: u64,
    /// Tokens issued.
    pub tokens_issued: u64,
    /// Faults injected.
    pub faults: FaultCounts,
}

impl Stats {
    /// Requests to one route, by its template; 0 for one that does not exist.
    #[must_use]
    pub fn requests_to(&self, method_and_route: &str) -> u64 {
        self.requests.get(method_and_route).copied().unwrap_or(0)
    }

    /// Requests to all routes of the Management API.
    #[must_use]
    pub fn management_requests(&self) -> u64 {
        self.requests.iter().filter(|(route, _)| route.contains(" /api/v2/")).map(|(_, count)| count).sum()
    }
}

#[derive(Default)]
struct Second {
    at: u64,
    arrived: u64,
    most: u64,
}

/// The running counters.
#[derive(Default)]
pub(crate) struct Log {
    requests: [AtomicU64; Operation::ALL.len()],
    rate_limited: AtomicU64,
    users_created: AtomicU64,
    tokens_issued: AtomicU64,
    second: Mutex<Second>,
}

impl Log {
    pub(crate) fn arrived(&self, operation: Operation) {
        self.requests[operation as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Notes the second in which a Management API request arrived.
    pub(crate) fn arrived_at(&self, now_ms: u64) {
        let mut second = locked(&self.second);
        if second.at != now_ms / 1_000 {
            second.at = now_ms / 1_000;
            second.arrived = 0;
        }
        second.arrived += 1;
        second.most = second.most.max(second.arrived);
    }

    pub(crate) fn rate_limited(&self) {
        self.rate_limited.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn user_created(&self) {
        self.users_created.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn token_issued(&self) {
        self.tokens_issued.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self, users: usize, faults: FaultCounts) -> Stats {
        let requests = Operation::ALL
            .iter()
            .map(|operation| {
                let count = self.requests[*operation as usize].load(Ordering::Relaxed);
                (operation.name().to_owned(), count)
            })
            .collect();
        Stats {
            requests,
            rate_limited: self.rate_limited.load(Ordering::Relaxed),
            max_per_second: locked(&self.second).most,
            users_created: self.users_created.load(Ordering::Relaxed),
            users: u64::try_from(users).unwrap_or(u64::MAX),
            tokens_issued: self.tokens_issued.load(Ordering::Relaxed),
            faults,
        }
    }
}
