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
use uuid::Uuid;

use crate::{SqliteLedger, connection::Tx, errors::Doing};

const READING: &str = "could not read the controls";
const SETTING: &str = "could not set a control";

#[async_trait]
impl Controls for SqliteLedger {
    /// One statement; it has a row even when no run is active. The newest run's rate counts.
    async fn orders(&self) -> Result<Orders> {
        let rows: Vec<OrderRow<i64>> = sqlx::query_as!(
            OrderRow,
            r#"
            SELECT s.stopped_since AS "stopped_since?: i64", r.id AS "id?: Uuid", r.state AS "state?: String",
                   r.rate AS "rate?: String"
            FROM (
                SELECT (SELECT set_at FROM ferry_controls WHERE name = 'stop_all' AND value = 'true') AS stopped_since
            ) AS s
            LEFT JOIN ferry_runs AS r ON r.state NOT IN ('sealed', 'cancelled')
            ORDER BY r.created_at DESC, r.id DESC
            "#
        )
        .fetch_all(self.reader())
        .await
        .doing(READING)?;
        lists::orders(rows)
    }

    async fn set_rate(&self, run: RunId, plan: Option<&str>, command: &Command<'_>) -> Result<()> {
        let mut tx = self.write(SETTING).await?;
        let state = Tx(&mut tx).lock(run).await?;
        refusals::unended(run, state)?;
        sqlx::query!("UPDATE ferry_runs SET rate = ?2 WHERE id = ?1", run.0, plan)
            .execute(&mut *tx)
            .await
            .doing(SETTING)?;
        Tx(&mut tx).write_audit(&Line::rate(run, plan, command)).await?;
        tx.commit().await.doing(SETTING)
    }

    async fn note_restoring(&self, run: RunId, rows: &RowIds, command: &Command<'_>) -> Result<()> {
        let mut tx = self.write(SETTING).await?;
        Tx(&mut tx).write_audit(&Line::restoring(run, rows, command)).await?;
        tx.commit().await.doing(SETTING)
    }

    async fn note_migrated(&self, what: &Migration, command: &Command<'_>) -> Result<()> {
        let mut tx = self.write(SETTING).await?;
        Tx(&mut tx).write_audit(&Line::migrated(what, command)).await?;
        tx.commit().await.doing(SETTING)
    }

    async fn note_restored(&self, run: RunId, restored: &Restored, command: &Command<'_>) -> Result<()> {
        let mut tx = self.write(SETTING).await?;
        Tx(&mut tx).write_audit(&Line::restored(run, restored, command)).await?;
        tx.commit().await.doing(SETTING)
    }

    /// Without a row, sending is allowed: letting it go on then changes nothing.
    async fn stop_all(&self, stop: bool, command: &Command<'_>) -> Result<bool> {
        let mut tx = self.write(SETTING).await?;
        let value = if stop { "true" } else { "false" };
        let changed = sqlx::query!(
            r#"
            INSERT INTO ferry_controls (name, value, set_by, set_at, reason)
            SELECT 'stop_all', ?1, ?2, at, ?3 FROM ferry_now
            WHERE ?1 = 'true' OR EXISTS (SELECT 1 FROM ferry_controls WHERE name = 'stop_all')
            ON CONFLICT (name) DO UPDATE
            SET value = excluded.value, set_by = excluded.set_by, set_at = excluded.set_at, reason = excluded.reason
            WHERE value <> excluded.value
            "#,
            value,
            command.by,
            command.reason
        )
        .execute(&mut *tx)
        .await
        .doing(SETTING)?
        .rows_affected()
            > 0;
        if changed {
            Tx(&mut tx).write_audit(&Line::stop_all(stop, command)).await?;
        }
        tx.commit().await.doing(SETTING)?;
        Ok(changed)
    }
}
