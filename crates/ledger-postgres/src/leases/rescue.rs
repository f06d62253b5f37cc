//! Taking back what the dead held.
//!
//! One statement finds the dead and takes their leases, so that a process which
//! registers, leases or leaves meanwhile is seen as it was before or after, never in
//! between. A holder is dead when its lock is free (`presence`), or when it has no row in
//! `workers` any more: it was found dead before, or retired, and leased something since.

use ferry_domain::{
    JobId, WorkerId,
    ports::{Loss, Rescued},
};
use ferry_ledger::{Result, words};
use sqlx::{PgPool, query_as};
use uuid::Uuid;

/// A job that was taken back.
pub(super) struct RescuedRow {
    id: Uuid,
    kind: String,
    rescues: i32,
    holder: Uuid,
    died: bool,
    pending: i64,
}

impl RescuedRow {
    pub(super) fn rescued(self) -> Result<Rescued> {
        Ok(Rescued {
            job: JobId(self.id),
            kind: words::job_kind(self.id, &self.kind)?,
            holder: WorkerId(self.holder),
            rescues: self.rescues,
            pending: self.pending,
            because: if self.died { Loss::Dead } else { Loss::Expired },
        })
    }
}

/// Locks are tried in shared mode, so that two rescuers testing the same lock do not block
/// each other; only few holders are tried, since the list of them is made first. Rows that
/// another process writes at this moment are left for the next look.
pub(super) async fn rescue(
    pool: &PgPool,
    me: WorkerId,
    expired: bool,
) -> std::result::Result<Vec<RescuedRow>, sqlx::Error> {
    query_as!(
        RescuedRow,
        r#"
        WITH known AS MATERIALIZED (
            SELECT holder.id, worker.id IS NULL AS removed, worker.watched
            FROM (
                SELECT DISTINCT holder AS id FROM ferry.jobs WHERE state = 'leased'
                UNION
                SELECT id FROM ferry.workers WHERE watched
            ) AS holder
            LEFT JOIN ferry.workers AS worker ON worker.id = holder.id
            WHERE holder.id <> $1
        ), dead AS MATERIALIZED (
            SELECT id FROM known
            WHERE CASE WHEN removed THEN true
                       WHEN watched THEN pg_try_advisory_xact_lock_shared(ferry.presence_key(id))
                       ELSE false END
        ), taken AS (
            SELECT job.id, job.holder, dead.id IS NOT NULL AS died
            FROM ferry.jobs AS job LEFT JOIN dead ON dead.id = job.holder
            WHERE job.state = 'leased'
              AND (dead.id IS NOT NULL OR $2 AND job.expires_at <= clock_timestamp())
            FOR UPDATE OF job SKIP LOCKED
        ), freed AS (
            UPDATE ferry.jobs AS job
            SET state = 'ready', holder = NULL, expires_at = NULL, not_before = clock_timestamp(),
                rescues = job.rescues + 1
            FROM taken
            WHERE job.id = taken.id
            RETURNING job.id, job.kind, job.batch_id, job.rescues, taken.holder, taken.died
        ), silent AS (
            SELECT worker.id FROM ferry.workers AS worker
            WHERE worker.id IN (SELECT id FROM dead)
               OR NOT worker.watched AND worker.id <> $1
                  AND worker.seen_at < clock_timestamp() - interval '1 minute'
                  AND NOT EXISTS (SELECT FROM ferry.jobs WHERE holder = worker.id AND state = 'leased')
            FOR UPDATE SKIP LOCKED
        ), removed AS (
            DELETE FROM ferry.workers USING silent WHERE workers.id = silent.id
        )
        SELECT freed.id, freed.kind, freed.rescues, freed.holder AS "holder!", freed.died AS "died!",
               coalesce(batch.pending, 0) AS "pending!"
        FROM freed
        LEFT JOIN ferry.batches AS batch ON batch.id = freed.batch_id AND freed.kind = 'provision'
        "#,
        me.0,
        expired,
    )
    .fetch_all(pool)
    .await
}
