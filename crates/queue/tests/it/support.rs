//! A namespace of its own in Redis for each test.

use std::{
    hash::{BuildHasher, RandomState},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use ferry_contract::queue::QueueWorld;
use ferry_domain::{JobKind, Lane, QUEUES, ports::Queue};
use ferry_queue::{RedisOptions, RedisQueue};
use ferry_testbed::{redis_at, shared_redis};
use redis::aio::MultiplexedConnection;

/// Options of a server that keeps what it was told.
pub const KEPT: &[&str] = &["--appendonly", "yes"];

/// A namespace of its own on some server, and a plain connection to look behind the queue.
pub struct RedisWorld {
    pub redis: Arc<RedisQueue>,
    pub url: String,
    pub namespace: String,
}

impl RedisWorld {
    /// On the server that tests share; `None`, said on stderr, without one.
    pub async fn given() -> Option<Arc<Self>> {
        Some(Self::at(&shared_redis()?).await)
    }

    pub async fn at(url: &str) -> Arc<Self> {
        // The standard library's own chance, so that runs never share a namespace.
        let chance = RandomState::new().hash_one(std::process::id());
        let namespace = format!("test-{chance:016x}");
        let options = RedisOptions { namespace: namespace.clone(), ..RedisOptions::default() };
        let redis = Arc::new(RedisQueue::connect(url, options).await.unwrap());
        Arc::new(RedisWorld { redis, url: url.to_owned(), namespace })
    }

    /// A key of a kind's queue, as apalis names it.
    pub fn key(&self, kind: JobKind, part: &str) -> String {
        format!("{{{}}}:{kind}:{part}", self.namespace)
    }

    pub async fn plain(&self) -> MultiplexedConnection {
        redis_at(&self.url).await
    }

    /// All keys of this namespace.
    pub async fn keys(&self) -> Vec<String> {
        let mut plain = self.plain().await;
        let (mut cursor, mut keys) = (0_u64, Vec::new());
        loop {
            let (next, page): (u64, Vec<String>) = redis::cmd("SCAN")
                .arg(cursor)
                .arg("MATCH")
                .arg(format!("{{{}}}:*", self.namespace))
                .arg("COUNT")
                .arg(1_000)
                .query_async(&mut plain)
                .await
                .unwrap();
            keys.extend(page);
            cursor = next;
            if cursor == 0 {
                return keys;
            }
        }
    }
}

#[async_trait]
impl QueueWorld for RedisWorld {
    fn queue(&self) -> Arc<dyn Queue> {
        self.redis.clone()
    }

    fn spawn(&self, work: Pin<Box<dyn Future<Output = ()> + Send>>) {
        tokio::spawn(work);
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    async fn close(&self) {
        let mut plain = self.plain().await;
        for key in self.keys().await {
            let _: () = redis::cmd("DEL").arg(key).query_async(&mut plain).await.unwrap();
        }
        for (kind, lane) in QUEUES {
            let workers = if lane == Lane::Usual { "workers" } else { "rescued:workers" };
            let list = redis::cmd("ZREM")
                .arg("core:apalis:queues:list")
                .arg(self.key(kind, workers))
                .exec_async(&mut plain)
                .await;
            list.unwrap();
        }
    }
}
