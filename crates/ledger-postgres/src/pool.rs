//! Connections: how they are opened, bounded and checked.
//!
//! sqlx pings a connection at each use by default, one round trip of seven in a
//! write-back with it. Here a connection is pinged only after a second of rest, or when it
//! is older than the last loss: after a restart of the server one call fails, and the
//! next finds a working connection.

use std::{
    future::pending,
    io::{self, ErrorKind},
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ferry_domain::ports::LedgerError;
use sqlx::{
    ConnectOptions, Connection, Executor, PgPool, Postgres,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{
    net::{TcpStream, UnixStream},
    select,
    time::{Instant, sleep, timeout},
};

use crate::{Options, errors};

/// How long connecting, and waiting for a free connection, may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// A server notices that its client is gone only when it writes to it: a statement of a planner that
/// was killed would go on, for minutes, in the application's database. A server whose system can't
/// tell refuses the setting, and goes without.
const WHILE_WE_LIVE: &str = "DO $$BEGIN PERFORM set_config('client_connection_check_interval', '2s', false); \
                             EXCEPTION WHEN OTHERS THEN NULL; END$$";

/// A connection that rested for longer is pinged before use.
const TRUSTED: Duration = Duration::from_secs(1);

/// After how long without a connection the server is asked whether it takes any.
const DOUBTED_AFTER: Duration = Duration::from_millis(250);

/// When a connection was last found broken.
#[derive(Default)]
pub(crate) struct Losses(Mutex<Option<Instant>>);

impl Losses {
    pub(crate) fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn since_last(&self) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.elapsed())
    }
}

/// Opens the pool and proves it by one connection. Says where it leads to, for people.
pub(crate) async fn open(
    url: &str,
    options: &Options,
    losses: Arc<Losses>,
) -> Result<(PgPool, String), LedgerError> {
    let connect = parse(url)?.application_name(&options.application_name);
    let place = place(&connect);
    let unreachable = |reason: String, passes| LedgerError::Unavailable {
        doing: "could not be opened",
        reason: format!("{place}: {reason}"),
        passes,
    };
    // The pool itself would say only that time ran out, not why.
    match timeout(PATIENCE, connect.connect()).await {
        Ok(Ok(connection)) => drop(connection.close().await),
        Ok(Err(error)) => return Err(unreachable(errors::reason(&error), errors::passes(&error))),
        Err(_) => {
            let why = "no answer within 5 s; check host, port and firewall".to_owned();
            return Err(unreachable(why, true));
        }
    }
    // Compiling a statement takes longer than any of ours runs. A plan that reads a whole table, or all of an
    // index to sort it, is made while the table is small, and is kept while it grows.
    let limits: Arc<str> = format!(
        "SET jit = off; SET enable_seqscan = off; SET enable_bitmapscan = off; SET statement_timeout = {}; SET idle_in_transaction_session_timeout = {}; {WHILE_WE_LIVE}",
        options.statement_timeout.as_millis(),
        options.idle_in_transaction_timeout.as_millis(),
    )
    .into();
    let pool = PgPoolOptions::new()
        .max_connections(options.max_connections.max(1))
        .acquire_timeout(PATIENCE)
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            let limits = limits.clone();
            // Two numbers of ours, no text from outside.
            Box::pin(async move { connection.execute(sqlx::AssertSqlSafe(limits)).await.map(drop) })
        })
        .before_acquire(move |connection, seen| {
            let doubtful =
                seen.idle_for > TRUSTED || losses.since_last().is_some_and(|since| seen.age >= since);
            Box::pin(async move { Ok(!doubtful || connection.ping().await.is_ok()) })
        })
        .connect_lazy_with(connect);
    Ok((pool, place))
}

/// A connection, or soon the error of a server that refuses one. The pool itself takes such a server for
/// one that is starting, and says only after [`PATIENCE`] that it made none.
pub(crate) async fn reach(pool: &PgPool) -> sqlx::Result<PoolConnection<Postgres>> {
    let refused = async {
        sleep(DOUBTED_AFTER).await;
        match knock(&pool.connect_options()).await {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => sqlx::Error::Io(error),
            _ => pending().await, // the pool knows better
        }
    };
    select! {
        connection = pool.acquire() => connection,
        error = refused => Err(error),
    }
}

/// Connects to the server, without a word.
async fn knock(options: &PgConnectOptions) -> io::Result<()> {
    match options.get_socket() {
        Some(folder) => {
            UnixStream::connect(folder.join(format!(".s.PGSQL.{}", options.get_port()))).await.map(drop)
        }
        None => TcpStream::connect((options.get_host(), options.get_port())).await.map(drop),
    }
}

fn parse(url: &str) -> Result<PgConnectOptions, LedgerError> {
    // What sqlx says about a URL may quote it, password included.
    PgConnectOptions::from_str(url).map_err(|_| LedgerError::Unavailable {
        doing: "could not be opened",
        reason: "its URL can't be read; write postgres://USER:PASSWORD@HOST:PORT/DATABASE".to_owned(),
        passes: false,
    })
}

fn place(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or("(the user's database)");
    match options.get_socket() {
        Some(socket) => format!("PostgreSQL at {}, database {database}", socket.display()),
        None => format!("PostgreSQL at {}:{}, database {database}", options.get_host(), options.get_port()),
    }
}
