//! Worker processes, and which of them leads.

use std::{future::pending, time::Duration};

use async_trait::async_trait;
use ferry_domain::{
    JobId, WorkerId,
    ports::{Duty, LedgerError, Presence, Processes, Whose, WorkerRecord, WorkerView},
};
use ferry_ledger::{Result, lists::WorkerRow, words};
use sqlx::{query, query_scalar};
use time::OffsetDateTime;

use crate::{
    PostgresLedger,
    presence::{self, Trouble},
};

#[async_trait]
impl Processes for PostgresLedger {
    async fn register(&self, worker: &WorkerRecord) -> Result<Presence> {
        let failed = self.sql_failed("could not register this process");
        let mut other = self.pool.acquire().await.map_err(&failed)?;
        let lock = match self.death_lock {
            true => self.take_lock(worker.id, &mut other).await,
            false => Err(Trouble::SwitchedOff),
        };
        let presence = match lock {
            Ok(connection) => Presence { unwatched: None, lost: Box::pin(presence::hold(connection)) },
            Err(Trouble::Sql(error)) => return Err(failed(error)),
            Err(Trouble::Taken) => {
                let why = format!("{} is registered already: take another identity", worker.id);
                return Err(LedgerError::Refused(why));
            }
            Err(unwatched) => {
                Presence { unwatched: Some(unwatched.for_people().to_owned()), lost: Box::pin(pending()) }
            }
        };
        // After the lock: a row that says "watched" is never there without it.
        query!(
            r#"
            INSERT INTO ferry.workers (id, host, pid, slots, watched, waits) VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (id) DO UPDATE
            SET slots = excluded.slots, watched = excluded.watched, waits = excluded.waits,
                seen_at = clock_timestamp()
            "#,
            worker.id.0,
            worker.host,
            worker.pid,
            worker.slots,
            presence.unwatched.is_none(),
            worker.waiting_for.as_ref().map(|reason| &reason.0),
        )
        .execute(&mut *other)
        .await
        .map_err(failed)?;
        Ok(presence)
    }

    async fn heartbeat(&self, worker: &WorkerRecord, lease: Duration, held: &[JobId]) -> Result<Vec<JobId>> {
        let held: Vec<_> = held.iter().map(|job| job.0).collect();
        let held = query_scalar!(
            r#"
            WITH seen AS (
                INSERT INTO ferry.workers (id, host, pid, slots, waits) VALUES ($1, $2, $3, $4, $6)
                ON CONFLICT (id) DO UPDATE
                SET slots = excluded.slots, waits = excluded.waits, seen_at = clock_timestamp()
            )
            UPDATE ferry.jobs
            SET expires_at = clock_timestamp() + make_interval(secs => $5)
            WHERE holder = $1 AND state = 'leased' AND id = ANY($7)
            RETURNING id
            "#,
            worker.id.0,
            worker.host,
            worker.pid,
            worker.slots,
            lease.as_secs_f64(),
            worker.waiting_for.as_ref().map(|reason| &reason.0),
            &held,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not renew leases"))?;
        Ok(held.into_iter().map(JobId).collect())
    }

    async fn clock(&self) -> Result<OffsetDateTime> {
        query_scalar!(r#"SELECT clock_timestamp() AS "at!""#)
            .fetch_one(&self.pool)
            .await
            .map_err(self.sql_failed("could not read its clock"))
    }

    async fn retire(&self, worker: WorkerId) -> Result<u64> {
        let handed_back = query!(
            r#"
            WITH gone AS (DELETE FROM ferry.workers WHERE id = $1)
            UPDATE ferry.jobs
            SET state = 'ready', holder = NULL, expires_at = NULL, not_before = clock_timestamp()
            WHERE holder = $1 AND state = 'leased'
            "#,
            worker.0,
        )
        .execute(&self.pool)
        .await
        .map_err(self.sql_failed("could not let a worker go"))?;
        Ok(handed_back.rows_affected())
    }

    async fn workers(&self) -> Result<Vec<WorkerView>> {
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
            .map(|row| {
                let (id, host, pid, slots) = (row.id, row.host, row.pid, row.slots);
                let (watched, waits, leases) = (row.watched, row.waits, row.leases);
                WorkerRow { id, host, pid, slots, watched, waits, leases }.view(words::span(row.silent))
            })
            .collect())
    }

    async fn live_slots(&self, fresh: Duration) -> Result<i64> {
        query_scalar!(
            r#"
            SELECT coalesce(sum(slots), 0)::bigint AS "slots!" FROM ferry.workers
            WHERE seen_at >= clock_timestamp() - make_interval(secs => $1)
            "#,
            fresh.as_secs_f64(),
        )
        .fetch_one(&self.pool)
        .await
        .map_err(self.sql_failed("could not count worker slots"))
    }

    /// Asked many times a second: it reads the few rows of `workers` and tries their locks, in
    /// shared mode, so that two that ask don't see each other's try as a life.
    async fn died(&self, me: WorkerId, whose: Whose) -> Result<Vec<WorkerId>> {
        let leads = match whose {
            Whose::Leader(duty) => Some(duty.as_str()),
            Whose::Anyone => None,
        };
        let dead = query_scalar!(
            r#"
            SELECT worker.id FROM ferry.workers AS worker
            WHERE CASE WHEN NOT worker.watched OR worker.id = $1 THEN false
                       WHEN $2::text IS NOT NULL
                        AND worker.id IS DISTINCT FROM (SELECT holder FROM ferry.leaders WHERE duty = $2) THEN false
                       ELSE pg_try_advisory_xact_lock_shared(ferry.presence_key(worker.id)) END
            "#,
            me.0,
            leads,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not look for dead processes"))?;
        Ok(dead.into_iter().map(WorkerId).collect())
    }

    /// A leader is followed immediately when its lock is free, or when its row is gone since it
    /// began to lead (`rescue`).
    async fn lead(&self, duty: Duty, me: WorkerId, ttl: Duration) -> Result<bool> {
        let led = query!(
            r#"
            INSERT INTO ferry.leaders AS mine (duty, holder, expires_at, registered)
            VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3),
                    EXISTS (SELECT FROM ferry.workers WHERE id = $2))
            ON CONFLICT (duty) DO UPDATE
            SET holder = excluded.holder, expires_at = excluded.expires_at, registered = excluded.registered
            WHERE mine.holder = excluded.holder
               OR mine.expires_at <= clock_timestamp()
               OR mine.registered AND coalesce((
                      SELECT CASE WHEN watched THEN pg_try_advisory_xact_lock_shared(ferry.presence_key(id))
                                  ELSE false END
                      FROM ferry.workers WHERE id = mine.holder), true)
            "#,
            duty.as_str(),
            me.0,
            ttl.as_secs_f64(),
        )
        .execute(&self.pool)
        .await
        .map_err(self.sql_failed("could not elect a leader"))?;
        Ok(led.rows_affected() > 0)
    }

    async fn step_down(&self, duty: Duty, me: WorkerId) -> Result<()> {
        query!("DELETE FROM ferry.leaders WHERE duty = $1 AND holder = $2", duty.as_str(), me.0)
            .execute(&self.pool)
            .await
            .map_err(self.sql_failed("could not end a leadership"))?;
        Ok(())
    }
}
