//! What operators say to runs and to all processes, and what they look at while work goes on.

use std::time::Duration;

use ferry_domain::{
    JobKind, RunId, Tally, WorkerId,
    ports::{Command, Controls, LedgerError, WorkerRecord, WorkerView},
    threshold::StopAfter,
};
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::{
    SqliteLedger,
    errors::{Doing, Result},
    fence::state_of,
    planning::audit,
    rows::{job_kind, run_spec, run_state},
};

const READING: &str = "could not read the controls";
const SETTING: &str = "could not set a control";
const WATCHING: &str = "could not count failures";
const LISTING: &str = "could not list workers";
const COUNTING: &str = "could not count jobs";

/// Limits on failures count what ends from now on.
pub(crate) async fn count_anew(connection: &mut SqliteConnection, run: RunId) -> Result<()> {
    sqlx::query!(
        r#"
        UPDATE ferry_runs
        SET (failed_before, ended_before) = (
            SELECT coalesce(sum(failed + conflict), 0), coalesce(sum(source - pending), 0)
            FROM ferry_batches WHERE run_id = ?1
        )
        WHERE id = ?1
        "#,
        run.0
    )
    .execute(connection)
    .await
    .doing(WATCHING)?;
    Ok(())
}

impl SqliteLedger {
    /// All controls by one statement; it has a row even when no run is active. The newest
    /// run's rate counts.
    pub(crate) async fn read_controls(&self) -> Result<Controls> {
        let rows = sqlx::query!(
            r#"
            SELECT s.stop_all AS "stop_all!: bool", r.id AS "id?: Uuid", r.state AS "state?: String",
                   r.rate AS "rate?: String"
            FROM (
                SELECT EXISTS (SELECT 1 FROM ferry_controls WHERE name = 'stop_all' AND value = 'on') AS stop_all
            ) AS s
            LEFT JOIN ferry_runs AS r ON r.state NOT IN ('sealed', 'cancelled')
            ORDER BY r.created_at DESC, r.id DESC
            "#
        )
        .fetch_all(self.reader())
        .await
        .doing(READING)?;
        let mut controls = Controls::default();
        for row in rows {
            controls.stop_all = row.stop_all;
            let (Some(id), Some(state)) = (row.id, row.state) else { continue };
            controls.runs.push((RunId(id), run_state(&state, id)?));
            controls.rate = controls.rate.or(row.rate);
        }
        Ok(controls)
    }

    /// Sets or lifts the plan of limits of a run that has not ended.
    pub(crate) async fn rate_of_run(
        &self,
        run: RunId,
        plan: Option<&str>,
        command: &Command<'_>,
    ) -> Result<()> {
        let mut tx = self.write(SETTING).await?;
        let state = state_of(&mut tx, run).await?;
        if !state.is_active() {
            return Err(LedgerError::Refused(format!(
                "run {run} is {state}: limits are set for a run that has not ended"
            )));
        }
        sqlx::query!("UPDATE ferry_runs SET rate = ?2 WHERE id = ?1", run.0, plan)
            .execute(&mut *tx)
            .await
            .doing(SETTING)?;
        let detail = serde_json::json!({ "plan": plan }).to_string();
        audit(&mut tx, command.by, "rate", run, &detail, command.reason).await?;
        tx.commit().await.doing(SETTING)
    }

    /// Stops all sending, or lets it go on; says whether that is new.
    pub(crate) async fn set_stop_all(&self, stop: bool, command: &Command<'_>) -> Result<bool> {
        let mut tx = self.write(SETTING).await?;
        let value = if stop { "on" } else { "off" };
        // A control that was never set is off.
        let changed = sqlx::query!(
            r#"
            INSERT INTO ferry_controls (name, value, set_by, set_at, reason)
            SELECT 'stop_all', ?1, ?2, at, ?3 FROM ferry_now
            WHERE ?1 = 'on' OR EXISTS (SELECT 1 FROM ferry_controls WHERE name = 'stop_all')
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
            let action = if stop { "stop_all" } else { "release_all" };
            audit(&mut tx, command.by, action, None, "{}", command.reason).await?;
        }
        tx.commit().await.doing(SETTING)?;
        Ok(changed)
    }

    /// Running runs with limits on failures. In the tallies, failed and conflicting users are
    /// `failed` and all others that ended are `created`: limits ask for no more.
    pub(crate) async fn runs_to_watch(&self) -> Result<Vec<(RunId, StopAfter, Tally)>> {
        let rows = sqlx::query!(
            r#"
            SELECT r.id AS "id!: Uuid", r.spec AS "spec!: String",
                   coalesce(sum(b.failed + b.conflict), 0) - r.failed_before AS "failed!: i64",
                   coalesce(sum(b.source - b.pending), 0) - r.ended_before AS "ended!: i64"
            FROM ferry_runs AS r LEFT JOIN ferry_batches AS b ON b.run_id = r.id
            WHERE r.state = 'running'
              AND (r.spec ->> '$.stop_after.failures' IS NOT NULL OR r.spec ->> '$.stop_after.rate' IS NOT NULL)
            GROUP BY r.id
            "#
        )
        .fetch_all(self.reader())
        .await
        .doing(WATCHING)?;
        rows.into_iter()
            .map(|row| {
                let (failed, ended) = (row.failed.max(0), row.ended.max(0));
                let tally = Tally { source: ended, failed, created: ended - failed, ..Tally::default() };
                Ok((RunId(row.id), run_spec(&row.spec, row.id)?.stop_after, tally))
            })
            .collect()
    }

    /// Worker processes, oldest first.
    pub(crate) async fn all_workers(&self) -> Result<Vec<WorkerView>> {
        let rows = sqlx::query!(
            r#"
            SELECT w.id AS "id!: Uuid", w.host AS "host!: String", w.pid AS "pid!: i32", w.slots AS "slots!: i32",
                   w.waits AS "waits?: String", w.watched AS "watched!: bool", n.at - w.seen_at AS "silent!: i64",
                   (SELECT count(*) FROM ferry_jobs AS j WHERE j.holder = w.id AND j.state = 'leased')
                   AS "leases!: i64"
            FROM ferry_workers AS w CROSS JOIN ferry_now AS n
            ORDER BY w.started_at, w.id
            "#
        )
        .fetch_all(self.reader())
        .await
        .doing(LISTING)?;
        let view = |id, host, pid, slots, waits| WorkerRecord { id: WorkerId(id), host, pid, slots, waits };
        Ok(rows
            .into_iter()
            .map(|row| WorkerView {
                record: view(row.id, row.host, row.pid, row.slots, row.waits),
                watched: row.watched,
                silent_for: age(row.silent),
                leases: row.leases,
            })
            .collect())
    }

    /// Jobs by kind and state, without those that are done: they are many and wait for nothing. An age is that of the oldest job that waits for nothing but
    /// its turn: `ready`, due, of a run that sends; or `queued`.
    pub(crate) async fn count_queues(&self) -> Result<Vec<(JobKind, String, i64, Option<Duration>)>> {
        let rows = sqlx::query!(
            r#"
            SELECT j.kind AS "kind!: String", j.state AS "state!: String", count(*) AS "count!: i64",
                   n.at - min(CASE
                       WHEN j.state = 'queued' THEN j.queued_at
                       WHEN j.state = 'ready' AND j.not_before <= n.at
                            AND r.state IN ('running', 'sealing', 'cancelling') THEN j.not_before
                   END) AS "oldest?: i64"
            FROM ferry_jobs AS j JOIN ferry_runs AS r ON r.id = j.run_id CROSS JOIN ferry_now AS n
            WHERE j.state <> 'done'
            GROUP BY j.kind, j.state
            ORDER BY j.kind, j.state
            "#
        )
        .fetch_all(self.reader())
        .await
        .doing(COUNTING)?;
        rows.into_iter()
            .map(|row| {
                let kind = job_kind(&row.kind, Uuid::nil())?;
                Ok((kind, row.state, row.count, row.oldest.map(age)))
            })
            .collect()
    }
}

/// A stored span of time; a clock that was set back makes none negative.
fn age(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
