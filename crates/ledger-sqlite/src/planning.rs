//! Planning: a run is opened, filled, and invisible to workers until `start`.

mod changed;
pub(crate) mod migrating;
mod people;
mod remove;
mod settle;

use async_trait::async_trait;
use ferry_domain::{
    Code, ItemSeq, ItemState, NewItem, RunId, SourceKey, WriteBackTarget,
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
use sqlx::SqliteConnection;
use uuid::Uuid;

pub(crate) use settle::{insert_provision_jobs, settle};

use self::changed::COMPARING;
use crate::{
    SqliteLedger, application,
    connection::Tx,
    errors::Doing,
    runs,
    values::{hex, json},
};

const OPENING: &str = "could not open a run";
const ADDING: &str = "could not add items";
const FINISHING: &str = "could not finish a plan";
const STARTING: &str = "could not start a run";
const LOOKING: &str = "could not look at the application's table";
const PREPARING: &str = "could not prepare the application's table";

/// Items in one statement; bounds the JSON that carries them to some megabytes.
const STATEMENT: usize = 1_000;

#[async_trait]
impl Planning for SqliteLedger {
    async fn migrate(&self) -> Result<()> {
        migrating::migrate(self).await
    }

    async fn open_run(&self, run: &NewRun) -> Result<()> {
        self.clear_abandoned(run).await?;
        let mut tx = self.write(OPENING).await?;
        refuse_second(&mut tx, run).await?;
        let spec = json(&run.spec);
        sqlx::query!(
            r#"
            INSERT INTO ferry_runs (id, migration, source_kind, source_location, spec, state, settled_batch,
                                    requested_by, reason, created_at, touched_at)
            SELECT ?1, ?2, ?3, ?4, ?5, 'planning', ?6, ?7, ?8, at, at FROM ferry_now
            "#,
            run.id.0,
            run.migration,
            run.source.kind,
            run.source.location,
            spec,
            run.settled_batch.0,
            run.requested_by,
            run.reason
        )
        .execute(&mut *tx)
        .await
        .doing(OPENING)?;
        Tx(&mut tx).write_audit(&Line::opened(run)).await?;
        tx.commit().await.doing(OPENING)
    }

    async fn add_items(&self, run: RunId, items: &[NewItem]) -> Result<()> {
        let mut tx = self.write(ADDING).await?;
        let state = Tx(&mut tx).lock(run).await?;
        refusals::planning(run, state)?;
        runs::touch(&mut tx, run).await?;
        for part in items.chunks(STATEMENT) {
            insert_items(&mut tx, run, part).await?;
        }
        tx.commit().await.doing(ADDING)
    }

    async fn keep(&self, run: RunId) -> Result<()> {
        sqlx::query!(
            r#"
            UPDATE ferry_runs SET touched_at = (SELECT at FROM ferry_now)
            WHERE id = ?1 AND state IN ('planning', 'planned') AND touched_at > 0
            "#,
            run.0
        )
        .execute(self.writer())
        .await
        .doing("could not keep a plan")?;
        Ok(())
    }

    async fn finish_planning(&self, run: RunId, earlier: &[RunId]) -> Result<Planned> {
        let of = self.run_now(run).await?;
        let mut tx = self.write(FINISHING).await?;
        scripts::advance(&mut Tx(&mut tx), run, RunMove::Plan).await?;
        let planned = settle(&mut tx, run, earlier).await?;
        scripts::settle_known(&mut Tx(&mut tx), run, &of, earlier).await?;
        tx.commit().await.doing(FINISHING)?;
        Ok(planned)
    }

    async fn moved_users(&self, run: RunId, after: ItemSeq, most: i64) -> Result<Vec<MovedUser>> {
        let mut connection = self.reader().acquire().await.doing(COMPARING)?;
        let rows = changed::moved_users(&mut connection, run, after, most).await?;
        Ok(rows.into_iter().map(MovedUserRow::user).collect())
    }

    async fn moved_otherwise(&self, earlier: RunId, users: &[MovedUser]) -> Result<Vec<MovedOtherwise>> {
        let mut connection = self.reader().acquire().await.doing(COMPARING)?;
        let rows = changed::moved_otherwise(&mut connection, earlier, users).await?;
        rows.into_iter().map(|row| row.user(earlier)).collect()
    }

    async fn moved_of(&self, earlier: RunId, users: &[Addressed]) -> Result<Overlap> {
        let mut connection = self.reader().acquire().await.doing(COMPARING)?;
        people::moved_of(&mut connection, earlier, users).await
    }

    async fn moved_keys(&self, run: RunId, after: ItemSeq, most: i64) -> Result<Vec<(ItemSeq, SourceKey)>> {
        let mut connection = self.reader().acquire().await.doing(COMPARING)?;
        people::moved_keys(&mut connection, run, after, most).await
    }

    async fn settle_changed(&self, run: RunId, then: &[(ItemSeq, MovedAs)]) -> Result<()> {
        let mut tx = self.write(COMPARING).await?;
        let state = Tx(&mut tx).lock(run).await?;
        refusals::planning(run, state)?;
        scripts::settle_given(&mut Tx(&mut tx), run, then).await?;
        tx.commit().await.doing(COMPARING)
    }

    async fn start(&self, run: RunId, command: &Command<'_>) -> Result<()> {
        let mut tx = self.write(STARTING).await?;
        scripts::advance(&mut Tx(&mut tx), run, RunMove::Start).await?;
        sqlx::query!("UPDATE ferry_runs SET started_at = (SELECT at FROM ferry_now) WHERE id = ?1", run.0)
            .execute(&mut *tx)
            .await
            .doing(STARTING)?;
        Tx(&mut tx).count_failures_from_here(run).await?;
        Tx(&mut tx).write_audit(&Line::started(run, command)).await?;
        tx.commit().await.doing(STARTING)
    }

    async fn abandon(&self, run: RunId, command: &Command<'_>) -> Result<()> {
        remove::begin(self, run, command).await?;
        remove::finish(self, run).await
    }

    async fn prepare_application(&self, target: &WriteBackTarget) -> Result<bool> {
        if let Some(application) = self.apart().any() {
            return application.prepare(target).await;
        }
        let mut tx = self.write(PREPARING).await?;
        let changed = application::prepare(&mut tx, target).await?;
        tx.commit().await.doing(PREPARING)?;
        Ok(changed)
    }

    async fn application_table(&self, target: &WriteBackTarget) -> Result<AppTable> {
        if let Some(application) = self.apart().any() {
            return application.table(target).await;
        }
        let mut connection = self.reader().acquire().await.doing(LOOKING)?;
        Ok(application::look_closely(&mut connection, target).await?.table)
    }

    async fn application_schema(&self, target: &WriteBackTarget, names: &[&str]) -> Result<AppSchema> {
        if let Some(application) = self.apart().any() {
            return application.schema(target, names).await;
        }
        let mut connection = self.reader().acquire().await.doing(LOOKING)?;
        application::schema(&mut connection, target, names).await
    }

    async fn remarks(&self) -> Result<Vec<Finding>> {
        Ok(Vec::new())
    }
}

impl SqliteLedger {
    async fn clear_abandoned(&self, run: &NewRun) -> Result<()> {
        let command = run.command();
        let since = i64::try_from(ABANDONED.as_micros()).unwrap_or(i64::MAX);
        let abandoned = sqlx::query!(
            r#"
            SELECT id AS "id!: Uuid", touched_at = 0 AS "in_removal!: bool" FROM ferry_runs
            WHERE source_kind = ?1 AND source_location = ?2 AND state IN ('planning', 'planned')
              AND touched_at <= (SELECT at FROM ferry_now) - ?3
            "#,
            run.source.kind,
            run.source.location,
            since
        )
        .fetch_optional(self.writer())
        .await
        .doing(OPENING)?;
        match abandoned {
            // A removal that a crash broke off goes on where it was.
            Some(run) if run.in_removal => remove::finish(self, RunId(run.id)).await,
            Some(run) => self.abandon(RunId(run.id), &command).await,
            None => Ok(()),
        }
    }
}

async fn refuse_second(connection: &mut SqliteConnection, run: &NewRun) -> Result<()> {
    let other = sqlx::query!(
        r#"
        SELECT id AS "id!: Uuid", state AS "state!: String" FROM ferry_runs
        WHERE source_kind = ?1 AND source_location = ?2 AND state NOT IN ('sealed', 'cancelled')
        "#,
        run.source.kind,
        run.source.location
    )
    .fetch_optional(connection)
    .await
    .doing(OPENING)?;
    match other {
        Some(other) => {
            let state = words::run_state(other.id, &other.state)?;
            Err(LedgerError::AnotherRunActive { run: RunId(other.id), state })
        }
        None => Ok(()),
    }
}

async fn insert_items(connection: &mut SqliteConnection, run: RunId, items: &[NewItem]) -> Result<()> {
    let rows: Vec<_> = items
        .iter()
        .map(|item| {
            let settled = item.settled.as_ref();
            (
                item.seq.0,
                hex(item.batch.0),
                &item.key.0,
                &item.origin.place,
                item.origin.line,
                item.record.as_ref().map(|record| record.email.expose()),
                item.record.as_ref(),
                &item.digest,
                settled.map_or(ItemState::Pending, |outcome| outcome.state).as_str(),
                settled.and_then(|outcome| outcome.code).map(Code::as_str),
                settled.and_then(|outcome| outcome.field.as_deref()),
                settled.and_then(|outcome| outcome.auth0_user_id.as_ref()),
            )
        })
        .collect();
    let rows = json(&rows);
    sqlx::query!(
        r#"
        INSERT INTO ferry_items (run_id, seq, batch_id, key, place, line, email, record, digest, state, code,
                                 field, auth0_user_id)
        SELECT ?1, value ->> 0, unhex(value ->> 1), value ->> 2, value ->> 3, value ->> 4, value ->> 5,
               value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11
        FROM jsonb_each(?2)
        "#,
        run.0,
        rows
    )
    .execute(connection)
    .await
    .doing(ADDING)?;
    Ok(())
}
