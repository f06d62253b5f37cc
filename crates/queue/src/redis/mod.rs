//! The queue for any number of processes: apalis over Redis or Valkey.
//!
//! - `connection`: reaching the server
//! - `reasons`: what its errors mean, in words
//! - `scripts`: the Lua scripts, and why a push is a script of our own
//! - `consume`: the supervising loop around apalis's worker
//! - `janitor`: removes finished jobs, and ids or payloads whose other half was lost
//! - `inspect`: version and settings of the server
//! - here: the port, in terms of these

mod connection;
mod consume;
mod inspect;
mod janitor;
mod reasons;
mod scripts;

pub use self::inspect::Inspection;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ::redis::Script;
use async_trait::async_trait;
use ferry_domain::{
    Envelope, JobKind, Lane, QUEUES, WorkerId,
    ports::{Consumer, Handler, Queue, QueueError, Stop, Swept},
    telemetry::Told,
};
use tokio::time::Instant;

use self::{
    connection::Connection,
    scripts::{MISSING_CHUNK, PUSH_CHUNK},
};
use crate::{MAX_WINDOW, envelope};

/// What can be chosen about a queue in Redis.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// Keys begin with `{namespace}:`; letters, digits, `-`, `_`, `.`, `:`.
    /// Installations that share a server differ in it. Default `ferry`.
    pub namespace: String,
    /// Certificate in PEM form of the authority that signed the server's, for `rediss://`;
    /// `None` for those that the system trusts.
    pub ca: Option<Vec<u8>>,
}

impl Default for RedisOptions {
    fn default() -> Self {
        RedisOptions { namespace: "ferry".to_owned(), ca: None }
    }
}

/// The queue in Redis; see the module.
pub struct RedisQueue {
    connection: Connection,
    /// Their names, in the order of [`QUEUES`].
    queues: [String; QUEUES.len()],
    host: String,
    opened: Instant,
    told: Mutex<Told>,
}

impl RedisQueue {
    /// Connects to `redis://[user:password@]host[:port][/db]` (`rediss://` for TLS).
    ///
    /// Errors within about five seconds: no such address, no server there, or the
    /// server refuses. After that, outages are waited out.
    pub async fn connect(url: &str, options: RedisOptions) -> Result<RedisQueue, QueueError> {
        let namespace = &options.namespace;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        if namespace.is_empty() || !namespace.chars().all(plain) {
            return Err(QueueError {
                doing: "was not connected",
                reason: format!(
                    "{namespace:?} can't begin its keys; use letters, digits and - _ . : as namespace"
                ),
                passes: false,
            });
        }
        Ok(RedisQueue {
            connection: Connection::open(url, options.ca.as_deref()).await?,
            queues: QUEUES.map(|(kind, lane)| match lane {
                Lane::Usual => format!("{{{namespace}}}:{kind}"),
                Lane::Rescued => format!("{{{namespace}}}:{kind}:rescued"),
            }),
            host: host_name(),
            opened: Instant::now(),
            told: Mutex::default(),
        })
    }

    fn queue_of(&self, kind: JobKind, lane: Lane) -> &str {
        &self.queues[number(kind, lane) - 1]
    }

    fn connection(&self) -> &Connection {
        &self.connection
    }

    fn host(&self) -> &str {
        &self.host
    }

    /// Whether a cause is to be logged: all consumers of a process meet it at once.
    fn is_news(&self, cause: &str) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).is_new(cause, self.opened.elapsed())
    }

    /// Runs a script over all queues.
    async fn over_all<T: ::redis::FromRedisValue>(
        &self,
        doing: &'static str,
        script: &Script,
        arguments: &[Vec<u8>],
    ) -> Result<T, QueueError> {
        let mut call = script.prepare_invoke();
        self.queues.iter().for_each(|queue| _ = call.key(queue));
        arguments.iter().for_each(|argument| _ = call.arg(argument));
        self.connection.ask(doing, call.invoke_async(&mut self.connection.manager())).await
    }

    /// Runs a script over one queue.
    async fn over_one<T: ::redis::FromRedisValue>(
        &self,
        doing: &'static str,
        script: &Script,
        queue: &str,
        arguments: &[&str],
    ) -> Result<T, QueueError> {
        let mut call = script.key(queue);
        arguments.iter().for_each(|argument| _ = call.arg(argument));
        self.connection.ask(doing, call.invoke_async(&mut self.connection.manager())).await
    }

    /// Takes a chunk in one step, up to the window; returns the number taken.
    async fn push_chunk(&self, chunk: &[Envelope], window: usize) -> Result<usize, QueueError> {
        let mut arguments = vec![window.to_string().into_bytes()];
        for send in chunk {
            arguments.push(number(send.kind, send.lane()).to_string().into_bytes());
            arguments.push(send.send_name().into_bytes());
            arguments.push(envelope::encode(send));
            arguments.push(if send.send > 1 { b"front".to_vec() } else { b"back".to_vec() });
        }
        self.over_all("took no push", &scripts::PUSH, &arguments).await
    }

    /// Signs a stopped worker off, if it can be done quickly: three seconds
    /// without a heartbeat do the same, and a stopping process is in a hurry.
    async fn retire(&self, queue: &str, worker: &str) {
        let worker_only = [worker];
        let retire = self.over_one::<u64>("did not sign off a worker", &scripts::RETIRE, queue, &worker_only);
        match tokio::time::timeout(SIGN_OFF, retire).await {
            Ok(Ok(back)) => tracing::debug!(queue, worker, back, "signed off"),
            _ => tracing::debug!(queue, worker, "not signed off; its heartbeat will run out"),
        }
    }

    /// Heartbeats for a worker that drains, as apalis's no longer come: without
    /// them others would take its jobs for orphaned and repeat them.
    async fn beat_for(&self, queue: &str, worker: &str, interval: Duration) {
        loop {
            tokio::time::sleep(interval).await;
            if let Err(error) =
                self.over_one::<()>("took no heartbeat", &scripts::BEAT, queue, &[worker]).await
            {
                tracing::debug!(queue, worker, %error, "no heartbeat while draining");
            }
        }
    }
}

/// How long a stopped worker tries to sign off.
const SIGN_OFF: Duration = Duration::from_secs(1);

/// Position of a queue among a script's keys, from 1 as Lua counts.
fn number(kind: JobKind, lane: Lane) -> usize {
    // Can't fail: every kind and lane of a send or a consumer is in the list.
    QUEUES.iter().position(|queue| *queue == (kind, lane)).unwrap_or(0) + 1
}

/// The machine's name, as part of workers' names only.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_else(|_| "host".to_owned())
}

#[async_trait]
impl Queue for RedisQueue {
    async fn push(&self, envelopes: &[Envelope], window: usize) -> Result<usize, QueueError> {
        let window = window.min(MAX_WINDOW);
        let mut taken = 0;
        while taken < envelopes.len() {
            // Only what may fit is sent. The script still decides: others may push meanwhile.
            let room = window.saturating_sub(self.depth().await?);
            let left = &envelopes[taken..];
            let chunk = &left[..left.len().min(room).min(PUSH_CHUNK)];
            if chunk.is_empty() {
                break;
            }
            let now = self.push_chunk(chunk, window).await?;
            taken += now;
            if now < chunk.len() {
                break;
            }
        }
        Ok(taken)
    }

    async fn missing(&self, sends: &[Envelope]) -> Result<Vec<Envelope>, QueueError> {
        let mut missing = Vec::new();
        for chunk in sends.chunks(MISSING_CHUNK) {
            let arguments: Vec<_> = chunk
                .iter()
                .flat_map(|send| {
                    let queue = number(send.kind, send.lane());
                    [queue.to_string().into_bytes(), send.send_name().into_bytes()]
                })
                .collect();
            let positions: Vec<usize> =
                self.over_all("did not say what it holds", &scripts::MISSING, &arguments).await?;
            missing.extend(positions.iter().filter_map(|at| chunk.get(at - 1)).cloned());
        }
        Ok(missing)
    }

    async fn deliver_again(&self, dead: &[WorkerId]) -> Result<usize, QueueError> {
        if dead.is_empty() {
            return Ok(0);
        }
        let dead: Vec<_> = dead.iter().map(|worker| worker.to_string().into_bytes()).collect();
        self.over_all("did not deliver again", &scripts::AGAIN, &dead).await
    }

    async fn depth(&self) -> Result<usize, QueueError> {
        self.over_all("did not say how much it holds", &scripts::DEPTH, &[]).await
    }

    async fn probe(&self) -> Result<(), QueueError> {
        let name = format!("probe-{}-{}", self.host, std::process::id());
        let mut call = scripts::PROBE.key(&self.queues[0]);
        call.arg(name);
        const DOING: &str = "would move nothing";
        let mut manager = self.connection.manager();
        self.connection.ask_why::<()>(DOING, call.invoke_async(&mut manager)).await?;
        // A node that has all slots of its cluster lets the script through, until it has not.
        self.fit(DOING).await
    }

    async fn sweep(&self) -> Result<Swept, QueueError> {
        let mut swept = Swept::default();
        for queue in &self.queues {
            swept.finished += self.sweep_finished(queue).await?;
            swept.without_payload += self.sweep_halves(queue).await?;
            swept.finished += self.sweep_strays(queue).await?;
        }
        Ok(swept)
    }

    async fn consume(&self, consumer: Consumer, handler: Arc<dyn Handler>, stop: Stop) {
        consume::consume(self, consumer, handler, stop).await;
    }
}
