//! Runs: read for people and workers, locked and advanced for everybody who moves one.

use async_trait::async_trait;
use ferry_domain::{
    RunId, RunState, RunView, SourceIdentity,
    migration::Migrated,
    ports::{ABANDONED, LedgerError, RunNow, Runs, WatchedRun},
};
use ferry_ledger::{Result, audit::Line, lists::WatchedRow, rows, steps::RunSteps, words};
use sqlx::{PgConnection, query, query_as, query_scalar};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{PostgresLedger, errors::Tried, transaction::Tx};

type RunRow = rows::RunRow<OffsetDateTime>;

#[async_trait]
impl Runs for PostgresLedger {
    async fn run(&self, run: RunId) -> Result<Option<RunView>> {
        Ok(self.views(Some(run.0), 1).await?.pop())
    }

    async fn runs(&self, most: i64) -> Result<Vec<RunView>> {
        self.views(None, most).await
    }

    async fn migrated(&self) -> Result<Vec<Migrated>> {
        let rows = query!(
            r#"
            SELECT source_kind, source_location, migration FROM ferry.runs
            GROUP BY source_kind, source_location, migration
            ORDER BY max(created_at) DESC
            "#
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not read earlier runs"))?;
        let migrated = rows.into_iter().map(|row| Migrated {
            source: SourceIdentity { kind: row.source_kind, location: row.source_location },
            migration: row.migration,
        });
        Ok(migrated.collect())
    }

    async fn run_now(&self, run: RunId) -> Result<RunNow> {
        let row = query!(
            r#"
            SELECT migration, source_kind, source_location, spec::text AS "spec!", state
            FROM ferry.runs WHERE id = $1
            "#,
            run.0
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(self.sql_failed("could not read a run"))?
        .ok_or_else(|| LedgerError::no_such_run(run))?;
        let source = SourceIdentity { kind: row.source_kind, location: row.source_location };
        rows::run_now(run, row.migration, source, &row.spec, &row.state)
    }

    async fn watched_runs(&self) -> Result<Vec<WatchedRun>> {
        let rows = query_as!(
            WatchedRow,
            r#"
            SELECT run.id, run.spec ->> 'stop_after' AS "stop_after!",
                   sums.failed - run.failed_before AS "failed!",
                   sums.ended - run.ended_before AS "ended!",
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
        rows.into_iter().map(WatchedRow::watched).collect()
    }
}

impl PostgresLedger {
    async fn views(&self, only: Option<Uuid>, most: i64) -> Result<Vec<RunView>> {
        let rows = query_as!(
            RunRow,
            r#"
            SELECT run.id, run.migration, run.source_kind, run.source_location, run.spec::text AS "spec!",
                   run.state, run.round, run.revision, run.rate, run.why, run.created_at, run.touched_at AS moved_at,
                   run.started_at, run.sealed_at,
                   run.state IN ('planning', 'planned')
                       AND run.touched_at < clock_timestamp() - make_interval(secs => $3) AS "abandoned!",
                   sums.source AS "source!", sums.created AS "created!", sums.adopted AS "adopted!",
                   sums.skipped AS "skipped!", sums.conflict AS "conflict!", sums.failed AS "failed!",
                   sums.cancelled AS "cancelled!", sums.pending AS "pending!",
                   sums.verified AS "verified!", sums.discrepancies AS "discrepancies!",
                   sums.requests AS "requests!", sums.open_batches AS "open_batches!", sums.provisioned_at
            FROM ferry.runs AS run
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(source), 0)::bigint AS source,
                       coalesce(sum(created), 0)::bigint AS created,
                       coalesce(sum(adopted), 0)::bigint AS adopted,
                       coalesce(sum(skipped), 0)::bigint AS skipped,
                       coalesce(sum(conflict), 0)::bigint AS conflict,
                       coalesce(sum(failed), 0)::bigint AS failed,
                       coalesce(sum(cancelled), 0)::bigint AS cancelled,
                       coalesce(sum(pending), 0)::bigint AS pending,
                       coalesce(sum(verified), 0)::bigint AS verified,
                       coalesce(sum(discrepancies), 0)::bigint AS discrepancies,
                       coalesce(sum(requests), 0)::bigint AS requests,
                       count(*) FILTER (WHERE state <> 'verified') AS open_batches,
                       max(provisioned_at) AS provisioned_at
                FROM ferry.batches WHERE run_id = run.id
            ) AS sums
            WHERE $1::uuid IS NULL OR run.id = $1
            ORDER BY run.created_at DESC, run.id DESC
            LIMIT $2
            "#,
            only,
            most,
            ABANDONED.as_secs_f64(),
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not read runs"))?;
        rows.into_iter().map(RunRow::view).collect()
    }
}

/// A planner lives: its run is not abandoned.
pub(crate) async fn touch(connection: &mut PgConnection, run: RunId) -> Tried<()> {
    query!("UPDATE ferry.runs SET touched_at = clock_timestamp() WHERE id = $1", run.0)
        .execute(connection)
        .await?;
    Ok(())
}

#[async_trait]
impl RunSteps for Tx<'_> {
    /// `NO KEY`, because inserting a job takes a key share of its run.
    async fn lock(&mut self, run: RunId) -> Tried<RunState> {
        let state = query_scalar!("SELECT state FROM ferry.runs WHERE id = $1 FOR NO KEY UPDATE", run.0)
            .fetch_optional(&mut *self.0)
            .await?
            .ok_or_else(|| LedgerError::no_such_run(run))?;
        Ok(words::run_state(run.0, &state)?)
    }

    async fn set_state(&mut self, run: RunId, state: RunState) -> Tried<()> {
        query!(
            "UPDATE ferry.runs SET state = $2, touched_at = clock_timestamp() WHERE id = $1",
            run.0,
            state.as_str(),
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    async fn set_why(&mut self, run: RunId, why: Option<&str>) -> Tried<()> {
        query!("UPDATE ferry.runs SET why = $2 WHERE id = $1", run.0, why).execute(&mut *self.0).await?;
        Ok(())
    }

    async fn count_failures_from_here(&mut self, run: RunId) -> Tried<()> {
        query!(
            r#"
            UPDATE ferry.runs SET failed_before = sums.failed, ended_before = sums.ended
            FROM (
                SELECT coalesce(sum(failed + conflict), 0)::bigint AS failed,
                       coalesce(sum(source - pending), 0)::bigint AS ended
                FROM ferry.batches WHERE run_id = $1
            ) AS sums
            WHERE id = $1
            "#,
            run.0,
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    async fn refuse_second(&mut self, run: RunId) -> Tried<()> {
        let other = query!(
            r#"
            SELECT other.id, other.state
            FROM ferry.runs AS mine
            JOIN ferry.runs AS other
              ON other.source_kind = mine.source_kind AND other.source_location = mine.source_location
            WHERE mine.id = $1 AND other.id <> $1 AND other.state NOT IN ('sealed', 'cancelled')
            "#,
            run.0,
        )
        .fetch_optional(&mut *self.0)
        .await?;
        match other {
            None => Ok(()),
            Some(other) => {
                let state = words::run_state(other.id, &other.state)?;
                Err(LedgerError::AnotherRunActive { run: RunId(other.id), state }.into())
            }
        }
    }

    async fn write_audit(&mut self, line: &Line<'_>) -> Tried<()> {
        query!(
            "INSERT INTO ferry.audit (actor, action, run_id, detail, reason) VALUES ($1, $2, $3, $4, $5)",
            line.actor,
            line.action,
            line.run.map(|run| run.0),
            &line.detail,
            line.reason,
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }
}
