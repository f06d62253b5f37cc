//! Transactions: begun with their time-outs, and made again when others' locks stopped them.

use std::time::Duration;

use ferry_domain::ports::LedgerError;
use sqlx::{PgConnection, PgTransaction, Postgres, Transaction};

use crate::{
    PostgresLedger,
    application::{Group, How},
    errors::{Fault, Tried},
};

/// Tries of a transaction before its rows are called busy.
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

/// A transaction's connection, on which the steps of scripts are done.
pub(crate) struct Tx<'c>(pub &'c mut PgConnection);

impl ferry_ledger::steps::Transaction for Tx<'_> {
    type Fault = Fault;
}

impl PostgresLedger {
    /// Does work that begins and commits a transaction of its own, a few times if others'
    /// locks stop it. `doing` completes "the ledger …".
    pub(crate) async fn trying<T, W>(
        &self,
        doing: &'static str,
        work: impl Fn() -> W,
    ) -> Result<T, LedgerError>
    where
        W: Future<Output = Tried<T>>,
    {
        let mut tries = Tries::default();
        loop {
            match work().await {
                Err(fault) if tries.again(&fault).await => {}
                done => return done.map_err(self.failed(doing)),
            }
        }
    }

    /// A transaction that waits at most 500 ms for each lock, in one round trip.
    pub(crate) async fn begin(&self) -> Tried<PgTransaction<'static>> {
        self.begin_with("BEGIN; SET LOCAL lock_timeout = '500ms'").await
    }

    /// The same for writing results back: the application's triggers may take five seconds, and
    /// what it deferred to the commit is checked with the statement, where a savepoint catches it.
    pub(crate) async fn begin_write_back(&self, how: How) -> Tried<PgTransaction<'static>> {
        self.begin_with(match how {
            How::Rows(Group::Quick) => {
                "BEGIN; SET LOCAL lock_timeout = '25ms'; SET LOCAL statement_timeout = '5s'; SET CONSTRAINTS ALL IMMEDIATE"
            }
            _ => {
                "BEGIN; SET LOCAL lock_timeout = '500ms'; SET LOCAL statement_timeout = '5s'; SET CONSTRAINTS ALL IMMEDIATE"
            }
        })
        .await
    }

    /// A transaction whose statements take as long as they need.
    pub(crate) async fn begin_long(&self) -> Tried<PgTransaction<'static>> {
        self.begin_with("BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL work_mem = '64MB'; SET LOCAL enable_seqscan = on; SET LOCAL enable_bitmapscan = on").await
    }

    async fn begin_with(&self, statement: &'static str) -> Tried<Transaction<'static, Postgres>> {
        Ok(self.pool.begin_with(statement).await?)
    }
}
