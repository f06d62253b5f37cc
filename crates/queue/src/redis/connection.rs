//! The connection to the server, and the errors when it can't be reached.

use std::time::Duration;

use ::redis::{
    Client, ConnectionAddr, ErrorKind, RedisConnectionInfo, RedisError, TlsCertificates,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use ferry_domain::ports::QueueError;

use super::{inspect::Inspection, reasons::Server};

/// A command that gets no answer for this long has failed (fault 17: no limit by default).
const ANSWER: Duration = Duration::from_secs(5);

/// One try to connect.
const CONNECT: Duration = Duration::from_secs(2);

/// How long a silence may last before its cause is looked for. A probe takes milliseconds, and
/// people look within seconds.
const WHY: Duration = Duration::from_secs(1);

/// How long to try at the start of a process. Servers often start together.
const AT_FIRST: Duration = Duration::from_secs(4);

const CONNECTING: &str = "was not connected";

const BETWEEN_TRIES: Duration = Duration::from_millis(250);

/// A connection that reconnects by itself, and the texts of its errors.
#[derive(Clone)]
pub(super) struct Connection {
    manager: ConnectionManager,
    /// For a look of its own, when the manager is silent.
    client: Client,
    server: Server,
}

impl Connection {
    /// Connects, or returns the reason within about five seconds. `ca` is a certificate in PEM
    /// form that servers are trusted by, instead of the system's.
    pub(super) async fn open(url: &str, ca: Option<&[u8]>) -> Result<Self, QueueError> {
        let client = client(url, ca)?;
        let info = client.get_connection_info();
        let server = Server {
            place: format!("{}/{}", info.addr(), info.redis_settings().db()),
            tls: matches!(info.addr(), ConnectionAddr::TcpTls { .. }),
        };
        first_contact(&client, &server).await?;
        let healing = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(ANSWER))
            // It gives up after six tries by default (fault 17); an outage may last.
            .set_number_of_retries(1_000_000)
            .set_min_delay(Duration::from_millis(100))
            .set_max_delay(Duration::from_millis(500));
        match ConnectionManager::new_lazy_with_config(client.clone(), healing) {
            Ok(manager) => Ok(Connection { manager, client, server }),
            Err(error) => Err(server.error(CONNECTING, &error.to_string())),
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
        self.ask_within(ANSWER, doing, answer).await
    }

    /// The same, with a reason in words instead of silence: the connection keeps trying to come
    /// back and says nothing of why it can't (a password that was changed, for example).
    pub(super) async fn ask_why<T>(
        &self,
        doing: &'static str,
        answer: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, QueueError> {
        let asked = self.ask_within(WHY, doing, answer).await;
        match asked {
            Err(silent) => match hello(&self.client, &self.server).await {
                Err(reason) => Err(QueueError { doing, ..reason }),
                Ok(()) => Err(silent),
            },
            answered => answered,
        }
    }

    async fn ask_within<T>(
        &self,
        time: Duration,
        doing: &'static str,
        answer: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, QueueError> {
        match tokio::time::timeout(time, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.server.error(doing, &error.to_string())),
            Err(_) => Err(self.server.silent(doing, time.as_secs())),
        }
    }

    /// The server, as errors speak of it.
    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// A reason that apalis's worker gave, in words.
    pub(super) fn reason(&self, said: &str) -> String {
        self.server.error("", said).reason
    }
}

/// The text of the client's error is left out: the URL may hold a password.
fn client(url: &str, ca: Option<&[u8]>) -> Result<Client, QueueError> {
    let wrong = |reason: &str| QueueError { doing: CONNECTING, reason: reason.to_owned(), passes: false };
    let built = match ca {
        None => Client::open(url),
        Some(pem) => {
            let certificates = TlsCertificates { client_tls: None, root_cert: Some(pem.to_vec()) };
            Client::build_with_tls(url, certificates)
        }
    };
    let client = built.map_err(|_| {
        wrong(
            "REDIS_URL is no address of a server; expected redis://[user:password@]host[:port][/db], or \
             rediss:// for TLS. Special characters of a password are escaped: @ is %40, / is %2F, # is %23, \
             % is %25",
        )
    })?;
    let settings = client.get_connection_info().redis_settings();
    if settings.username().is_some() && settings.password().is_none() {
        return Err(wrong(
            "REDIS_URL names a user without a password; write redis://user:password@host, or \
             redis://:password@host for a password alone",
        ));
    }
    Ok(client)
}

/// Tries for a few seconds: a server may still be starting, or loading its
/// file. What can't pass by itself ends the tries immediately.
async fn first_contact(client: &Client, server: &Server) -> Result<(), QueueError> {
    let started = tokio::time::Instant::now();
    loop {
        match hello(client, server).await {
            Ok(()) => return Ok(()),
            Err(error) if !error.passes || started.elapsed() + BETWEEN_TRIES >= AT_FIRST => {
                return Err(error);
            }
            Err(_) => tokio::time::sleep(BETWEEN_TRIES).await,
        }
    }
}

/// One try on a connection of its own. A refused password does not pass here: nobody changes
/// it while a process starts.
async fn hello(client: &Client, server: &Server) -> Result<(), QueueError> {
    let hello = async {
        let mut connection = client.get_multiplexed_async_connection().await?;
        ::redis::cmd("PING").exec_async(&mut connection).await
    };
    match tokio::time::timeout(CONNECT, hello).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            let refused = error.kind() == ErrorKind::AuthenticationFailed || error.code() == Some("NOAUTH");
            if refused && let Some(unfit) = unfit_stranger(client, server).await {
                return Err(unfit);
            }
            let error = server.error(CONNECTING, &error.to_string());
            Err(QueueError { passes: error.passes && !refused, ..error })
        }
        Err(_) => Err(server.silent(CONNECTING, CONNECT.as_secs())),
    }
}

/// Whether a server that refuses the password says to anybody that it is none for us: a Sentinel
/// has seldom the password of what it watches.
async fn unfit_stranger(client: &Client, server: &Server) -> Option<QueueError> {
    if server.tls {
        return None; // the certificate's authority is not known here
    }
    let nobody = client.get_connection_info().clone().set_redis_settings(RedisConnectionInfo::default());
    let ask = async {
        let mut connection = Client::open(nobody).ok()?.get_multiplexed_async_connection().await.ok()?;
        ::redis::cmd("INFO").query_async::<String>(&mut connection).await.ok()
    };
    let info = tokio::time::timeout(CONNECT, ask).await.ok()??;
    server.unfit(CONNECTING, &Inspection::read(&info).mode)
}
