//! Planning: a run is opened, filled by COPY, and invisible to workers until `start`.

mod changed;
mod migrating;
mod people;
mod remove;
mod settle;

use async_trait::async_trait;
use ferry_domain::{
    ItemSeq, NewItem, RunId, SourceKey, WriteBackTarget,
    app_schema::AppSchema,
    application::{AppTable, Finding},
    migration::people::Overlap,
    ports::{
        ABANDONED, Addressed, Command, LedgerError, MovedAs, MovedOtherwise, MovedUser, NewRun, Planned,
        Planning, Runs,
    },
    run::RunMove,
};
use ferry_ledger::{Result, audit::Line, refusals, rows::MovedUserRow, scripts, steps::RunSteps, words};
use serde_json::json;
use sqlx::{Connection, PgConnection, query, query_scalar};

pub(crate) use settle::settle;

use crate::{
    PostgresLedger, application,
    copy::{self, Rows},
    errors::Tried,
    runs,
    transaction::Tx,
};

/// COPY data is sent in pieces of about this many bytes: the server works on one while the next is made.
const PIECE: usize = 64 << 10;

#[async_trait]
impl Planning for PostgresLedger {
    async fn migrate(&self) -> Result<()> {
        // sqlx's advisory lock belongs to the connection and survives an error, so the
        // connection is one of its own. Waiting for the lock may take long.
        let connected = PgConnection::connect_with(&self.pool.connect_options()).await;
        let mut connection = connected.map_err(self.sql_failed("could not be migrated"))?;
        let migrated = migrating::migrate(&mut connection).await;
        drop(connection.close().await);
        migrated
    }

    async fn open_run(&self, run: &NewRun) -> Result<()> {
        self.trying("could not open a run", || async {
            let mut tx = self.begin_long().await?;
            clear_abandoned(&mut tx, run).await?;
            insert_run(&mut tx, run).await?;
            Tx(&mut tx).write_audit(&Line::opened(run)).await?;
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    async fn add_items(&self, run: RunId, items: &[NewItem]) -> Result<()> {
        self.trying("could not take items", || async {
            let mut tx = self.begin().await?;
            let state = Tx(&mut tx).lock(run).await?;
            refusals::planning(run, state)?;
            runs::touch(&mut tx, run).await?;
            copy_items(&mut tx, run, items).await?;
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    async fn keep(&self, run: RunId) -> Result<()> {
        query!(
            r#"
            UPDATE ferry.runs SET touched_at = clock_timestamp()
            WHERE id = $1 AND state IN ('planning', 'planned')
            "#,
            run.0
        )
        .execute(&self.pool)
        .await
        .map_err(self.sql_failed("could not keep a plan"))?;
        Ok(())
    }

    async fn finish_planning(&self, run: RunId, earlier: &[RunId]) -> Result<Planned> {
        let of = self.run_now(run).await?;
        let planned = self
            .trying("could not finish planning", || async {
                let mut tx = self.begin_long().await?;
                scripts::advance(&mut Tx(&mut tx), run, RunMove::Plan).await?;
                let planned = settle(&mut tx, run, earlier).await?;
                scripts::settle_known(&mut Tx(&mut tx), run, &of, earlier).await?;
                tx.commit().await?;
                Ok(planned)
            })
            .await?;
        self.make_statistics().await;
        Ok(planned)
    }

    async fn moved_users(&self, run: RunId, after: ItemSeq, most: i64) -> Result<Vec<MovedUser>> {
        let failed = self.failed("could not read who has an id");
        let mut connection = self.pool.acquire().await.map_err(|error| failed(error.into()))?;
        let rows = changed::moved_users(&mut connection, run, after, most).await.map_err(failed)?;
        Ok(rows.into_iter().map(MovedUserRow::user).collect())
    }

    async fn moved_otherwise(&self, earlier: RunId, users: &[MovedUser]) -> Result<Vec<MovedOtherwise>> {
        let rows = self
            .trying("could not compare users with an earlier run", || async {
                let mut tx = self.begin_long().await?;
                changed::moved_otherwise(&mut tx, earlier, users).await
            })
            .await?;
        rows.into_iter().map(|row| row.user(earlier)).collect()
    }

    async fn moved_of(&self, earlier: RunId, users: &[Addressed]) -> Result<Overlap> {
        self.trying("could not compare users with an earlier run", || async {
            let mut tx = self.begin_long().await?;
            people::moved_of(&mut tx, earlier, users).await
        })
        .await
    }

    async fn moved_keys(&self, run: RunId, after: ItemSeq, most: i64) -> Result<Vec<(ItemSeq, SourceKey)>> {
        let failed = self.failed("could not read who was moved");
        let mut connection = self.pool.acquire().await.map_err(|error| failed(error.into()))?;
        people::moved_keys(&mut connection, run, after, most).await.map_err(failed)
    }

    async fn settle_changed(&self, run: RunId, then: &[(ItemSeq, MovedAs)]) -> Result<()> {
        self.trying("could not settle who changed", || async {
            let mut tx = self.begin().await?;
            let state = Tx(&mut tx).lock(run).await?;
            refusals::planning(run, state)?;
            scripts::settle_given(&mut Tx(&mut tx), run, then).await?;
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    async fn start(&self, run: RunId, command: &Command<'_>) -> Result<()> {
        self.trying("could not start a run", || async {
            let mut tx = self.begin().await?;
            scripts::advance(&mut Tx(&mut tx), run, RunMove::Start).await?;
            query!("UPDATE ferry.runs SET started_at = clock_timestamp() WHERE id = $1", run.0)
                .execute(&mut *tx)
                .await?;
            Tx(&mut tx).count_failures_from_here(run).await?;
            Tx(&mut tx).write_audit(&Line::started(run, command)).await?;
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    async fn abandon(&self, run: RunId, command: &Command<'_>) -> Result<()> {
        self.trying("could not abandon a run", || async {
            let mut tx = self.begin_long().await?;
            let state = Tx(&mut tx).lock(run).await?;
            refusals::unsent(run, state)?;
            remove::remove(&mut tx, run).await?;
            Tx(&mut tx).write_audit(&Line::not_started(run, command)).await?;
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    async fn prepare_application(&self, target: &WriteBackTarget) -> Result<bool> {
        if let Some(application) = self.apart.any() {
            return application.prepare(target).await;
        }
        let failed = self.failed("could not prepare the application's table");
        // A connection of its own: settings and the lock end with it, whatever happens.
        let connected = PgConnection::connect_with(&self.pool.connect_options()).await;
        let mut connection = connected.map_err(|error| failed(error.into()))?;
        let changed = application::prepare(&mut connection, target).await;
        drop(connection.close().await);
        changed.map_err(failed)
    }

    async fn application_table(&self, target: &WriteBackTarget) -> Result<AppTable> {
        if let Some(application) = self.apart.any() {
            return application.table(target).await;
        }
        let failed = self.failed("could not look at the application's table");
        // Who looks at a run does not wait for the application's locks.
        let mut connection = self.begin().await.map_err(&failed)?;
        let found = application::look(&mut connection, target).await;
        found.map(|found| found.table).map_err(failed)
    }

    async fn application_schema(&self, target: &WriteBackTarget, names: &[&str]) -> Result<AppSchema> {
        if let Some(application) = self.apart.any() {
            return application.schema(target, names).await;
        }
        let failed = self.failed("could not look at the application's database");
        let mut connection = self.pool.acquire().await.map_err(|error| failed(error.into()))?;
        application::schema(&mut connection, target, names).await.map_err(failed)
    }

    async fn remarks(&self) -> Result<Vec<Finding>> {
        migrating::remarks(&self.pool).await.map_err(self.sql_failed("could not be looked at"))
    }
}

/// A row that is locked belongs to a process that is at work on it.
async fn clear_abandoned(connection: &mut PgConnection, run: &NewRun) -> Tried<()> {
    let abandoned = query_scalar!(
        r#"
        SELECT id FROM ferry.runs
        WHERE source_kind = $1 AND source_location = $2 AND state IN ('planning', 'planned')
          AND touched_at < clock_timestamp() - make_interval(secs => $3)
        FOR UPDATE SKIP LOCKED
        "#,
        run.source.kind,
        run.source.location,
        ABANDONED.as_secs_f64(),
    )
    .fetch_all(&mut *connection)
    .await?;
    for id in abandoned {
        remove::remove(connection, RunId(id)).await?;
        Tx(connection).write_audit(&Line::not_started(RunId(id), &run.command())).await?;
    }
    Ok(())
}

async fn insert_run(connection: &mut PgConnection, run: &NewRun) -> Tried<()> {
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
        json!(run.spec),
        run.settled_batch.0,
        run.requested_by,
        run.reason,
    )
    .execute(&mut *connection)
    .await?;
    if opened.rows_affected() > 0 {
        return Ok(());
    }
    Err(other_active(connection, run).await?.into())
}

async fn other_active(connection: &mut PgConnection, run: &NewRun) -> Tried<LedgerError> {
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
            state: words::run_state(other.id, &other.state)?,
        },
        None => LedgerError::Busy, // it ended just now
    })
}

async fn copy_items(connection: &mut PgConnection, run: RunId, items: &[NewItem]) -> Tried<()> {
    let mut rows = Rows::of(run.0);
    let mut copy = connection.copy_in_raw(copy::STATEMENT).await?;
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
    Ok(())
}
