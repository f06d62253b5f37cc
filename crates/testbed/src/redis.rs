//! The Redis that tests share, and connections that look into one.

use std::time::Duration;

use redis::{AsyncConnectionConfig, Client, aio::MultiplexedConnection};

/// The defaults, 1 s and 500 ms, are short for a machine that a whole test run keeps busy.
const PATIENT: Duration = Duration::from_secs(30);

/// The server that `tests/run` provides; `None`, said on stderr, without one.
pub fn shared_redis() -> Option<String> {
    let url = std::env::var("TEST_REDIS_URL").ok().filter(|url| !url.is_empty());
    if url.is_none() {
        eprintln!("skipped: TEST_REDIS_URL is not set; tests/run sets it");
    }
    url
}

/// A plain connection.
pub async fn redis_at(url: &str) -> MultiplexedConnection {
    let patient = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENT))
        .set_response_timeout(Some(PATIENT));
    Client::open(url).unwrap().get_multiplexed_async_connection_with_config(&patient).await.unwrap()
}

/// Removes all keys with this name in them.
pub async fn forget(url: &str, namespace: &str) {
    let mut redis = redis_at(url).await;
    let ask = redis::cmd("KEYS").arg(format!("*{namespace}*")).query_async(&mut redis).await;
    let keys: Vec<String> = ask.unwrap();
    if !keys.is_empty() {
        redis::cmd("DEL").arg(keys).exec_async(&mut redis).await.unwrap();
    }
}
