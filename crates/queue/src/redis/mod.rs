//! The queue for any number of processes: apalis over Redis or Valkey.
//!
//! - `connection`: reaching the server
//! - `scripts`: what is asked of it, and why a push is a script of our own
//! - `consume`: the supervising loop around apalis's worker
//! - here: the port, in terms of the three

mod connection;
mod consume;
mod scripts;

use std::{sync::Arc, time::Duration};

use ::redis::Script;
use async_trait::async_trait;
use ferry_domain::{
    Envelope, JobKind,
    ports::{Consumer, Handler, Queue, QueueError, Stop, Swept},
};

use self::{
    connection::Connection,
    scripts::{DESCRIPTION_LASTS, MISSING_CHUNK, PUSH_CHUNK, SWEEP_CHUNK, SWEEP_ROUNDS},
};
use crate::{MAX_WINDOW, envelope};

/// What can be chosen about a queue in Redis.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// Keys begin with `{namespace}:`; letters, digits, `-`, `_`, `.`, `:`.
    /// Installations that share a server differ in it. Default `ferry`.
    pub namespace: String,
}

impl Default for RedisOptions {
    fn default() -> Self {
        RedisOptions { namespace: "ferry".to_owned() }
    }
}

/// The queue in Redis; see the module.
pub struct RedisQueue {
    connection: Connection,
    /// Names of the queues, in the order of [`JobKind::ALL`].
    queues: [String; JobKind::ALL.len()],
    host: String,
}

impl RedisQueue {
    /// Connects to `redis://[user:password@]host[:port][/db]` (`rediss://` for TLS).
    ///
    /// Errors within about five seconds: no such address, nobody there, or the
    /// server refuses. Later outages are survived.
    pub async fn connect(url: &str, options: RedisOptions) -> Result<RedisQueue, QueueError> {
        let namespace = &options.namespace;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        if namespace.is_empty() || !namespace.chars().all(plain) {
            return Err(QueueError {
                doing: "was not connected",
                reason: format!(
                    "{namespace:?} can't begin its keys; use letters, digits and - _ . : as namespace"
                ),
            });
        }
        Ok(RedisQueue {
            connection: Connection::open(url).await?,
            queues: JobKind::ALL.map(|kind| format!("{{{namespace}}}:{kind}")),
            host: host_name(),
        })
    }

    fn queue_of(&self, kind: JobKind) -> &str {
        // Can't miss: there is a queue for each of `JobKind::ALL`.
        &self.queues[number(kind) - 1]
    }

    fn connection(&self) -> &Connection {
        &self.connection
    }

    fn host(&self) -> &str {
        &self.host
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

    /// Removes finished jobs of one queue, a bounded number (fault 7).
    async fn sweep_finished(&self, queue: &str) -> Result<u64, QueueError> {
        let (chunk, mut removed) = (SWEEP_CHUNK.to_string(), 0);
        for _ in 0..SWEEP_ROUNDS {
            let now: u64 = self.over_one(SWEEPING, &scripts::FINISHED, queue, &[&chunk]).await?;
            removed += now;
            if now == 0 {
                break;
            }
        }
        Ok(removed)
    }

    /// Removes ids of one queue whose payload is gone (fault 3).
    async fn sweep_halves(&self, queue: &str) -> Result<u64, QueueError> {
        let (chunk, lasts) = (SWEEP_CHUNK.to_string(), DESCRIPTION_LASTS.to_string());
        let (mut from, mut removed) = (0, 0);
        for _ in 0..SWEEP_ROUNDS {
            let at = from.to_string();
            let (now, more): (u64, bool) =
                self.over_one(SWEEPING, &scripts::HALVES, queue, &[&at, &chunk, &lasts]).await?;
            removed += now;
            // What was removed moved the rest forward; looking twice at some is harmless.
            from += (SWEEP_CHUNK as u64).saturating_sub(now);
            if !more {
                break;
            }
        }
        Ok(removed)
    }

    /// Removes payloads of one queue that no list knows.
    async fn sweep_strays(&self, queue: &str) -> Result<u64, QueueError> {
        let (chunk, mut cursor, mut removed) = (SWEEP_CHUNK.to_string(), "0".to_owned(), 0);
        for _ in 0..SWEEP_ROUNDS {
            let (next, now): (String, u64) =
                self.over_one(SWEEPING, &scripts::STRAYS, queue, &[&cursor, &chunk]).await?;
            removed += now;
            cursor = next;
            if cursor == "0" {
                break;
            }
        }
        Ok(removed)
    }

    /// Before a new worker: removes what may have killed the one before.
    async fn mend(&self, queue: &str) {
        if let Err(error) = self.sweep_halves(queue).await {
            tracing::debug!(queue, %error, "not mended before a new worker; the next one will try");
        }
    }

    /// Signs a stopped worker off. If it can't be done, three seconds without a
    /// heartbeat do the same.
    async fn retire(&self, queue: &str, worker: &str) {
        match self.over_one::<u64>("did not sign off a worker", &scripts::RETIRE, queue, &[worker]).await {
            Ok(back) => tracing::debug!(queue, worker, back, "signed off"),
            Err(error) => {
                tracing::debug!(queue, worker, %error, "not signed off; its heartbeat will run out")
            }
        }
    }

    /// Heartbeats for a worker that drains, as apalis's no longer come: without
    /// them others would take its jobs for orphaned and repeat them.
    async fn beat_for(&self, queue: &str, worker: &str, interval: Duration) {
        let workers = format!("{queue}:workers");
        loop {
            tokio::time::sleep(interval).await;
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            let mut beat = ::redis::cmd("ZADD");
            beat.arg(&workers).arg("XX").arg(now.as_secs()).arg(worker);
            let mut manager = self.connection.manager();
            if let Err(error) = self.connection.ask("took no heartbeat", beat.exec_async(&mut manager)).await
            {
                tracing::debug!(queue, worker, %error, "no heartbeat while draining");
            }
        }
    }
}

const SWEEPING: &str = "was not swept";

/// Position of a kind's queue among a script's keys, from 1 as Lua counts.
fn number(kind: JobKind) -> usize {
    JobKind::ALL.iter().position(|other| *other == kind).unwrap_or(0) + 1
}

/// The machine's name, as part of workers' names only.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .or_else(|_| std::env::var("HOSTNAME"))
        .unwrap_or_else(|_| "host".to_owned())
}

#[async_trait]
impl Queue for RedisQueue {
    async fn push(&self, envelopes: &[Envelope], window: usize) -> Result<usize, QueueError> {
        let window = window.min(MAX_WINDOW).to_string().into_bytes();
        let mut taken = 0;
        for chunk in envelopes.chunks(PUSH_CHUNK) {
            let mut arguments = vec![window.clone()];
            for send in chunk {
                arguments.push(number(send.kind).to_string().into_bytes());
                arguments.push(send.send_name().into_bytes());
                arguments.push(envelope::encode(send));
            }
            let now: usize = self.over_all("took no push", &scripts::PUSH, &arguments).await?;
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
                .flat_map(|send| [number(send.kind).to_string().into_bytes(), send.send_name().into_bytes()])
                .collect();
            let positions: Vec<usize> =
                self.over_all("did not say what it holds", &scripts::MISSING, &arguments).await?;
            missing.extend(positions.iter().filter_map(|at| chunk.get(at - 1)).cloned());
        }
        Ok(missing)
    }

    async fn depth(&self) -> Result<usize, QueueError> {
        self.over_all("did not say how much it holds", &scripts::DEPTH, &[]).await
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
