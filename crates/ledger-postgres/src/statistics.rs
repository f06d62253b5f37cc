//! Statistics of the ledger's tables. COPY brings a million rows, and autovacuum looks a minute later:
//! until then the planner of the server takes them for none.
//!
//! Statements that workers do all the time are right without (`tests/it/plans.rs`); these are for the
//! others, and for those who ask the tables themselves.

use sqlx::{Executor, query_scalar};

use crate::PostgresLedger;

impl PostgresLedger {
    /// Makes them after a bulk step. Never fails: work goes on without.
    pub(crate) async fn make_statistics(&self) {
        let made = async {
            if self.may_make_statistics().await? {
                self.pool.execute("ANALYZE ferry.planned_items, ferry.batches, ferry.jobs").await?;
            } else {
                tracing::warn!(
                    "the database user may not ANALYZE the ledger's tables: lists and reports may be slow until \
                     autovacuum has run; let their owner run Ferry, or on PostgreSQL 17 grant MAINTAIN on schema \
                     ferry's tables"
                );
            }
            Ok(())
        };
        let made: Result<(), sqlx::Error> = made.await;
        if let Err(error) = made.map_err(self.sql_failed("could not make statistics")) {
            tracing::warn!(%error, "lists and reports may be slow until autovacuum has run");
        }
    }

    /// The server only warns where it may not.
    async fn may_make_statistics(&self) -> Result<bool, sqlx::Error> {
        query_scalar!(
            r#"
            SELECT pg_has_role(class.relowner, 'USAGE') OR pg_has_role(database.datdba, 'USAGE')
                OR CASE WHEN current_setting('server_version_num')::integer >= 170000
                        THEN has_table_privilege(class.oid, 'MAINTAIN') ELSE false END AS "may!"
            FROM pg_class AS class, pg_database AS database
            WHERE class.oid = 'ferry.planned_items'::regclass AND database.datname = current_database()
            "#
        )
        .fetch_one(&self.pool)
        .await
    }
}
