//! A tenant with a limit, processes that want as much of it as they can get, and Redis.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ferry_domain::ports::{Group, Limiter, Observed};
use ferry_limiter::{SharedLimiter, SharedOptions};
use ferry_simulator::{Config, Refill, Simulator};
use ferry_testbed::until;
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::Instant};

/// Of what is refilled. It is used to 99 %, as the tests with a clock of their own show;
/// a machine that is busy with other tests is late now and then.
const NEARLY_ALL: f64 = 0.9;

/// A simulated tenant under a plan; its name is its own, so that tests don't share a limit.
pub struct Tenant {
    pub simulator: Simulator,
    pub name: String,
    pub plan: String,
    token: String,
    since: Instant,
}

impl Tenant {
    pub async fn start(plan: &str, refill: Refill) -> Tenant {
        let limits = plan.parse().unwrap();
        let simulator = Simulator::start(Config { limits, refill, ..Config::default() }).await.unwrap();
        let base = simulator.base_url();
        let body = json!({
            "grant_type": "client_credentials",
            "client_id": "simulator-client",
            "client_secret": "simulator-secret",
            "audience": format!("{base}/api/v2/"),
        });
        let answer =
            reqwest::Client::new().post(format!("{base}/oauth/token")).json(&body).send().await.unwrap();
        let token = answer.json::<Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned();
        let name = format!("test-{:016x}", RandomState::new().hash_one(std::process::id()));
        Tenant { simulator, name, plan: plan.to_owned(), token, since: Instant::now() }
    }

    pub fn limiter(&self, redis: &str) -> Arc<SharedLimiter> {
        let plan = self.plan.parse().unwrap();
        Arc::new(SharedLimiter::new(redis, &self.name, &plan, &SharedOptions::default()).unwrap())
    }

    /// As many callers as a process commonly has, each wanting one request after the other.
    pub fn process(&self, redis: &str) -> Process {
        let limiter = self.limiter(redis);
        let stop = Arc::new(AtomicBool::new(false));
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}/api/v2/users-by-email?email=nobody%40example.com", self.simulator.base_url());
        let callers = (0..12).map(|_| {
            let (limiter, stop, request) =
                (limiter.clone(), stop.clone(), http.get(&url).bearer_auth(&self.token));
            tokio::spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    limiter.acquire(Group::UserReads).await;
                    let answer = request.try_clone().unwrap().send().await.unwrap();
                    let header = |name| answer.headers().get(name)?.to_str().ok()?.parse().ok();
                    let (limit, remaining) = (header("x-ratelimit-limit"), header("x-ratelimit-remaining"));
                    if let (Some(limit), Some(remaining)) = (limit, remaining) {
                        limiter.observe(Group::UserReads, Observed { limit, remaining });
                    }
                    if answer.status() == 429 {
                        limiter.throttled(Group::UserReads, None);
                    }
                }
            })
        });
        Process { callers: callers.collect(), limiter, stop }
    }

    /// Requests admitted since the start, and refused.
    pub fn counted(&self) -> (u64, u64) {
        let stats = self.simulator.stats();
        (stats.management_requests() - stats.rate_limited, stats.rate_limited)
    }

    /// Until nearly all of what this number of requests per second refilled in two seconds
    /// was used. A stretch in which the machine was late is followed by another one.
    pub async fn uses(&self, what: &str, per_second: f64) {
        until(what, async || {
            let (before, at) = (self.counted().0, self.refilled(per_second));
            tokio::time::sleep(Duration::from_secs(2)).await;
            let possible = self.refilled(per_second) - at;
            (self.counted().0 - before) as f64 >= NEARLY_ALL * possible
        })
        .await;
    }

    /// What a plan with this number of requests per second would have refilled since the start.
    pub fn refilled(&self, per_second: f64) -> f64 {
        self.since.elapsed().as_secs_f64() * per_second
    }
}

/// One process's limiter and its callers.
pub struct Process {
    pub limiter: Arc<SharedLimiter>,
    stop: Arc<AtomicBool>,
    callers: Vec<JoinHandle<()>>,
}

impl Process {
    /// As kill −9: nothing is said, nothing is given back.
    pub fn kill(self) {
        self.callers.iter().for_each(JoinHandle::abort);
    }

    /// Politely.
    pub async fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        for caller in &self.callers {
            caller.abort();
        }
        self.limiter.give_back().await;
    }
}
