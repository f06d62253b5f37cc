//! Runs: read for people and workers, locked and advanced for everybody who moves one.

use async_trait::async_trait;
use ferry_domain::{
    RunId, RunState, RunView,
    ports::{LedgerError, RunNow, Runs, WatchedRun},
    run::RunMove,
    threshold,
};
use ferry_ledger::{Result, rows, words};
use sqlx::{PgConnection, query, query_as, query_scalar};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{PostgresLedger, errors::Tried};

type RunRow = rows::RunRow<OffsetDateTime>;

#[async_trait]
impl Runs for PostgresLedger {
    async fn run(&self, run: RunId) -> Result<Option<RunView>> {
        Ok(self.views(Some(run.0), 1).await?.pop())
    }

    async fn runs(&self, most: i64) -> Result<Vec<RunView>> {
        self.views(None, most).await
    }

    async fn run_now(&self, run: RunId) -> Result<RunNow> {
        let row =
            query!(r#"SELECT migration, spec::text AS "spec!", state FROM ferry.runs WHERE id = $1"#, run.0)
                .fetch_optional(&self.pool)
                .await
                .map_err(self.sql_failed("could not read a run"))?
                .ok_or_else(|| LedgerError::no_such_run(run))?;
        rows::run_now(run, row.migration, &row.spec, &row.state)
    }

    async fn watched_runs(&self) -> Result<Vec<WatchedRun>> {
        let rows = query!(
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
        rows.into_iter()
            .map(|row| {
                Ok(WatchedRun {
                    run: RunId(row.id),
                    limits: words::stop_after(row.id, &row.stop_after)?,
                    tally: threshold::since(row.failed, row.ended, row.pending),
                })
            })
            .collect()
    }
}

impl PostgresLedger {
    async fn views(&self, only: Option<Uuid>, most: i64) -> Result<Vec<RunView>> {
        let rows = query_as!(
            RunRow,
            r#"
            SELECT run.id, run.migration, run.source_kind, run.source_location, run.spec::text AS "spec!",
                   run.state, run.round, run.revision, run.rate, run.why, run.created_at, run.started_at, run.sealed_at,
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
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not read runs"))?;
        rows.into_iter().map(RunRow::view).collect()
    }
}

/// Locks a run, so that its state and its batches stay as they are read next. `NO KEY`,
/// because inserting a job takes a key share of its run.
pub(crate) async fn lock(connection: &mut PgConnection, run: RunId) -> Tried<RunState> {
    let state = query_scalar!("SELECT state FROM ferry.runs WHERE id = $1 FOR NO KEY UPDATE", run.0)
        .fetch_optional(connection)
        .await?
        .ok_or_else(|| LedgerError::no_such_run(run))?;
    Ok(words::run_state(run.0, &state)?)
}

/// Moves a run as the domain allows; refuses a move that its state doesn't have.
pub(crate) async fn advance(connection: &mut PgConnection, run: RunId, step: RunMove) -> Tried<RunState> {
    let before = lock(connection, run).await?;
    let after = before.after(step).ok_or_else(|| LedgerError::no_such_move(run, before, step))?;
    set_state(connection, run, after, None).await?;
    Ok(after)
}

/// Writes the state of a locked run, and why it is paused or stopped.
pub(crate) async fn set_state(
    connection: &mut PgConnection,
    run: RunId,
    state: RunState,
    why: Option<&str>,
) -> Tried<()> {
    query!(
        "UPDATE ferry.runs SET state = $2, why = $3, touched_at = clock_timestamp() WHERE id = $1",
        run.0,
        state.as_str(),
        why,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A planner lives: its run is not abandoned.
pub(crate) async fn touch(connection: &mut PgConnection, run: RunId) -> Tried<()> {
    query!("UPDATE ferry.runs SET touched_at = clock_timestamp() WHERE id = $1", run.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// Limits on failures count from now on: a person has seen what failed before.
pub(crate) async fn count_failures_from_here(connection: &mut PgConnection, run: RunId) -> Tried<()> {
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
    .execute(connection)
    .await?;
    Ok(())
}

/// One active run of a source holds for runs that come back as well.
pub(crate) async fn refuse_second(connection: &mut PgConnection, run: RunId) -> Tried<()> {
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
    .fetch_optional(connection)
    .await?;
    match other {
        None => Ok(()),
        Some(other) => {
            let state = words::run_state(other.id, &other.state)?;
            Err(LedgerError::AnotherRunActive { run: RunId(other.id), state }.into())
        }
    }
}
