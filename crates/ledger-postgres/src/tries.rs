//! Trying a transaction again that others' locks stopped.

use std::time::Duration;

use sqlx::{PgTransaction, Postgres, Transaction};

use crate::{PostgresLedger, errors::Fault};

/// How often a transaction is tried before its rows are called busy.
const MOST: u32 = 4;
/// The pause grows by this each time.
const PAUSE: Duration = Duration::from_millis(20);

/// Counts the tries of one transaction.
#[derive(Default)]
pub(crate) struct Tries(u32);

impl Tries {
    /// Whether to try again after this fault; waits a moment when so.
    pub(crate) async fn again(&mut self, fault: &Fault) -> bool {
        self.0 += 1;
        if self.0 >= MOST || !fault.passes() {
            return false;
        }
        tracing::debug!(tries = self.0, "rows are locked by others, trying again");
        tokio::time::sleep(PAUSE * self.0).await;
        true
    }
}

impl PostgresLedger {
    /// A transaction that waits at most 500 ms for each lock, in one round trip.
    pub(crate) async fn begin(&self) -> Result<PgTransaction<'static>, Fault> {
        self.begin_with("BEGIN; SET LOCAL lock_timeout = '500ms'").await
    }

    /// A transaction whose statements take as long as they need.
    pub(crate) async fn begin_long(&self) -> Result<PgTransaction<'static>, Fault> {
        self.begin_with("BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL work_mem = '64MB'").await
    }

    async fn begin_with(&self, statement: &'static str) -> Result<Transaction<'static, Postgres>, Fault> {
        Ok(self.pool.begin_with(statement).await?)
    }
}
