//! Redis servers for tests: one given from outside, or private ones.

use std::{
    hash::{BuildHasher, RandomState},
    net::TcpListener,
    path::Path,
    pin::Pin,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use ferry_contract::queue::QueueWorld;
use ferry_domain::{JobKind, Lane, QUEUES, ports::Queue};
use ferry_queue::{RedisOptions, RedisQueue};
use redis::aio::MultiplexedConnection;
use tempfile::TempDir;

/// A namespace of its own on some server, and a plain connection to look behind the queue.
pub struct RedisWorld {
    pub redis: Arc<RedisQueue>,
    pub url: String,
    pub namespace: String,
}

impl RedisWorld {
    /// On the server from outside; `None`, said aloud, without one.
    pub async fn given() -> Option<Arc<Self>> {
        #[expect(clippy::disallowed_methods, reason = "tests are told of servers by their environment")]
        let url = std::env::var("TEST_REDIS_URL");
        match url {
            Ok(url) => Some(Self::at(&url).await),
            Err(_) => {
                eprintln!("skipped: TEST_REDIS_URL names no Redis");
                None
            }
        }
    }

    pub async fn at(url: &str) -> Arc<Self> {
        // The standard library's own chance, so that runs never share a namespace.
        let chance = RandomState::new().hash_one(std::process::id());
        let namespace = format!("test-{chance:016x}");
        let options = RedisOptions { namespace: namespace.clone() };
        let redis = Arc::new(RedisQueue::connect(url, options).await.unwrap());
        Arc::new(RedisWorld { redis, url: url.to_owned(), namespace })
    }

    /// A key of a kind's queue, as apalis names it.
    pub fn key(&self, kind: JobKind, part: &str) -> String {
        format!("{{{}}}:{kind}:{part}", self.namespace)
    }

    pub async fn plain(&self) -> MultiplexedConnection {
        redis::Client::open(self.url.as_str()).unwrap().get_multiplexed_async_connection().await.unwrap()
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

/// A server of the test's own, on a free port, with an append-only file; killed at the end.
pub struct Server {
    home: TempDir,
    port: u16,
    process: Child,
}

impl Server {
    /// `None`, said aloud, where the program is not installed.
    pub async fn start() -> Option<Self> {
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            eprintln!("skipped: the program redis-server is not installed");
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = run(home.path(), port);
        let server = Server { home, port, process };
        server.answers().await;
        Some(server)
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// On the same port, from the same file.
    pub async fn start_again(&mut self) {
        self.process = run(self.home.path(), self.port);
        self.answers().await;
    }

    async fn answers(&self) {
        let client = redis::Client::open(self.url()).unwrap();
        for _ in 0..500 {
            if let Ok(mut plain) = client.get_multiplexed_async_connection().await
                && redis::cmd("PING").exec_async(&mut plain).await.is_ok()
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the private redis-server does not answer");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(home: &Path, port: u16) -> Child {
    Command::new("redis-server")
        .current_dir(home)
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
        .args(["--appendonly", "yes"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
