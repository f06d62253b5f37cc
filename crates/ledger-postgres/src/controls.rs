//! Controls (stop-all, rate): orders to all processes, polled by loops.

use async_trait::async_trait;
use ferry_domain::{
    RunId,
    application::RowIds,
    ports::{Command, Controls, Migration, Orders, Restored},
};
use ferry_ledger::{
    Result,
    audit::Line,
    lists::{self, OrderRow},
    refusals,
    steps::RunSteps,
};
use sqlx::{query, query_as};
use time::OffsetDateTime;

use crate::{PostgresLedger, pool, transaction::Tx};

#[async_trait]
impl Controls for PostgresLedger {
    /// One statement; it has a row even when no run is active. The newest run's rate counts. Asked twice a
    /// second, it is what tells first that the server is away.
    async fn orders(&self) -> Result<Orders> {
        let failed = self.sql_failed("could not read the controls");
        let mut connection = pool::reach(&self.pool).await.map_err(&failed)?;
        let rows: Vec<OrderRow<OffsetDateTime>> = query_as!(
            OrderRow,
            r#"
            SELECT (SELECT set_at FROM ferry.controls WHERE name = 'stop_all' AND value = 'true') AS stopped_since,
                   run.id AS "id?", run.state AS "state?", run.rate
            FROM (VALUES (true)) AS always (so)
            LEFT JOIN ferry.runs AS run ON run.state NOT IN ('sealed', 'cancelled')
            ORDER BY run.created_at DESC, run.id DESC
            "#,
        )
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
        lists::orders(rows)
    }

    async fn set_rate(&self, run: RunId, plan: Option<&str>, command: &Command<'_>) -> Result<()> {
        self.trying("could not set a rate", || async {
            let mut tx = self.begin().await?;
            let state = Tx(&mut tx).lock(run).await?;
            refusals::unended(run, state)?;
            query!("UPDATE ferry.runs SET rate = $2 WHERE id = $1", run.0, plan).execute(&mut *tx).await?;
            Tx(&mut tx).write_audit(&Line::rate(run, plan, command)).await?;
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    async fn note_restoring(&self, run: RunId, rows: &RowIds, command: &Command<'_>) -> Result<()> {
        self.trying("could not write its audit", || async {
            let mut tx = self.begin().await?;
            Tx(&mut tx).write_audit(&Line::restoring(run, rows, command)).await?;
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    async fn note_migrated(&self, what: &Migration, command: &Command<'_>) -> Result<()> {
        self.trying("could not write its audit", || async {
            let mut tx = self.begin().await?;
            Tx(&mut tx).write_audit(&Line::migrated(what, command)).await?;
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    async fn note_restored(&self, run: RunId, restored: &Restored, command: &Command<'_>) -> Result<()> {
        self.trying("could not write its audit", || async {
            let mut tx = self.begin().await?;
            Tx(&mut tx).write_audit(&Line::restored(run, restored, command)).await?;
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    /// Without a row, sending is allowed: letting it go on then changes nothing.
    async fn stop_all(&self, stop: bool, command: &Command<'_>) -> Result<bool> {
        self.trying("could not stop or resume all sending", || async {
            let mut tx = self.begin().await?;
            let changed = query!(
                r#"
                WITH said AS (SELECT to_jsonb($1::boolean) AS value)
                INSERT INTO ferry.controls AS control (name, value, set_by, reason)
                SELECT 'stop_all', value, $2, $3 FROM said
                WHERE $1 OR EXISTS (SELECT FROM ferry.controls WHERE name = 'stop_all')
                ON CONFLICT (name) DO UPDATE
                SET value = excluded.value, set_by = excluded.set_by, reason = excluded.reason,
                    set_at = clock_timestamp()
                WHERE control.value <> excluded.value
                "#,
                stop,
                command.by,
                command.reason,
            )
            .execute(&mut *tx)
            .await?
            .rows_affected()
                > 0;
            if changed {
                Tx(&mut tx).write_audit(&Line::stop_all(stop, command)).await?;
                tx.commit().await?;
            }
            Ok(changed)
        })
        .await
    }
}
