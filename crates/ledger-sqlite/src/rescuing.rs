//! Who is alive, and what becomes of the work of those who are not.
//!
//! One process has the file. So once a process has registered, every other holder of a
//! lease or a role is dead, whatever is left of its time. A process that did not register
//! (a look from outside) learns of a death only when time runs out.

use ferry_domain::{
    BatchId, Code, Envelope, JobId, JobKind, WorkerId,
    poison::{deaths_of_half, kept},
    ports::{Loss, Presence, Rescued, Unclaimed, WorkerRecord},
};
use uuid::Uuid;

use crate::{
    SqliteLedger, concluding,
    errors::{Doing, Result},
    rows::{JobRow, hex, job_kind, json},
};

const REGISTERING: &str = "could not register a worker";
const RESCUING: &str = "could not take leases back";
const HALVING: &str = "could not halve a batch";
const GIVING_UP: &str = "could not give a job up";

impl SqliteLedger {
    /// The process has the file; what others said of themselves is no longer true.
    pub(crate) async fn register_alone(&self, worker: &WorkerRecord) -> Result<Presence> {
        let mut tx = self.write(REGISTERING).await?;
        sqlx::query!("DELETE FROM ferry_workers WHERE id <> ?1", worker.id.0)
            .execute(&mut *tx)
            .await
            .doing(REGISTERING)?;
        sqlx::query!(
            r#"
            INSERT INTO ferry_workers (id, host, pid, slots, started_at, seen_at, watched, waits)
            SELECT ?1, ?2, ?3, ?4, at, at, 1, ?5 FROM ferry_now WHERE true
            ON CONFLICT (id) DO UPDATE
            SET slots = excluded.slots, seen_at = excluded.seen_at, watched = 1, waits = excluded.waits
            "#,
            worker.id.0,
            worker.host,
            worker.pid,
            worker.slots,
            worker.waits
        )
        .execute(&mut *tx)
        .await
        .doing(REGISTERING)?;
        tx.commit().await.doing(REGISTERING)?;
        Ok(Presence::alone())
    }

    /// Takes back what the dead hold, and what ran out. Looks before it asks for the write
    /// lock: mostly there is nothing.
    pub(crate) async fn take_back(&self, me: WorkerId, expired: bool) -> Result<Vec<Rescued>> {
        if lost(&mut *self.reader().acquire().await.doing(RESCUING)?, me, expired).await?.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.write(RESCUING).await?;
        let rescued = lost(&mut tx, me, expired).await?;
        let jobs = json(&rescued.iter().map(|rescued| hex(rescued.job.0)).collect::<Vec<_>>());
        sqlx::query!(
            r#"
            UPDATE ferry_jobs
            SET state = 'ready', holder = NULL, expires_at = NULL, rescues = rescues + 1,
                not_before = (SELECT at FROM ferry_now)
            WHERE id IN (SELECT unhex(value) FROM json_each(?1)) AND state = 'leased'
            "#,
            jobs
        )
        .execute(&mut *tx)
        .await
        .doing(RESCUING)?;
        tx.commit().await.doing(RESCUING)?;
        Ok(rescued)
    }

    /// Puts the second half of a batch's pending items into a batch and a job of their own,
    /// as old and as often tried. The new job takes the token over: a cancel must know that
    /// its users were in hands.
    pub(crate) async fn halve_batch(&self, job: JobId, into: BatchId) -> Result<i64> {
        let mut tx = self.write(HALVING).await?;
        let found = sqlx::query!(
            r#"
            SELECT j.run_id AS "run!: Uuid", j.batch_id AS "batch!: Uuid", j.rescues AS "rescues!: i32",
                   b.pending AS "pending!: i64"
            FROM ferry_jobs AS j JOIN ferry_batches AS b ON b.id = j.batch_id
            WHERE j.id = ?1 AND j.kind = 'provision' AND j.state IN ('ready', 'queued')
            "#,
            job.0
        )
        .fetch_optional(&mut *tx)
        .await
        .doing(HALVING)?;
        let Some(old) = found.filter(|old| old.pending > 1) else { return Ok(0) };
        let keep = kept(old.pending);
        let went = sqlx::query!(
            r#"
            UPDATE ferry_items SET batch_id = ?3
            WHERE run_id = ?1 AND seq IN (
                SELECT seq FROM ferry_items WHERE batch_id = ?2 AND state = 'pending'
                ORDER BY seq LIMIT -1 OFFSET ?4
            )
            "#,
            old.run,
            old.batch,
            into.0,
            keep
        )
        .execute(&mut *tx)
        .await
        .doing(HALVING)?;
        let went = i64::try_from(went.rows_affected()).unwrap_or(i64::MAX);
        sqlx::query!(
            "UPDATE ferry_batches SET source = source - ?2, pending = pending - ?2 WHERE id = ?1",
            old.batch,
            went
        )
        .execute(&mut *tx)
        .await
        .doing(HALVING)?;
        sqlx::query!(
            r#"
            INSERT INTO ferry_batches (id, run_id, ordinal, round, state, source, pending)
            SELECT ?2, run_id, (SELECT max(ordinal) + 1 FROM ferry_batches WHERE run_id = ?4), round, 'open', ?3, ?3
            FROM ferry_batches WHERE id = ?1
            "#,
            old.batch,
            into.0,
            went,
            old.run
        )
        .execute(&mut *tx)
        .await
        .doing(HALVING)?;
        let rescues = deaths_of_half(old.rescues);
        sqlx::query!("UPDATE ferry_jobs SET rescues = ?2 WHERE id = ?1", job.0, rescues)
            .execute(&mut *tx)
            .await
            .doing(HALVING)?;
        sqlx::query!(
            r#"
            INSERT INTO ferry_jobs (id, run_id, batch_id, kind, state, priority, not_before, token, attempts, rescues,
                                    code, created_at, traceparent)
            SELECT randomblob(16), run_id, ?2, kind, 'ready', priority, at, token, attempts, rescues, code, created_at,
                   traceparent
            FROM ferry_jobs CROSS JOIN ferry_now WHERE id = ?1
            "#,
            job.0,
            into.0
        )
        .execute(&mut *tx)
        .await
        .doing(HALVING)?;
        tx.commit().await.doing(HALVING)?;
        Ok(went)
    }

    /// Gives up a job that nobody holds.
    pub(crate) async fn give_up_unheld(&self, job: JobId, code: Code, by: &str) -> Result<bool> {
        let mut tx = self.write(GIVING_UP).await?;
        let row = sqlx::query_as!(
            JobRow,
            r#"
            SELECT id AS "id!: Uuid", run_id AS "run_id!: Uuid", batch_id AS "batch_id?: Uuid",
                   kind AS "kind!: String", attempts AS "attempts!: i32", rescues AS "rescues!: i32",
                   traceparent AS "traceparent?: String", token AS "token!: i64"
            FROM ferry_jobs WHERE id = ?1 AND state IN ('ready', 'queued')
            "#,
            job.0
        )
        .fetch_optional(&mut *tx)
        .await
        .doing(GIVING_UP)?;
        let Some(row) = row else { return Ok(false) };
        concluding::give_up(&mut tx, &row.job()?, code, by).await?;
        tx.commit().await.doing(GIVING_UP)?;
        Ok(true)
    }

    /// What is wrong with a delivery that nobody could claim.
    pub(crate) async fn unclaimed(&self, envelope: &Envelope) -> Result<Unclaimed> {
        let row = sqlx::query!(
            r#"
            SELECT run_id AS "run!: Uuid", batch_id AS "batch?: Uuid", kind AS "kind!: String", send AS "send!: i32"
            FROM ferry_jobs WHERE id = ?1
            "#,
            envelope.job.0
        )
        .fetch_optional(self.reader())
        .await
        .doing("could not look for a job")?;
        let Some(row) = row else { return Ok(Unclaimed::Unknown) };
        let same = row.kind == envelope.kind.as_str()
            && row.run == envelope.run.0
            && row.batch == envelope.batch.map(|batch| batch.0);
        Ok(match envelope.send {
            _ if !same => Unclaimed::Mismatch,
            send if send > row.send => Unclaimed::Ahead,
            _ => Unclaimed::Stale,
        })
    }
}

/// Leases of the dead, and (`expired`) those that ran out.
async fn lost(connection: &mut sqlx::SqliteConnection, me: WorkerId, expired: bool) -> Result<Vec<Rescued>> {
    let rows = sqlx::query!(
        r#"
        SELECT j.id AS "id!: Uuid", j.kind AS "kind!: String", j.holder AS "holder!: Uuid",
               j.rescues + 1 AS "rescues!: i32", coalesce(b.pending, 0) AS "pending!: i64",
               (w.id IS NOT NULL) AS "dead!: bool"
        FROM ferry_jobs AS j
        LEFT JOIN ferry_workers AS w ON w.id = ?1 AND w.watched = 1 AND j.holder <> ?1
        LEFT JOIN ferry_batches AS b ON b.id = j.batch_id AND j.kind = 'provision'
        WHERE j.state = 'leased'
          AND (w.id IS NOT NULL OR ?2 AND j.expires_at <= (SELECT at FROM ferry_now))
        ORDER BY j.number
        "#,
        me.0,
        expired
    )
    .fetch_all(connection)
    .await
    .doing(RESCUING)?;
    rows.into_iter()
        .map(|row| {
            let kind: JobKind = job_kind(&row.kind, row.id)?;
            let because = if row.dead { Loss::Dead } else { Loss::Expired };
            Ok(Rescued {
                job: JobId(row.id),
                kind,
                holder: WorkerId(row.holder),
                rescues: row.rescues,
                pending: row.pending,
                because,
            })
        })
        .collect()
}
