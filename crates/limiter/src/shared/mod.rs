//! The limit kept by all processes of a tenant together.
//!
//! What is left of the limit lives in Redis. One script (`exchange.lua`), by the
//! server's own clock, does everything in one exchange: it takes back permits, takes
//! in 429s and the figures of headers, and hands out **slots**: moments from which one
//! request may be sent, now or soon. Slots are given in order of asking, but for those that read
//! users back (`turns`), so processes are served in that order too, and each asks only for what
//! its callers need, a tenth of a second ahead. Callers do not poll: a reserved slot has a time. `reservations` holds
//! callers and slots of this process; the exchange loop here serves them and talks to Redis.
//!
//! What goes wrong, and what it costs:
//!
//! - A killed process wastes the slots it had: a tenth of a second of its share, or one.
//! - A single 429 costs one slot and 2 % of the rate for a second: a server that tops up
//!   in steps has no room for a request that a busy machine sends late. Three within
//!   5 s (or 3 % of the requests), or one with `Retry-After`, trigger the brake: it empties
//!   the buckets, lowers the rate for all to 80 % and makes all slots void. Other processes
//!   get to know it with their next exchange, at most 250 ms later. A pause that the server
//!   names is kept, up to an hour (`brake::named`), also when Redis goes away or its clock
//!   is set back meanwhile. This differs from a
//!   process alone, where every 429 lowers the rate by 20 % (`brake`), and so it is while
//!   Redis is away.
//! - The state is lost: it starts with empty buckets, unless this process has never seen one.
//! - Redis is away: each process continues with its last share, a new one with a floor.
//!   The first that reaches Redis again empties the buckets, the others pay what they used
//!   since.
//!
//! Rejected: asking for a permit when it is needed, and again when there was none
//! (polling, and the quickest is served); chunks of permits without a time
//! (a killed process or a quiet one wastes them, and they come out in bursts that a
//! fixed window refuses); governor behind the slots (they have a time already).

mod clock;
#[cfg(test)]
mod pauses;
#[cfg(test)]
mod priority;
#[cfg(test)]
mod reference;
mod reservations;
mod rules;
mod script;

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use ferry_domain::{
    limits::LimitPlan,
    ports::{Group, Limiter, LimiterFigures, Observed, Waiting},
};
use redis::{
    Client, TlsCertificates,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};

use self::{
    reservations::Reservations,
    script::{EXCHANGE, Reply, Request},
};
use crate::{brake::chance, counts::Counts};

/// A store that does not answer within this time is away. Callers wait for it at most that long.
const ANSWER: Duration = Duration::from_millis(500);

/// Pause before a connection that was cut is made again.
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// Settings of a [`SharedLimiter`].
#[derive(Clone, Debug, PartialEq)]
pub struct SharedOptions {
    /// Share of the plan, above 0 up to 1, for a process that has not reached Redis yet and
    /// so does not know the number of processes. Default 0.1.
    pub floor_share: f64,
    /// Certificate in PEM form of the authority that signed the server's, for `rediss://`;
    /// `None` for those that the system trusts.
    pub ca: Option<Vec<u8>>,
}

impl Default for SharedOptions {
    fn default() -> Self {
        SharedOptions { floor_share: 0.1, ca: None }
    }
}

/// The address of Redis can't be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "REDIS_URL is no address of a server; expected redis://[user:password@]host[:port][/db], or rediss:// for TLS"
)]
pub struct NoRedis;

/// A [`Limiter`] for all processes of a tenant that use one Redis. One per process,
/// behind an `Arc`.
pub struct SharedLimiter {
    client: Arc<StoreClient>,
    exchange_loop: JoinHandle<()>,
}

/// What callers and the exchange loop share: the slot reservations, the wake-up of the
/// loop, and the connection to the store.
struct StoreClient {
    reservations: Mutex<Reservations>,
    wake_up: Notify,
    counts: Arc<Counts>,
    tenant: String,
    manager: ConnectionManager,
}

impl SharedLimiter {
    /// Needs a tokio runtime. Redis need not answer yet: until it does, the process
    /// keeps to the floor.
    ///
    /// # Errors
    /// When the URL is none of a Redis. The text does not show it: it may hold a password.
    pub fn new(
        redis_url: &str,
        tenant: &str,
        plan: &LimitPlan,
        options: &SharedOptions,
    ) -> Result<SharedLimiter, NoRedis> {
        let client = match &options.ca {
            None => Client::open(redis_url),
            Some(pem) => {
                let certificates = TlsCertificates { client_tls: None, root_cert: Some(pem.clone()) };
                Client::build_with_tls(redis_url, certificates)
            }
        };
        let client = client.map_err(|_| NoRedis)?;
        let healing = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(ANSWER))
            .set_response_timeout(Some(ANSWER))
            .set_number_of_retries(1_000_000)
            .set_min_delay(Duration::from_millis(50))
            .set_max_delay(Duration::from_millis(250));
        let manager = ConnectionManager::new_lazy_with_config(client, healing).map_err(|_| NoRedis)?;
        // Random enough: it only has to differ among the few processes of a tenant.
        let member = format!("{:x}-{:x}", std::process::id(), (chance() * (1u64 << 48) as f64) as u64);
        let counts = Arc::new(Counts::default());
        let floor_share = options.floor_share.clamp(0.001, 1.0);
        let reservations = Reservations::new(member, plan, floor_share, counts.clone(), Instant::now());
        let client = Arc::new(StoreClient {
            reservations: Mutex::new(reservations),
            wake_up: Notify::new(),
            counts,
            tenant: tenant.to_owned(),
            manager,
        });
        let exchange_loop = tokio::spawn(exchange_slots(client.clone()));
        Ok(SharedLimiter { client, exchange_loop })
    }
}

impl Drop for SharedLimiter {
    fn drop(&mut self) {
        self.exchange_loop.abort();
    }
}

impl StoreClient {
    fn reservations(&self) -> MutexGuard<'_, Reservations> {
        self.reservations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn exchange(self: Arc<Self>, request: Request) -> Exchanged {
        let asked = Instant::now();
        let reason = format!("no answer within {} ms", ANSWER.as_millis());
        let mut failure = Failure { reason, refused: false };
        let answer = timeout(ANSWER, self.ask(&request, &mut failure)).await;
        Exchanged { request, asked, result: answer.map_err(|_| failure) }
    }

    /// Asks until there is an answer: a connection that was cut is made again immediately.
    async fn ask(&self, request: &Request, failure: &mut Failure) -> Reply {
        let mut manager = self.manager.clone();
        let mut call = request.invocation(&EXCHANGE, &self.tenant, 0);
        loop {
            match call.invoke_async::<Vec<i64>>(&mut manager).await.map(|figures| Reply::read(&figures)) {
                Ok(Some(reply)) => return reply,
                Ok(None) => failure.reason = "it gave an answer that makes no sense".to_owned(),
                Err(error) => {
                    let refused = error.code().is_some();
                    *failure = Failure { reason: error.to_string(), refused };
                }
            }
            // The server may have taken in the request before the answer was lost.
            call = request.once_more().invocation(&EXCHANGE, &self.tenant, 0);
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
    }

    fn take(&self, exchanged: Exchanged) {
        let Exchanged { request, asked, result } = exchanged;
        let (mut reservations, now) = (self.reservations(), Instant::now());
        match result {
            Ok(reply) => {
                if reply.braked {
                    tracing::warn!(
                        pause_ms = (reply.since - reply.now) / 1_000,
                        factor = reply.factor,
                        "the server answered 429: all processes pause, then go slower for a while"
                    );
                }
                if reservations.answered(&request, reply, asked, now) {
                    tracing::info!("the limit is shared over Redis again");
                }
            }
            Err(Failure { reason, refused }) => {
                if reservations.failed(&request, refused, now) {
                    tracing::warn!(
                        reason,
                        "the limit can't be shared over Redis: this process keeps to its share of it until it can"
                    );
                }
            }
        }
    }
}

/// The result of an exchange.
struct Exchanged {
    request: Request,
    asked: Instant,
    result: Result<Reply, Failure>,
}

/// Why an exchange gave nothing.
struct Failure {
    reason: String,
    /// The store answered: it refuses what was asked, for whatever reason.
    refused: bool,
}

/// The exchange loop: serves callers, and meanwhile talks to the store, one exchange at a
/// time.
async fn exchange_slots(client: Arc<StoreClient>) {
    let mut exchange: Option<Pin<Box<dyn Future<Output = Exchanged> + Send>>> = None;
    loop {
        let wake = {
            let (mut reservations, now) = (client.reservations(), Instant::now());
            let wake = reservations.serve(now);
            if exchange.is_none()
                && let Some(request) = reservations.request(now)
            {
                exchange = Some(Box::pin(client.clone().exchange(request)));
            }
            wake
        };
        tokio::select! {
            exchanged = async { exchange.as_mut().expect("only polled where there is one").await },
                if exchange.is_some() =>
            {
                exchange = None;
                client.take(exchanged);
            }
            () = sleep_until(wake) => {}
            () = client.wake_up.notified() => {}
        }
    }
}

#[async_trait]
impl Limiter for SharedLimiter {
    async fn acquire(&self, group: Group) {
        let waiting = self.client.counts.wait(group);
        let served = self.client.reservations().enqueue(group, Instant::now());
        if let Some(served) = served {
            self.client.wake_up.notify_one();
            // An error means that the runtime ends: only then is the sender dropped unsent.
            let _ = served.await;
        }
        self.client.counts.served(group);
        drop(waiting);
    }

    fn observe(&self, group: Group, observed: Observed) {
        self.client.reservations().observe(group, observed);
    }

    fn throttled(&self, group: Group, retry_after: Option<Duration>) {
        self.client.counts.throttled();
        let alone = self.client.reservations().throttled(retry_after, Instant::now());
        if let Some(pause) = alone {
            tracing::warn!(
                ?group,
                pause_ms = pause.as_millis() as u64,
                "the server answered 429: this process pauses, then goes slower for a while"
            );
        }
        self.client.wake_up.notify_one();
    }

    fn waiting(&self) -> Option<Waiting> {
        self.client.reservations().waiting(Instant::now())
    }

    fn set_plan(&self, plan: &LimitPlan) {
        self.client.reservations().set_plan(plan);
        self.client.wake_up.notify_one();
    }

    fn figures(&self) -> LimiterFigures {
        self.client.reservations().figures()
    }

    async fn give_back(&self) {
        let leaving = self.client.reservations().leave(Instant::now());
        if let Some(request) = leaving {
            // Without an answer the permits are lost; they expire anyway.
            drop(self.client.clone().exchange(request).await);
        }
    }
}
