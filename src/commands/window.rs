//! The queue in Redis as operators see it: what it holds of what the ledger has sent.

use ferry_queue::{RedisOptions, RedisQueue};

use crate::{exit::usage, settings::Settings, system::environment, wiring::Place};

/// The queue that goes with a ledger; `None` for an embedded one, whose queue lives in
/// the memory of its worker.
pub async fn open(place: &Place, settings: &Settings) -> anyhow::Result<Option<RedisQueue>> {
    if let Place::Sqlite(_) = place {
        return Ok(None);
    }
    let url = environment("REDIS_URL").ok_or_else(|| {
        usage("REDIS_URL is not set: it says where the queue is, for example redis://127.0.0.1:6379")
    })?;
    connect(&url, settings).await.map(Some)
}

/// Connects to Redis with the settings' namespace.
pub async fn connect(url: &str, settings: &Settings) -> anyhow::Result<RedisQueue> {
    let options = RedisOptions { namespace: settings.queue.namespace.clone() };
    Ok(RedisQueue::connect(url, options).await?)
}
