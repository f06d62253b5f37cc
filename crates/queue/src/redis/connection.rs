//! The connection to the server, and the errors when it can't be reached.

use std::time::Duration;

use ::redis::{
    Client, ErrorKind, RedisError,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use ferry_domain::ports::QueueError;

/// A command that gets no answer for this long has failed (fault 17: no limit by default).
const ANSWER: Duration = Duration::from_secs(5);

/// One try to connect.
const CONNECT: Duration = Duration::from_secs(2);

/// How long to try at the start of a process. Servers often start together.
const AT_FIRST: Duration = Duration::from_secs(4);

const BETWEEN_TRIES: Duration = Duration::from_millis(250);

/// A connection that reconnects by itself, and the texts of its errors.
#[derive(Clone)]
pub(super) struct Connection {
    manager: ConnectionManager,
    /// `host:port/db`: what an operator needs, without any secret.
    place: String,
}

impl Connection {
    /// Connects, or returns the reason within about five seconds.
    pub(super) async fn open(url: &str) -> Result<Self, QueueError> {
        // The text of the error is left out: the URL may hold a password.
        let client = Client::open(url).map_err(|_| QueueError {
            doing: "was not connected",
            reason:
                "REDIS_URL is no address of a server; expected redis://[user:password@]host[:port][/db], \
                     or rediss:// for TLS"
                    .to_owned(),
            passes: false,
        })?;
        let info = client.get_connection_info();
        let place = format!("{}/{}", info.addr(), info.redis_settings().db());
        first_contact(&client, &place).await?;
        let healing = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(ANSWER))
            // It gives up after six tries by default (fault 17); an outage may last.
            .set_number_of_retries(1_000_000)
            .set_min_delay(Duration::from_millis(100))
            .set_max_delay(Duration::from_millis(500));
        match ConnectionManager::new_lazy_with_config(client, healing) {
            Ok(manager) => Ok(Connection { manager, place }),
            Err(error) => Err(unreachable(&place, &error.to_string(), false)),
        }
    }

    /// For apalis, whose worker has no need for our time-out: `consume` replaces a worker that ends.
    pub(super) fn manager(&self) -> ConnectionManager {
        self.manager.clone()
    }

    /// Waits for an answer, at most five seconds, an outage included: the
    /// connection itself would wait until the server is back.
    pub(super) async fn ask<T>(
        &self,
        doing: &'static str,
        answer: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, QueueError> {
        let reason = match tokio::time::timeout(ANSWER, answer).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", ANSWER.as_secs()),
        };
        Err(QueueError { doing, reason: format!("Redis at {}: {reason}", self.place), passes: true })
    }
}

/// Tries for a few seconds: a server may still be starting, or loading its
/// file. Only a wrong password ends the tries immediately.
async fn first_contact(client: &Client, place: &str) -> Result<(), QueueError> {
    let started = tokio::time::Instant::now();
    loop {
        let hello = async {
            let mut connection = client.get_multiplexed_async_connection().await?;
            ::redis::cmd("PING").exec_async(&mut connection).await
        };
        let reason = match tokio::time::timeout(CONNECT, hello).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) if wrong_password(&error) => {
                return Err(unreachable(place, "it refuses the user or the password", false));
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no connection within {} s", CONNECT.as_secs()),
        };
        if started.elapsed() + BETWEEN_TRIES >= AT_FIRST {
            return Err(unreachable(place, &reason, true));
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
}

fn wrong_password(error: &RedisError) -> bool {
    error.kind() == ErrorKind::AuthenticationFailed || error.code() == Some("NOAUTH")
}

fn unreachable(place: &str, reason: &str, passes: bool) -> QueueError {
    QueueError {
        doing: "was not connected",
        reason: format!("Redis at {place}: {reason}. Start it, or correct REDIS_URL"),
        passes,
    }
}
