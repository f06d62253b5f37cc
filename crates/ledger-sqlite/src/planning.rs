//! What the planner asks.

use async_trait::async_trait;
use ferry_domain::{
    BatchId, Code, ItemState, NewItem, RunId, Tally, WriteBackTarget,
    ports::{LedgerError, NewRun, Planned, Planning},
    run::RunMove,
};
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::{
    SqliteLedger, application,
    errors::{Doing, Result},
    fence::move_run,
    rows::{hex, json, run_state, state_and_code},
};

const MIGRATING: &str = "could not be brought up to date";
const OPENING: &str = "could not open a run";
const ADDING: &str = "could not add items";
const FINISHING: &str = "could not finish a plan";
const STARTING: &str = "could not start a run";

/// A planning without a chunk for so long is abandoned: 60 s, in microseconds.
const ABANDONED_AFTER: i64 = 60_000_000;
/// Items in one statement; bounds the JSON that carries them to some megabytes.
const STATEMENT: usize = 1_000;

#[async_trait]
impl Planning for SqliteLedger {
    async fn migrate(&self) -> Result<()> {
        let migrator = sqlx::migrate!("../../migrations/sqlite");
        // Of two at once, the second finds the first's tables there; when it
        // looks again, they are listed as done.
        if migrator.run(self.writer()).await.is_ok() {
            return Ok(());
        }
        migrator.run(self.writer()).await.map_err(|error| match error {
            sqlx::migrate::MigrateError::Execute(error) => {
                Err::<(), _>(error).doing(MIGRATING).err().unwrap_or(LedgerError::Busy)
            }
            other => LedgerError::Unavailable { doing: MIGRATING, reason: other.to_string() },
        })
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
        audit(&mut tx, &run.requested_by, "open_run", run.id, "{}", run.reason.as_deref()).await?;
        tx.commit().await.doing(OPENING)
    }

    async fn add_items(&self, run: RunId, items: &[NewItem]) -> Result<()> {
        let mut tx = self.write(ADDING).await?;
        let touched = sqlx::query!(
            r#"
            UPDATE ferry_runs SET touched_at = (SELECT at FROM ferry_now)
            WHERE id = ?1 AND state = 'planning' AND touched_at > 0
            "#,
            run.0
        )
        .execute(&mut *tx)
        .await
        .doing(ADDING)?;
        if touched.rows_affected() == 0 {
            return Err(LedgerError::Refused(format!("run {run} is not being planned; plan it anew")));
        }
        for part in items.chunks(STATEMENT) {
            insert_items(&mut tx, run, part).await?;
        }
        tx.commit().await.doing(ADDING)
    }

    async fn finish_planning(&self, run: RunId) -> Result<Planned> {
        let mut tx = self.write(FINISHING).await?;
        move_run(&mut tx, run, RunMove::Plan).await?;
        let settled = settled_batch(&mut tx, run).await?;
        settle_duplicates(&mut tx, run, settled).await?;
        insert_batches(&mut tx, run, settled).await?;
        let planned = summary(&mut tx, run, settled).await?;
        tx.commit().await.doing(FINISHING)?;
        Ok(planned)
    }

    async fn start(&self, run: RunId) -> Result<()> {
        let mut tx = self.write(STARTING).await?;
        move_run(&mut tx, run, RunMove::Start).await?;
        sqlx::query!("UPDATE ferry_runs SET started_at = (SELECT at FROM ferry_now) WHERE id = ?1", run.0)
            .execute(&mut *tx)
            .await
            .doing(STARTING)?;
        tx.commit().await.doing(STARTING)
    }

    async fn abandon(&self, run: RunId) -> Result<()> {
        self.remove_unsent(run).await
    }

    async fn prepare_application(&self, target: &WriteBackTarget) -> Result<bool> {
        let mut tx = self.write("could not prepare the application's table").await?;
        let changed = application::prepare(&mut tx, target).await?;
        tx.commit().await.doing("could not prepare the application's table")?;
        Ok(changed)
    }

    async fn check_application(&self, target: &WriteBackTarget) -> Result<()> {
        let mut connection =
            self.reader().acquire().await.doing("could not look at the application's table")?;
        application::look(&mut connection, target).await?.with_id_column(target).map(drop)
    }
}

impl SqliteLedger {
    async fn clear_abandoned(&self, run: &NewRun) -> Result<()> {
        let abandoned = sqlx::query_scalar!(
            r#"
            UPDATE ferry_runs SET touched_at = 0
            WHERE source_kind = ?1 AND source_location = ?2 AND state = 'planning'
              AND touched_at <= (SELECT at FROM ferry_now) - ?3
            RETURNING id AS "id!: Uuid"
            "#,
            run.source.kind,
            run.source.location,
            ABANDONED_AFTER
        )
        .fetch_optional(self.writer())
        .await
        .doing(OPENING)?;
        match abandoned {
            Some(id) => self.finish_removal(RunId(id)).await,
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
        Some(row) => {
            Err(LedgerError::AnotherRunActive { run: RunId(row.id), state: run_state(&row.state, row.id)? })
        }
        None => Ok(()),
    }
}

/// Writes down who did what.
pub(crate) async fn audit(
    connection: &mut SqliteConnection,
    actor: &str,
    action: &str,
    run: RunId,
    detail: &str,
    reason: Option<&str>,
) -> Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO ferry_audit (at, actor, action, run_id, detail, reason)
        SELECT at, ?1, ?2, ?3, ?4, ?5 FROM ferry_now
        "#,
        actor,
        action,
        run.0,
        detail,
        reason
    )
    .execute(connection)
    .await
    .doing("could not write its audit")?;
    Ok(())
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
        FROM json_each(?2)
        "#,
        run.0,
        rows
    )
    .execute(connection)
    .await
    .doing(ADDING)?;
    Ok(())
}

async fn settled_batch(connection: &mut SqliteConnection, run: RunId) -> Result<BatchId> {
    sqlx::query_scalar!(
        r#"
        UPDATE ferry_runs SET touched_at = (SELECT at FROM ferry_now) WHERE id = ?1 AND touched_at > 0
        RETURNING settled_batch AS "id!: Uuid"
        "#,
        run.0
    )
    .fetch_optional(connection)
    .await
    .doing(FINISHING)?
    .map(BatchId)
    .ok_or_else(|| {
        LedgerError::Refused(format!("run {run} was abandoned and is being removed; plan it anew"))
    })
}

/// All but the first of equal keys, then all but the first of equal addresses
/// among those left. An item that a rule settled keeps its own reason.
async fn settle_duplicates(connection: &mut SqliteConnection, run: RunId, settled: BatchId) -> Result<()> {
    sqlx::query!(
        r#"
        UPDATE ferry_items SET state = 'failed', code = 'DUPLICATE_KEY', batch_id = ?2
        FROM (
            SELECT seq AS later, row_number() OVER (PARTITION BY key ORDER BY seq) AS nth
            FROM ferry_items WHERE run_id = ?1
        )
        WHERE run_id = ?1 AND seq = later AND nth > 1 AND state = 'pending'
        "#,
        run.0,
        settled.0
    )
    .execute(&mut *connection)
    .await
    .doing(FINISHING)?;
    sqlx::query!(
        r#"
        UPDATE ferry_items SET state = 'failed', code = 'DUPLICATE_EMAIL', batch_id = ?2
        FROM (
            SELECT seq AS later, row_number() OVER (PARTITION BY email ORDER BY seq) AS nth
            FROM ferry_items WHERE run_id = ?1 AND state = 'pending' AND email IS NOT NULL
        )
        WHERE run_id = ?1 AND seq = later AND nth > 1
        "#,
        run.0,
        settled.0
    )
    .execute(connection)
    .await
    .doing(FINISHING)?;
    Ok(())
}

async fn insert_batches(connection: &mut SqliteConnection, run: RunId, settled: BatchId) -> Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO ferry_batches (id, run_id, ordinal, round, state, source, created, adopted, skipped, conflict,
                                   failed, cancelled, verified_at)
        SELECT ?2, ?1, 0, 1, 'verified', count(*),
               count(*) FILTER (WHERE state = 'created'), count(*) FILTER (WHERE state = 'adopted'),
               count(*) FILTER (WHERE state = 'skipped'), count(*) FILTER (WHERE state = 'conflict'),
               count(*) FILTER (WHERE state = 'failed'), count(*) FILTER (WHERE state = 'cancelled'),
               (SELECT at FROM ferry_now)
        FROM ferry_items WHERE run_id = ?1 AND batch_id = ?2
        "#,
        run.0,
        settled.0
    )
    .execute(&mut *connection)
    .await
    .doing(FINISHING)?;
    sqlx::query!(
        r#"
        INSERT INTO ferry_batches (id, run_id, ordinal, round, state, source, pending)
        SELECT batch_id, ?1, row_number() OVER (ORDER BY min(seq)), 1, 'open', count(*), count(*)
        FROM ferry_items WHERE run_id = ?1 AND state = 'pending'
        GROUP BY batch_id
        "#,
        run.0
    )
    .execute(&mut *connection)
    .await
    .doing(FINISHING)?;
    insert_provision_jobs(connection, run, 1).await
}

/// One provision job for each batch of a round, in their order. A job's id and
/// trace are random; nothing but the row carries their meaning.
pub(crate) async fn insert_provision_jobs(
    connection: &mut SqliteConnection,
    run: RunId,
    round: i32,
) -> Result<()> {
    let priority = ferry_domain::JobKind::Provision.priority();
    sqlx::query!(
        r#"
        INSERT INTO ferry_jobs (id, run_id, batch_id, kind, state, priority, not_before, created_at, traceparent)
        SELECT randomblob(16), run_id, id, 'provision', 'ready', ?3, at, at,
               '00-' || lower(hex(randomblob(16))) || '-' || lower(hex(randomblob(8))) || '-01'
        FROM ferry_batches CROSS JOIN ferry_now
        WHERE run_id = ?1 AND round = ?2 AND state = 'open'
        ORDER BY ordinal
        "#,
        run.0,
        round,
        priority
    )
    .execute(connection)
    .await
    .doing("could not make jobs")?;
    Ok(())
}

async fn summary(connection: &mut SqliteConnection, run: RunId, settled: BatchId) -> Result<Planned> {
    let sums = sqlx::query!(
        r#"
        SELECT sum(source) AS "source!: i64", sum(created) AS "created!: i64", sum(adopted) AS "adopted!: i64",
               sum(skipped) AS "skipped!: i64", sum(conflict) AS "conflict!: i64", sum(failed) AS "failed!: i64",
               sum(cancelled) AS "cancelled!: i64", sum(pending) AS "pending!: i64",
               count(*) FILTER (WHERE state = 'open') AS "batches!: i64"
        FROM ferry_batches WHERE run_id = ?1
        "#,
        run.0
    )
    .fetch_one(&mut *connection)
    .await
    .doing(FINISHING)?;
    let groups = sqlx::query!(
        r#"
        SELECT state AS "state!: String", code AS "code!: String", count(*) AS "count!: i64"
        FROM ferry_items WHERE batch_id = ?1 AND code IS NOT NULL
        GROUP BY state, code
        "#,
        settled.0
    )
    .fetch_all(connection)
    .await
    .doing(FINISHING)?;
    let mut settled = Vec::with_capacity(groups.len());
    for group in groups {
        let (state, code) = state_and_code(&group.state, &group.code)?;
        settled.push((state, code, group.count));
    }
    settled.sort_by_key(|(state, code, _)| (*code, *state));
    Ok(Planned {
        tally: Tally {
            source: sums.source,
            created: sums.created,
            adopted: sums.adopted,
            skipped: sums.skipped,
            conflict: sums.conflict,
            failed: sums.failed,
            cancelled: sums.cancelled,
            pending: sums.pending,
        },
        settled,
        batches: sums.batches,
    })
}
