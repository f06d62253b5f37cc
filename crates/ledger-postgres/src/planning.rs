//! What the planner asks. A run is invisible to workers until `start`.

use std::time::Duration;

use async_trait::async_trait;
use ferry_domain::{
    NewItem, RunId, WriteBackTarget,
    ports::{LedgerError, NewRun, Planned, Planning},
};
use serde_json::json;
use sqlx::{Connection, PgConnection, query, query_scalar};

use crate::{
    PostgresLedger, application,
    copy::{self, Rows},
    errors::{self, Fault},
    finishing, rows,
};

type Result<T> = std::result::Result<T, LedgerError>;

/// A planning that wrote nothing for this long was left behind by its process.
const ABANDONED: Duration = Duration::from_secs(60);
/// COPY data is sent in pieces of about this many bytes.
const PIECE: usize = 1 << 20;

#[async_trait]
impl Planning for PostgresLedger {
    async fn migrate(&self) -> Result<()> {
        // sqlx's advisory lock belongs to the connection and survives an error, so the
        // connection is one of its own. Waiting for the lock may take long.
        let connected = PgConnection::connect_with(&self.pool.connect_options()).await;
        let mut connection = connected.map_err(self.sql_failed("could not be migrated"))?;
        let migrated =
            sqlx::migrate!("../../migrations/postgres").run_direct(None, &mut connection, false).await;
        drop(connection.close().await);
        migrated.map_err(|error| LedgerError::Unavailable {
            doing: "could not be migrated",
            reason: migration_reason(&error),
            passes: false,
        })
    }

    async fn open_run(&self, run: &NewRun) -> Result<()> {
        self.open(run).await.map_err(self.failed("could not open a run"))
    }

    async fn add_items(&self, run: RunId, items: &[NewItem]) -> Result<()> {
        self.copy_items(run, items).await.map_err(self.failed("could not take items"))
    }

    async fn finish_planning(&self, run: RunId) -> Result<Planned> {
        self.plan(run).await.map_err(self.failed("could not finish planning"))
    }

    async fn start(&self, run: RunId) -> Result<()> {
        let started = query!(
            r#"
            UPDATE ferry.runs
            SET state = 'running', started_at = clock_timestamp(), failed_before = sums.failed,
                ended_before = sums.ended
            FROM (
                SELECT coalesce(sum(failed + conflict), 0)::bigint AS failed,
                       coalesce(sum(source - pending), 0)::bigint AS ended
                FROM ferry.batches WHERE run_id = $1
            ) AS sums
            WHERE id = $1 AND state = 'planned'
            "#,
            run.0
        )
        .execute(&self.pool)
        .await
        .map_err(self.sql_failed("could not start a run"))?;
        match started.rows_affected() {
            0 => Err(self.not_so(run, "only a planned run is started").await),
            _ => Ok(()),
        }
    }

    async fn abandon(&self, run: RunId) -> Result<()> {
        self.remove(run).await.map_err(self.failed("could not abandon a run"))
    }

    async fn prepare_application(&self, target: &WriteBackTarget) -> Result<bool> {
        self.prepare_target(target).await
    }

    async fn check_application(&self, target: &WriteBackTarget) -> Result<()> {
        let failed = self.sql_failed("could not look at the application's table");
        let mut connection = self.pool.acquire().await.map_err(&failed)?;
        let table = application::look_up(&mut connection, target).await.map_err(&failed)?;
        application::update_statement(target, table.as_ref()).map(drop)
    }
}

impl PostgresLedger {
    async fn open(&self, run: &NewRun) -> std::result::Result<(), Fault> {
        let mut tx = self.begin_long().await?;
        let abandoned = query_scalar!(
            r#"
            SELECT id FROM ferry.runs
            WHERE source_kind = $1 AND source_location = $2 AND state = 'planning'
              AND touched_at < clock_timestamp() - make_interval(secs => $3)
            FOR UPDATE
            "#,
            run.source.kind,
            run.source.location,
            ABANDONED.as_secs_f64(),
        )
        .fetch_all(&mut *tx)
        .await?;
        for id in abandoned {
            delete_run(&mut tx, id).await?;
        }
        let spec = json!(run.spec);
        let opened = query!(
            r#"
            INSERT INTO ferry.runs (id, migration, source_kind, source_location, spec, state, settled_batch,
                                    requested_by, reason)
            VALUES ($1, $2, $3, $4, $5, 'planning', $6, $7, $8)
            ON CONFLICT (source_kind, source_location) WHERE state NOT IN ('sealed', 'cancelled') DO NOTHING
            "#,
            run.id.0,
            run.migration,
            run.source.kind,
            run.source.location,
            spec,
            run.settled_batch.0,
            run.requested_by,
            run.reason,
        )
        .execute(&mut *tx)
        .await?;
        if opened.rows_affected() == 0 {
            return Err(other_active(&mut tx, run).await?.into());
        }
        let detail = json!({ "migration": run.migration, "source": run.source.to_string() });
        audit(&mut tx, &run.requested_by, "open_run", run.id, &detail, run.reason.as_deref()).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn copy_items(&self, run: RunId, items: &[NewItem]) -> std::result::Result<(), Fault> {
        let mut tx = self.begin().await?;
        let planning = query!(
            r#"
            UPDATE ferry.runs SET touched_at = clock_timestamp()
            WHERE id = $1 AND state = 'planning'
            "#,
            run.0
        )
        .execute(&mut *tx)
        .await?;
        if planning.rows_affected() == 0 {
            drop(tx); // the answer needs a connection too
            return Err(self.not_so(run, "items are taken while it is planning").await.into());
        }
        let mut rows = Rows::of(run.0);
        let mut copy = tx.copy_in_raw(copy::STATEMENT).await?;
        for item in items {
            if let Err(refused) = rows.push(item) {
                copy.abort("refused").await?;
                return Err(refused.into());
            }
            if rows.len() >= PIECE {
                copy.send(rows.take()).await?;
            }
        }
        copy.send(rows.take()).await?;
        copy.finish().await?;
        tx.commit().await?;
        Ok(())
    }

    async fn plan(&self, run: RunId) -> std::result::Result<Planned, Fault> {
        let mut tx = self.begin_long().await?;
        let settled_batch = query_scalar!(
            r#"
            UPDATE ferry.runs SET state = 'planned', touched_at = clock_timestamp()
            WHERE id = $1 AND state = 'planning'
            RETURNING settled_batch
            "#,
            run.0
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(settled_batch) = settled_batch else {
            drop(tx);
            return Err(self.not_so(run, "planning ends once").await.into());
        };
        let planned = finishing::finish(&mut tx, run.0, settled_batch).await?;
        tx.commit().await?;
        Ok(planned)
    }

    async fn remove(&self, run: RunId) -> std::result::Result<(), Fault> {
        let mut tx = self.begin_long().await?;
        let found = query_scalar!(
            "SELECT id FROM ferry.runs WHERE id = $1 AND state IN ('planning', 'planned') FOR UPDATE",
            run.0
        )
        .fetch_optional(&mut *tx)
        .await?;
        if found.is_none() {
            drop(tx);
            return Err(self.not_so(run, "only a run that has not started is abandoned").await.into());
        }
        delete_run(&mut tx, run.0).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Why a move was refused.
    pub(crate) async fn not_so(&self, run: RunId, rule: &str) -> LedgerError {
        let state = query_scalar!("SELECT state FROM ferry.runs WHERE id = $1", run.0);
        match state.fetch_optional(&self.pool).await {
            Ok(Some(state)) => LedgerError::Refused(format!("run {run} is {state}: {rule}")),
            Ok(None) => LedgerError::Refused(format!("there is no run {run}")),
            Err(error) => self.sql_failed("could not read a run")(error),
        }
    }
}

fn migration_reason(error: &sqlx::migrate::MigrateError) -> String {
    use sqlx::migrate::MigrateError;
    match error {
        MigrateError::Execute(cause) => errors::reason(cause),
        MigrateError::ExecuteMigration(cause, number) => {
            format!("migration {number} failed: {}", errors::reason(cause))
        }
        MigrateError::VersionMissing(number) => {
            format!("migration {number} ran already and is unknown here: use the newer version of Ferry")
        }
        MigrateError::VersionMismatch(number) => {
            format!("migration {number} ran already in another wording: use the version of Ferry that ran it")
        }
        _ => "a migration was interrupted: look at ferry._migrations".to_owned(),
    }
}

async fn other_active(
    connection: &mut PgConnection,
    run: &NewRun,
) -> std::result::Result<LedgerError, Fault> {
    let other = query!(
        r#"
        SELECT id, state FROM ferry.runs
        WHERE source_kind = $1 AND source_location = $2 AND state NOT IN ('sealed', 'cancelled')
        "#,
        run.source.kind,
        run.source.location,
    )
    .fetch_optional(connection)
    .await?;
    Ok(match other {
        Some(other) => LedgerError::AnotherRunActive {
            run: RunId(other.id),
            state: rows::run_state(other.id, &other.state)?,
        },
        None => LedgerError::Busy, // it ended just now
    })
}

pub(crate) async fn audit(
    connection: &mut PgConnection,
    actor: &str,
    action: &str,
    run: impl Into<Option<RunId>>,
    detail: &serde_json::Value,
    reason: Option<&str>,
) -> std::result::Result<(), Fault> {
    query!(
        "INSERT INTO ferry.audit (actor, action, run_id, detail, reason) VALUES ($1, $2, $3, $4, $5)",
        actor,
        action,
        run.into().map(|run| run.0),
        detail,
        reason,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn delete_run(connection: &mut PgConnection, run: uuid::Uuid) -> std::result::Result<(), Fault> {
    query!("DELETE FROM ferry.jobs WHERE run_id = $1", run).execute(&mut *connection).await?;
    query!("DELETE FROM ferry.batches WHERE run_id = $1", run).execute(&mut *connection).await?;
    query!("DELETE FROM ferry.items WHERE run_id = $1", run).execute(&mut *connection).await?;
    query!("DELETE FROM ferry.runs WHERE id = $1", run).execute(&mut *connection).await?;
    Ok(())
}
