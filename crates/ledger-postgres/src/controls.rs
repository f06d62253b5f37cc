//! What operators say to all processes, and what they and the loops look at often.
//! Each question is one statement that an index answers.

use std::time::Duration;

use ferry_domain::{
    JobKind, RunId, Tally, WorkerId,
    ports::{Command, Controls, LedgerError, WorkerRecord, WorkerView},
    threshold::StopAfter,
};
use serde_json::json;
use sqlx::query;

use crate::{PostgresLedger, errors::Fault, planning::audit, rows, tries::Tries};

type Result<T> = std::result::Result<T, LedgerError>;

impl PostgresLedger {
    /// The newest run's rate counts.
    pub(crate) async fn read_controls(&self) -> Result<Controls> {
        let rows = query!(
            r#"
            SELECT EXISTS (SELECT FROM ferry.controls WHERE name = 'stop_all' AND value = 'true') AS "stop_all!",
                   run.id AS "id?", run.state AS "state?", run.rate
            FROM (VALUES (true)) AS always (so)
            LEFT JOIN ferry.runs AS run ON run.state NOT IN ('sealed', 'cancelled')
            ORDER BY run.created_at DESC, run.id DESC
            "#,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not read the controls"))?;
        let mut controls = Controls { stop_all: rows.iter().any(|row| row.stop_all), ..Controls::default() };
        for row in rows {
            let (Some(id), Some(state)) = (row.id, row.state) else { continue };
            controls.runs.push((RunId(id), rows::run_state(id, &state)?));
            controls.rate = controls.rate.or(row.rate);
        }
        Ok(controls)
    }

    pub(crate) async fn put_rate(&self, run: RunId, plan: Option<&str>, command: &Command<'_>) -> Result<()> {
        let failed = self.failed("could not set a rate");
        let set = self.try_put_rate(run, plan, command).await.map_err(failed)?;
        if set { Ok(()) } else { Err(self.not_so(run, "a rate is set while it has not ended").await) }
    }

    async fn try_put_rate(
        &self,
        run: RunId,
        plan: Option<&str>,
        command: &Command<'_>,
    ) -> std::result::Result<bool, Fault> {
        let mut tx = self.begin().await?;
        let set = query!(
            "UPDATE ferry.runs SET rate = $2 WHERE id = $1 AND state NOT IN ('sealed', 'cancelled')",
            run.0,
            plan,
        )
        .execute(&mut *tx)
        .await?;
        if set.rows_affected() == 0 {
            return Ok(false);
        }
        audit(&mut tx, command.by, "rate", run, &json!({ "plan": plan }), command.reason).await?;
        tx.commit().await?;
        Ok(true)
    }

    pub(crate) async fn put_stop_all(&self, stop: bool, command: &Command<'_>) -> Result<bool> {
        let mut tries = Tries::default();
        loop {
            match self.try_put_stop_all(stop, command).await {
                Err(fault) if tries.again(&fault).await => {}
                done => return done.map_err(self.failed("could not stop or release all sending")),
            }
        }
    }

    /// Without a row, sending is allowed: letting it go on then changes nothing.
    async fn try_put_stop_all(&self, stop: bool, command: &Command<'_>) -> std::result::Result<bool, Fault> {
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
        .await?;
        if changed.rows_affected() == 0 {
            return Ok(false);
        }
        let action = if stop { "stop_all" } else { "release_all" };
        audit(&mut tx, command.by, action, None, &json!({}), command.reason).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The tally is of what ended since the run was started or resumed; failures and conflicts are
    /// both told as failed, everything else that ended as created.
    pub(crate) async fn runs_with_limits(&self) -> Result<Vec<(RunId, StopAfter, Tally)>> {
        let rows = query!(
            r#"
            SELECT run.id, run.spec ->> 'stop_after' AS "stop_after!",
                   greatest(sums.failed - run.failed_before, 0) AS "failed!",
                   greatest(sums.ended - run.ended_before, 0) AS "ended!",
                   sums.pending AS "pending!"
            FROM ferry.runs AS run
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(failed + conflict), 0)::bigint AS failed,
                       coalesce(sum(source - pending), 0)::bigint AS ended,
                       coalesce(sum(pending), 0)::bigint AS pending
                FROM ferry.batches WHERE run_id = run.id
            ) AS sums
            WHERE run.state NOT IN ('sealed', 'cancelled') AND run.state = 'running'
              AND coalesce(run.spec -> 'stop_after', '{}') <> '{}'
            ORDER BY run.id
            "#,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not look for runs with limits"))?;
        rows.into_iter()
            .map(|row| {
                let limits = serde_json::from_str(&row.stop_after).map_err(|_| LedgerError::Corrupt {
                    table: "runs",
                    row: row.id.to_string(),
                    why: "spec.stop_after can't be read".to_owned(),
                })?;
                let tally = Tally {
                    source: row.ended + row.pending,
                    created: (row.ended - row.failed).max(0),
                    failed: row.failed.min(row.ended),
                    pending: row.pending,
                    ..Tally::default()
                };
                Ok((RunId(row.id), limits, tally))
            })
            .collect()
    }

    pub(crate) async fn worker_views(&self) -> Result<Vec<WorkerView>> {
        let rows = query!(
            r#"
            SELECT id, host, pid, slots, watched, waits,
                   greatest(extract(epoch FROM clock_timestamp() - seen_at), 0)::float8 AS "silent!",
                   (SELECT count(*) FROM ferry.jobs WHERE holder = worker.id AND state = 'leased') AS "leases!"
            FROM ferry.workers AS worker
            ORDER BY started_at, id
            "#,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not list workers"))?;
        Ok(rows
            .into_iter()
            .map(|row| WorkerView {
                record: WorkerRecord {
                    id: WorkerId(row.id),
                    host: row.host,
                    pid: row.pid,
                    slots: row.slots,
                    waits: row.waits,
                },
                watched: row.watched,
                silent_for: Duration::try_from_secs_f64(row.silent).unwrap_or_default(),
                leases: row.leases,
            })
            .collect())
    }

    /// Age: of ready jobs since they were due, where their run may send; of queued ones
    /// since they were sent. Jobs that are done are not counted: they are many and no longer wait.
    pub(crate) async fn count_queue(&self) -> Result<Vec<(JobKind, String, i64, Option<Duration>)>> {
        let rows = query!(
            r#"
            SELECT kind AS "kind!", state AS "state!", count(*) AS "count!",
                   extract(epoch FROM clock_timestamp() - min(since))::float8 AS age
            FROM (
                SELECT job.kind, job.state, CASE WHEN run.state IN ('running', 'sealing', 'cancelling')
                                                      AND job.not_before <= clock_timestamp()
                                                 THEN job.not_before END AS since
                FROM ferry.jobs AS job JOIN ferry.runs AS run ON run.id = job.run_id
                WHERE job.state = 'ready'
                UNION ALL
                SELECT kind, state, queued_at FROM ferry.jobs WHERE state = 'queued'
                UNION ALL
                SELECT kind, state, NULL FROM ferry.jobs WHERE state = 'leased'
                UNION ALL
                SELECT kind, state, NULL FROM ferry.jobs WHERE state = 'dead'
            ) AS open
            GROUP BY kind, state
            ORDER BY kind, state
            "#,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not count the queue"))?;
        rows.into_iter()
            .map(|row| {
                let age = row.age.and_then(|age| Duration::try_from_secs_f64(age.max(0.0)).ok());
                Ok((rows::job_kind("queue", &row.kind)?, row.state, row.count, age))
            })
            .collect()
    }
}
