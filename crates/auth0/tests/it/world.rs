//! What the tests share: a client, a user, and limiters that count.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use ferry_auth0::{Auth0, Auth0Settings};
use ferry_domain::{
    Auth0UserId, Email, SourceKey, UserRecord,
    limits::LimitPlan,
    ports::{Group, Limiter, LimiterFigures, NewUser, Observed, Waiting},
};
use serde_json::{Map, json};

pub const SECRET: &str = "simulator-secret";
pub const CONNECTION: &str = "Username-Password-Authentication";
pub const PASSWORD: &str = "Tr0ub4dor-and-3-more";

/// Lets everything through and remembers what it was told.
#[derive(Default)]
pub struct Open {
    pub permits: AtomicU64,
    pub observed: Mutex<Vec<(Group, Observed)>>,
    pub throttled: Mutex<Vec<(Group, Option<Duration>)>>,
}

#[async_trait]
impl Limiter for Open {
    async fn acquire(&self, _: Group) {
        self.permits.fetch_add(1, Ordering::SeqCst);
    }

    fn observe(&self, group: Group, observed: Observed) {
        self.observed.lock().unwrap().push((group, observed));
    }

    fn throttled(&self, group: Group, retry_after: Option<Duration>) {
        self.throttled.lock().unwrap().push((group, retry_after));
    }

    fn waiting(&self) -> Option<Waiting> {
        None
    }

    fn set_plan(&self, _: &LimitPlan) {}

    fn figures(&self) -> LimiterFigures {
        LimiterFigures::default()
    }

    async fn give_back(&self) {}
}

pub fn settings(url: &str) -> Auth0Settings {
    let mut settings =
        Auth0Settings::for_base_url(url.parse().unwrap(), "simulator-client", SECRET.into()).unwrap();
    settings.request_timeout = Duration::from_secs(5);
    settings
}

pub fn client_with(settings: Auth0Settings) -> (Auth0, Arc<Open>) {
    let limiter = Arc::new(Open::default());
    (Auth0::new(settings, limiter.clone(), Arc::default()).unwrap(), limiter)
}

pub fn client(url: &str) -> Auth0 {
    client_with(settings(url)).0
}

pub fn user(number: u32) -> NewUser {
    let key = SourceKey(number.to_string());
    let mut record =
        UserRecord::new(key.clone(), Email::normalised(&format!("User{number}@Example.COM")), true);
    record.name = Some(format!("User Number {number}"));
    record.app_metadata.insert("role".into(), "nurse".into());
    let mark = json!({"source_key": number.to_string(), "run": "r", "digest": "d"});
    let mark: Map<_, _> = serde_json::from_value(mark).unwrap();
    let id = Auth0UserId::chosen("t", CONNECTION, "m", &key);
    NewUser { id, connection: CONNECTION.into(), record, password: PASSWORD.into(), mark }
}
