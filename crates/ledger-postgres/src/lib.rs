//! The ledger on PostgreSQL 14 or newer: schema `ferry`, beside the application's tables.
//!
//! One file for each trait of the port, with what it needs below it in a folder of the same
//! name; `ferry-ledger-sqlite` has the same files. Decisions are functions of
//! `ferry-domain`, words and rows are those of `ferry-ledger`; the SQL here only keeps what they
//! say. Fixed SQL goes through sqlx's checked macros (`.sqlx` holds what they
//! learned, so a build needs no database); only COPY, the application's own table and
//! what must not be prepared need SQL made at run time (`application`, `copy`, `presence`).
//!
//! Three rules hold for all transactions of this crate:
//! - **A leased write to the ledger begins by locking the job row with its token**
//!   (`leases::fence`). A token that is merely read in a subquery does not fence: the
//!   late owner's write waits, and then commits.
//! - **Locks go in one order**: application rows, job, outcomes, run, batches. Runs are
//!   locked `FOR NO KEY UPDATE`, because inserting a job takes a key share of its run.
//! - **Locked rows are waited for 500 ms**, then the whole transaction is tried
//!   again a few times (`transaction`), and at last it is `LedgerError::Busy`.
//!
//! Rejected: `SERIALIZABLE` (conflicts would also hit the application's
//! transactions), one connection for everything (a slow report would stop heartbeats).

mod application;
mod batches;
mod controls;
mod copy;
mod dead;
mod errors;
mod items;
mod jobs;
mod leases;
mod moves;
mod planning;
mod pool;
mod presence;
mod processes;
mod reports;
mod runs;
mod statistics;
mod transaction;
mod users;

pub use application::PostgresApplication;

use std::{fmt, sync::Arc, time::Duration};

use ferry_domain::ports::{Application, LedgerError};
use ferry_ledger::apart::Apart;
use sqlx::PgPool;

use crate::{
    application::{Pace, Targets, TargetsOfRuns},
    pool::Losses,
};

/// How this process uses the server.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections at most, at least 1.
    pub max_connections: u32,
    /// Whether this process's death shows immediately, by a lock on a connection of its own.
    /// Without it only lease expiry tells.
    pub death_lock: bool,
    /// What `pg_stat_activity` shows.
    pub application_name: String,
    /// Longest statement. The end of planning and the making of an index take as long as they need.
    pub statement_timeout: Duration,
    /// Longest pause within a transaction, so that a hung process frees its locks. Below a
    /// lease: a stopped process with open locks would keep its jobs from being rescued.
    pub idle_in_transaction_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            max_connections: 10,
            death_lock: true,
            application_name: "ferry".to_owned(),
            statement_timeout: Duration::from_secs(30),
            idle_in_transaction_timeout: Duration::from_secs(5),
        }
    }
}

/// The ledger in one PostgreSQL database. Clones share their connections.
#[derive(Clone)]
pub struct PostgresLedger {
    pool: PgPool,
    place: Arc<str>,
    death_lock: bool,
    losses: Arc<Losses>,
    targets: Arc<Targets>,
    targets_of_runs: Arc<TargetsOfRuns>,
    apart: Apart,
    pace: Arc<Pace>,
}

impl PostgresLedger {
    /// Connects, and gives up after 5 s.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`], naming host, port and database, never user or password.
    pub async fn connect(url: &str, options: Options) -> Result<Self, LedgerError> {
        let losses = Arc::new(Losses::default());
        let (pool, place) = pool::open(url, &options, losses.clone()).await?;
        let death_lock = options.death_lock;
        let (targets, targets_of_runs, pace) = (Arc::default(), Arc::default(), Arc::default());
        let (place, apart) = (place.into(), Apart::default());
        Ok(PostgresLedger { pool, place, death_lock, losses, targets, targets_of_runs, apart, pace })
    }

    /// The same ledger, for an application whose database is another one.
    #[must_use]
    pub fn beside(self, application: Arc<dyn Application>) -> Self {
        PostgresLedger { apart: Apart::from(application), ..self }
    }

    /// Closes all connections, after those in use have come back.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

impl fmt::Debug for PostgresLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresLedger({})", self.place)
    }
}
