//! Version and settings of the server, for checks before work begins.

use ferry_domain::ports::QueueError;

use super::{RedisQueue, reasons};

/// A server, as its `INFO` describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// `Redis` or `Valkey`.
    pub product: String,
    /// Its version, like `7.4.1`.
    pub version: String,
    /// What it removes when memory is full; `noeviction` is the only one that loses nothing.
    pub eviction: String,
    /// Bytes it may use; 0 for all there are.
    pub max_memory: u64,
    /// Bytes it uses.
    pub used_memory: u64,
    /// `standalone`, `sentinel` or `cluster`.
    pub mode: String,
    /// Whether it is a copy of another server, which takes no writes.
    pub replica: bool,
    /// Whether each write is appended to a file (`appendonly`).
    pub appends: bool,
}

impl Inspection {
    /// First number of the version; 0 where it can't be read.
    pub fn major(&self) -> u32 {
        self.version.split('.').next().and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    /// Why it can't be the queue, whatever its settings: what it is, and what to do. In the same
    /// words as the errors of the queue.
    pub fn unfit(&self) -> Option<(&'static str, &'static str)> {
        reasons::unfit(&self.mode).or(self.replica.then_some(reasons::COPY))
    }

    pub(super) fn read(info: &str) -> Inspection {
        let value = |key: &str| {
            let line = info.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            line.map(|value| value.trim().to_owned())
        };
        let number = |key: &str| value(key).and_then(|bytes| bytes.parse().ok()).unwrap_or(0);
        // Valkey also reports the Redis version it is compatible with, for old clients.
        let valkey = value("valkey_version");
        Inspection {
            product: if valkey.is_some() { "Valkey" } else { "Redis" }.to_owned(),
            version: valkey.or_else(|| value("redis_version")).unwrap_or_default(),
            eviction: value("maxmemory_policy").unwrap_or_default(),
            max_memory: number("maxmemory"),
            used_memory: number("used_memory"),
            // Valkey names the mode otherwise.
            mode: value("redis_mode").or_else(|| value("server_mode")).unwrap_or_default(),
            replica: value("role").as_deref() == Some("slave"),
            appends: value("aof_enabled").as_deref() == Some("1"),
        }
    }
}

impl RedisQueue {
    /// Asks the server about itself.
    ///
    /// # Errors
    /// When it does not answer within five seconds, or refuses `INFO`.
    pub async fn inspect(&self) -> Result<Inspection, QueueError> {
        let mut manager = self.connection().manager();
        let command = ::redis::cmd("INFO");
        let answer = command.query_async::<String>(&mut manager);
        let info = self.connection().ask("did not describe itself", answer).await?;
        Ok(Inspection::read(&info))
    }

    /// Refuses a server that can never be the queue, by what it says of itself: a node of a
    /// cluster takes pushes where it happens to own the slot. It only reads. A server that says
    /// nothing of itself is left to the probe.
    pub async fn fit(&self, doing: &'static str) -> Result<(), QueueError> {
        let mut manager = self.connection().manager();
        let mut command = ::redis::cmd("INFO");
        let answer = command.arg("server").query_async::<String>(&mut manager);
        let info = self.connection().ask(doing, answer).await.unwrap_or_default();
        let mode = Inspection::read(&info).mode;
        self.connection().server().unfit(doing, &mode).map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_products_are_told_apart() {
        let redis = "# Server\r\nredis_version:7.4.1\r\n# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\n";
        let read = Inspection::read(redis);
        assert_eq!((read.product.as_str(), read.major(), read.appends), ("Redis", 7, true));
        assert_eq!((read.eviction.as_str(), read.max_memory), ("noeviction", 0));
        let valkey = "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.0\r\nmaxmemory:1024\r\nmaxmemory_policy:allkeys-lru\r\naof_enabled:0\r\n";
        let read = Inspection::read(valkey);
        assert_eq!((read.product.as_str(), read.major(), read.appends), ("Valkey", 8, false));
        assert_eq!((read.eviction.as_str(), read.max_memory), ("allkeys-lru", 1024));
        assert_eq!(Inspection::read("").major(), 0);
    }

    #[test]
    fn what_can_move_no_job_is_seen() {
        let read =
            Inspection::read("redis_mode:standalone\r\nrole:slave\r\nused_memory:900\r\nmaxmemory:1000\r\n");
        assert_eq!((read.mode.as_str(), read.replica), ("standalone", true));
        assert!(read.unfit().unwrap().0.contains("replica"));
        assert_eq!((read.used_memory, read.max_memory), (900, 1000));
        let read = Inspection::read("server_mode:cluster\r\nrole:master\r\n");
        assert_eq!((read.mode.as_str(), read.replica), ("cluster", false));
        assert!(read.unfit().unwrap().0.contains("Redis Cluster"));
        let read = Inspection::read("redis_mode:sentinel\r\n");
        assert_eq!(read.mode, "sentinel");
        assert!(read.unfit().unwrap().1.contains("the master that the Sentinel watches"));
    }
}
