//! Who lives: a connection for each process, with a session-level advisory lock on it.
//!
//! The server frees the lock in the moment in which the process dies, so the others
//! need no time-out to know (`rescue`). The connection does nothing else: one from the
//! pool would be closed or replaced while the process lives. Its few statements are
//! plain text without preparing, because behind a transaction pooler a prepared one
//! may be looked for on another server session than the one it was prepared on.
//!
//! Rejected: heartbeats with a short time-out (a busy process would be taken for a dead
//! one), LISTEN (a death is not announced).

use std::time::Duration;

use ferry_domain::WorkerId;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, Row};
use tokio::time::{sleep, timeout};

use crate::PostgresLedger;

/// How often the connection is tried.
const EVERY: Duration = Duration::from_millis(500);
/// An answer that takes longer is none; also for each step of registering.
const PATIENCE: Duration = Duration::from_secs(2);
/// The server tries a silent connection after 5 s, and frees the lock 6 s later when
/// the host of the process vanished without a word. Over a local socket they mean nothing.
const KEEPALIVE: &str =
    "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3";
/// Which session of the server answers.
const PID: &str = "SELECT pg_backend_pid()";
/// What a person reads who wonders why a death is noticed late.
const POOLED: &str = "the database is reached through a pooler that gives each transaction another session, so the \
     death of a process shows only when its leases run out: give Ferry a direct connection, or \
     pool_mode = session for its user";

/// The same for an operator who does not want the lock.
const SWITCHED_OFF: &str =
    "ledger.death_lock is off, so the death of a process shows only when its leases run out";

/// Why a registration is not possible.
pub(crate) enum Trouble {
    Pooled,
    SwitchedOff,
    Taken,
    Sql(sqlx::Error),
}

impl Trouble {
    /// What it means, for people.
    pub(crate) fn for_people(&self) -> &'static str {
        match self {
            Trouble::Pooled => POOLED,
            Trouble::SwitchedOff => SWITCHED_OFF,
            Trouble::Taken => "the identity is registered already",
            Trouble::Sql(_) => "the database failed",
        }
    }
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Trouble::Sql(error)
    }
}

impl PostgresLedger {
    /// A connection of its own that holds the lock of this worker, as long as it is open.
    pub(crate) async fn take_lock(
        &self,
        worker: WorkerId,
        other: &mut PgConnection,
    ) -> Result<PgConnection, Trouble> {
        let options = (*self.pool.connect_options()).clone().application_name("ferry presence");
        let key = sqlx::query_scalar!(r#"SELECT ferry.presence_key($1) AS "key!""#, worker.0)
            .fetch_one(&mut *other)
            .await?;
        let mut mine = in_time(options.connect()).await?.ok_or_else(too_slow)?;
        let first = ask(&mut mine, PID).await?;
        let mut holding = other.begin().await?;
        let locked = lock_in_sight((&mut mine, first), &mut holding, key).await;
        holding.rollback().await?;
        locked?;
        mine.execute(sqlx::raw_sql(KEEPALIVE)).await?;
        Ok(mine)
    }
}

/// Takes the lock so that another client, which began a transaction after our `first`
/// session was named, sees it held. A pooler gave that session to the other one, or has
/// to give us a second one now; one that goes round gives us a new one each time.
async fn lock_in_sight(
    (mine, first): (&mut PgConnection, i32),
    other: &mut PgConnection,
    key: i64,
) -> Result<(), Trouble> {
    let theirs: i32 = ask(other, PID).await?;
    if theirs == first {
        return Err(Trouble::Pooled);
    }
    for _ in 0..2 {
        // None: the pooler has no session left.
        if in_time(ask(mine, PID)).await? != Some(first) {
            return Err(Trouble::Pooled);
        }
    }
    // A number of our own making, no text from outside.
    if !ask::<bool>(mine, &format!("SELECT pg_try_advisory_lock({key})")).await? {
        return Err(Trouble::Taken);
    }
    if ask(other, &format!("SELECT pg_try_advisory_xact_lock({key})")).await? {
        // It would not be seen. It must not stay behind on a pooler's session.
        ask::<bool>(mine, &format!("SELECT pg_advisory_unlock({key})")).await?;
        return Err(Trouble::Pooled);
    }
    Ok(())
}

/// Resolves when the connection is lost. Dropped, it closes the connection.
pub(crate) async fn hold(mut connection: PgConnection) {
    loop {
        sleep(EVERY).await;
        match timeout(PATIENCE, connection.ping()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

/// One value, by plain text.
async fn ask<T>(connection: &mut PgConnection, sql: &str) -> Result<T, sqlx::Error>
where
    T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    connection.fetch_one(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await?.try_get(0)
}

/// The answer, or `None` when it takes too long.
async fn in_time<T>(answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<Option<T>, sqlx::Error> {
    match timeout(PATIENCE, answer).await {
        Ok(answer) => answer.map(Some),
        Err(_) => Ok(None),
    }
}

fn too_slow() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}
