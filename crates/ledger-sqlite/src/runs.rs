//! Runs: read for people and workers, locked and advanced for everybody who moves one.

use std::path::Path;

use async_trait::async_trait;
use ferry_domain::{
    RunId, RunState, RunView, SourceIdentity,
    migration::Migrated,
    ports::{ABANDONED, LedgerError, RunNow, Runs, WatchedRun},
};
use ferry_ledger::{Result, audit::Line, lists::WatchedRow, refusals, rows, steps::RunSteps, words};
use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use uuid::Uuid;

use crate::{SqliteLedger, connection::Tx, errors::Doing, values::micros};

type RunRow = rows::RunRow<i64>;

const READING_RUNS: &str = "could not read runs";
const READING: &str = "could not read a run";
const MOVING: &str = "could not move a run";
const WATCHING: &str = "could not count failures";

#[async_trait]
impl Runs for SqliteLedger {
    async fn run(&self, run: RunId) -> Result<Option<RunView>> {
        Ok(self.views(Some(run), 1).await?.pop())
    }

    async fn runs(&self, most: i64) -> Result<Vec<RunView>> {
        self.views(None, most).await
    }

    async fn migrated(&self) -> Result<Vec<Migrated>> {
        let mut reader = self.reader().acquire().await.doing(READING)?;
        names(&mut reader).await
    }

    async fn run_now(&self, run: RunId) -> Result<RunNow> {
        let row = sqlx::query!(
            r#"
            SELECT migration AS "migration!: String", source_kind AS "source_kind!: String",
                   source_location AS "source_location!: String", spec AS "spec!: String",
                   state AS "state!: String"
            FROM ferry_runs WHERE id = ?1
            "#,
            run.0
        )
        .fetch_optional(self.reader())
        .await
        .doing(READING)?
        .ok_or_else(|| LedgerError::no_such_run(run))?;
        let source = SourceIdentity { kind: row.source_kind, location: row.source_location };
        rows::run_now(run, row.migration, source, &row.spec, &row.state)
    }

    async fn watched_runs(&self) -> Result<Vec<WatchedRun>> {
        let rows = sqlx::query_as!(
            WatchedRow,
            r#"
            SELECT r.id AS "id!: Uuid", r.spec ->> 'stop_after' AS "stop_after!: String",
                   coalesce(sum(b.failed + b.conflict), 0) - r.failed_before AS "failed!: i64",
                   coalesce(sum(b.source - b.pending), 0) - r.ended_before AS "ended!: i64",
                   coalesce(sum(b.pending), 0) AS "pending!: i64"
            FROM ferry_runs AS r LEFT JOIN ferry_batches AS b ON b.run_id = r.id
            WHERE r.state NOT IN ('sealed', 'cancelled') AND r.state = 'running'
              AND coalesce(r.spec ->> 'stop_after', '{}') <> '{}'
            GROUP BY r.id
            ORDER BY r.id
            "#
        )
        .fetch_all(self.reader())
        .await
        .doing(WATCHING)?;
        rows.into_iter().map(WatchedRow::watched).collect()
    }
}

impl SqliteLedger {
    async fn views(&self, run: Option<RunId>, most: i64) -> Result<Vec<RunView>> {
        let run = run.map(|run| run.0);
        let abandoned = micros(ABANDONED);
        let rows = sqlx::query_as!(
            RunRow,
            r#"
            SELECT r.id AS "id!: Uuid", r.migration AS "migration!: String", r.source_kind AS "source_kind!: String",
                   r.source_location AS "source_location!: String", r.spec AS "spec!: String",
                   r.state AS "state!: String", r.round AS "round!: i32", r.revision AS "revision!: i32",
                   r.rate AS "rate?: String", r.why AS "why?: String",
                   r.state IN ('planning', 'planned')
                       AND r.touched_at <= (SELECT at FROM ferry_now) - ?3 AS "abandoned!: bool",
                   r.created_at AS "created_at!: i64", r.touched_at AS "moved_at!: i64",
                   r.started_at AS "started_at?: i64",
                   r.sealed_at AS "sealed_at?: i64", max(b.provisioned_at) AS "provisioned_at?: i64",
                   coalesce(sum(b.source), 0) AS "source!: i64", coalesce(sum(b.created), 0) AS "created!: i64",
                   coalesce(sum(b.adopted), 0) AS "adopted!: i64", coalesce(sum(b.skipped), 0) AS "skipped!: i64",
                   coalesce(sum(b.conflict), 0) AS "conflict!: i64", coalesce(sum(b.failed), 0) AS "failed!: i64",
                   coalesce(sum(b.cancelled), 0) AS "cancelled!: i64", coalesce(sum(b.pending), 0) AS "pending!: i64",
                   coalesce(sum(b.verified), 0) AS "verified!: i64",
                   coalesce(sum(b.discrepancies), 0) AS "discrepancies!: i64",
                   coalesce(sum(b.requests), 0) AS "requests!: i64",
                   count(b.id) FILTER (WHERE b.state <> 'verified') AS "open_batches!: i64"
            FROM ferry_runs AS r LEFT JOIN ferry_batches AS b ON b.run_id = r.id
            WHERE r.id IN (
                SELECT id FROM ferry_runs WHERE ?1 IS NULL OR id = ?1 ORDER BY created_at DESC, id DESC LIMIT ?2
            )
            GROUP BY r.id
            ORDER BY r.created_at DESC, r.id DESC
            "#,
            run,
            most,
            abandoned
        )
        .fetch_all(self.reader())
        .await
        .doing(READING_RUNS)?;
        rows.into_iter().map(RunRow::view).collect()
    }
}

/// Sources that were moved, with their names, of a file that is only read; none where there
/// is no ledger in it.
///
/// # Errors
/// `Unavailable` when the file can't be read.
pub async fn migrated(path: &Path) -> Result<Vec<Migrated>> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true).disable_statement_logging();
    let mut connection = options.connect().await.doing(READING)?;
    let there = sqlx::query_scalar!(
        r#"SELECT count(*) AS "tables!: i64" FROM sqlite_schema WHERE type = 'table' AND name = 'ferry_runs'"#
    )
    .fetch_one(&mut connection)
    .await
    .doing(READING)?;
    let found = if there > 0 { names(&mut connection).await } else { Ok(Vec::new()) };
    drop(connection.close().await);
    found
}

async fn names(connection: &mut SqliteConnection) -> Result<Vec<Migrated>> {
    let rows = sqlx::query!(
        r#"
        SELECT source_kind AS "kind!: String", source_location AS "location!: String",
               migration AS "migration!: String"
        FROM ferry_runs
        GROUP BY source_kind, source_location, migration
        ORDER BY max(created_at) DESC
        "#
    )
    .fetch_all(connection)
    .await
    .doing(READING)?;
    let migrated = rows.into_iter().map(|row| Migrated {
        source: SourceIdentity { kind: row.kind, location: row.location },
        migration: row.migration,
    });
    Ok(migrated.collect())
}

/// A planner lives: its run is not abandoned.
pub(crate) async fn touch(connection: &mut SqliteConnection, run: RunId) -> Result<()> {
    sqlx::query!("UPDATE ferry_runs SET touched_at = (SELECT at FROM ferry_now) WHERE id = ?1", run.0)
        .execute(connection)
        .await
        .doing(MOVING)?;
    Ok(())
}

#[async_trait]
impl RunSteps for Tx<'_> {
    /// The transaction holds the only write lock. A run that is being removed is not there any more.
    async fn lock(&mut self, run: RunId) -> Result<RunState> {
        let row = sqlx::query!(
            r#"
            SELECT state AS "state!: String", touched_at = 0 AS "removed!: bool" FROM ferry_runs WHERE id = ?1
            "#,
            run.0
        )
        .fetch_optional(&mut *self.0)
        .await
        .doing(READING)?
        .ok_or_else(|| LedgerError::no_such_run(run))?;
        if row.removed {
            return Err(refusals::not_planned_any_more(run));
        }
        words::run_state(run.0, &row.state)
    }

    async fn set_state(&mut self, run: RunId, state: RunState) -> Result<()> {
        let word = state.as_str();
        sqlx::query!(
            "UPDATE ferry_runs SET state = ?2, touched_at = (SELECT at FROM ferry_now) WHERE id = ?1",
            run.0,
            word
        )
        .execute(&mut *self.0)
        .await
        .doing(MOVING)?;
        Ok(())
    }

    async fn set_why(&mut self, run: RunId, why: Option<&str>) -> Result<()> {
        sqlx::query!("UPDATE ferry_runs SET why = ?2 WHERE id = ?1", run.0, why)
            .execute(&mut *self.0)
            .await
            .doing(MOVING)?;
        Ok(())
    }

    async fn count_failures_from_here(&mut self, run: RunId) -> Result<()> {
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
        .execute(&mut *self.0)
        .await
        .doing(WATCHING)?;
        Ok(())
    }

    async fn refuse_second(&mut self, run: RunId) -> Result<()> {
        let other = sqlx::query!(
            r#"
            SELECT other.id AS "id!: Uuid", other.state AS "state!: String"
            FROM ferry_runs AS mine
            JOIN ferry_runs AS other
              ON other.source_kind = mine.source_kind AND other.source_location = mine.source_location
            WHERE mine.id = ?1 AND other.id <> ?1 AND other.state NOT IN ('sealed', 'cancelled')
            "#,
            run.0
        )
        .fetch_optional(&mut *self.0)
        .await
        .doing(READING)?;
        match other {
            None => Ok(()),
            Some(other) => {
                let state = words::run_state(other.id, &other.state)?;
                Err(LedgerError::AnotherRunActive { run: RunId(other.id), state })
            }
        }
    }

    async fn write_audit(&mut self, line: &Line<'_>) -> Result<()> {
        let (run, detail) = (line.run.map(|run| run.0), line.detail.to_string());
        sqlx::query!(
            r#"
            INSERT INTO ferry_audit (at, actor, action, run_id, detail, reason)
            SELECT at, ?1, ?2, ?3, ?4, ?5 FROM ferry_now
            "#,
            line.actor,
            line.action,
            run,
            detail,
            line.reason
        )
        .execute(&mut *self.0)
        .await
        .doing("could not write its audit")?;
        Ok(())
    }
}
