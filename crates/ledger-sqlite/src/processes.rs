//! Worker processes, and which of them leads.

use std::{path::Path, time::Duration};

use async_trait::async_trait;
use ferry_domain::{
    JobId, WorkerId,
    ports::{Duty, LedgerError, Presence, Processes, Whose, WorkerRecord, WorkerView},
};
use ferry_ledger::{Result, lists::WorkerRow, words::StoredTime};
use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    SqliteLedger,
    connection::{BUSY, held},
    errors::{Doing, NOT_WRITABLE, not_writable},
    values::{hex, json, micros, span},
};

const TRYING: &str = "could not be written to";
const REGISTERING: &str = "could not register a worker";
const BEATING: &str = "could not renew leases";
const RETIRING: &str = "could not hand a worker's leases back";
const LISTING: &str = "could not list workers";
const LEADING: &str = "could not elect a leader";

#[async_trait]
impl Processes for SqliteLedger {
    /// The process has the file; what others told of themselves is no longer true.
    async fn register(&self, worker: &WorkerRecord) -> Result<Presence> {
        let mut tx = self.write(REGISTERING).await?;
        sqlx::query!("DELETE FROM ferry_workers WHERE id <> ?1", worker.id.0)
            .execute(&mut *tx)
            .await
            .doing(REGISTERING)?;
        note(&mut tx, worker).await?;
        tx.commit().await.doing(REGISTERING)?;
        Ok(Presence::alone())
    }

    async fn heartbeat(&self, worker: &WorkerRecord, lease: Duration, held: &[JobId]) -> Result<Vec<JobId>> {
        let waits = worker.waiting_for.as_ref().map(|reason| &reason.0);
        let held = json(&held.iter().map(|job| hex(job.0)).collect::<Vec<_>>());
        let lease = micros(lease);
        let mut tx = self.write(BEATING).await?;
        sqlx::query!(
            r#"
            INSERT INTO ferry_workers (id, host, pid, slots, started_at, seen_at, waits)
            SELECT ?1, ?2, ?3, ?4, at, at, ?5 FROM ferry_now WHERE true
            ON CONFLICT (id) DO UPDATE
            SET slots = excluded.slots, seen_at = excluded.seen_at, waits = excluded.waits
            "#,
            worker.id.0,
            worker.host,
            worker.pid,
            worker.slots,
            waits
        )
        .execute(&mut *tx)
        .await
        .doing(BEATING)?;
        let held = sqlx::query_scalar!(
            r#"
            UPDATE ferry_jobs SET expires_at = (SELECT at FROM ferry_now) + ?2
            WHERE holder = ?1 AND state = 'leased'
              AND id IN (SELECT unhex(value) FROM json_each(?3))
            RETURNING id AS "id!: Uuid"
            "#,
            worker.id.0,
            lease,
            held
        )
        .fetch_all(&mut *tx)
        .await
        .doing(BEATING)?;
        tx.commit().await.doing(BEATING)?;
        Ok(held.into_iter().map(JobId).collect())
    }

    async fn clock(&self) -> Result<OffsetDateTime> {
        let at = sqlx::query_scalar!(r#"SELECT at AS "at!: i64" FROM ferry_now"#)
            .fetch_one(self.reader())
            .await
            .doing("could not read its clock")?;
        at.moment("ferry_now", &"")
    }

    async fn retire(&self, worker: WorkerId) -> Result<u64> {
        let mut tx = self.write(RETIRING).await?;
        let handed_back = sqlx::query!(
            r#"
            UPDATE ferry_jobs
            SET state = 'ready', holder = NULL, expires_at = NULL, not_before = (SELECT at FROM ferry_now)
            WHERE holder = ?1 AND state = 'leased'
            "#,
            worker.0
        )
        .execute(&mut *tx)
        .await
        .doing(RETIRING)?;
        strike_off(&mut tx, worker).await?;
        tx.commit().await.doing(RETIRING)?;
        Ok(handed_back.rows_affected())
    }

    async fn workers(&self) -> Result<Vec<WorkerView>> {
        let rows = sqlx::query!(
            r#"
            SELECT w.id AS "id!: Uuid", w.host AS "host!: String", w.pid AS "pid!: i32", w.slots AS "slots!: i32",
                   w.waits AS "waits?: String", w.watched AS "watched!: bool", n.at - w.seen_at AS "silent!: i64",
                   (SELECT count(*) FROM ferry_jobs AS j WHERE j.holder = w.id AND j.state = 'leased')
                   AS "leases!: i64"
            FROM ferry_workers AS w CROSS JOIN ferry_now AS n
            ORDER BY w.started_at, w.id
            "#
        )
        .fetch_all(self.reader())
        .await
        .doing(LISTING)?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let (id, host, pid, slots) = (row.id, row.host, row.pid, row.slots);
                let (watched, waits, leases) = (row.watched, row.waits, row.leases);
                WorkerRow { id, host, pid, slots, watched, waits, leases }.view(span(row.silent))
            })
            .collect())
    }

    async fn live_slots(&self, fresh: Duration) -> Result<i64> {
        let fresh = micros(fresh);
        sqlx::query_scalar!(
            r#"
            SELECT coalesce(sum(slots), 0) AS "slots!: i64" FROM ferry_workers
            WHERE seen_at >= (SELECT at FROM ferry_now) - ?1
            "#,
            fresh
        )
        .fetch_one(self.reader())
        .await
        .doing("could not count worker slots")
    }

    /// A file has one process: what others left in it was taken back when that one registered.
    async fn died(&self, _me: WorkerId, _whose: Whose) -> Result<Vec<WorkerId>> {
        Ok(Vec::new())
    }

    /// Once a process has registered, every other leader is dead.
    async fn lead(&self, duty: Duty, me: WorkerId, ttl: Duration) -> Result<bool> {
        let (duty, ttl) = (duty.as_str(), micros(ttl));
        let led = sqlx::query!(
            r#"
            INSERT INTO ferry_leaders (duty, holder, expires_at)
            SELECT ?1, ?2, at + ?3 FROM ferry_now WHERE true
            ON CONFLICT (duty) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
            WHERE holder = excluded.holder OR expires_at <= (SELECT at FROM ferry_now)
               OR EXISTS (SELECT 1 FROM ferry_workers WHERE id = excluded.holder AND watched = 1)
            "#,
            duty,
            me.0,
            ttl
        )
        .execute(self.writer())
        .await
        .doing(LEADING)?;
        Ok(led.rows_affected() > 0)
    }

    async fn step_down(&self, duty: Duty, me: WorkerId) -> Result<()> {
        let duty = duty.as_str();
        sqlx::query!("DELETE FROM ferry_leaders WHERE duty = ?1 AND holder = ?2", duty, me.0)
            .execute(self.writer())
            .await
            .doing(LEADING)?;
        Ok(())
    }
}

/// Whether a file takes writes, for a person who asks. A worker's row is written and taken back in one
/// transaction, which is stored: its pages go to the disk as those of any other do, so a disk that is full
/// is found. A transaction that is rolled back writes nothing.
///
/// # Errors
/// As a worker's own writes.
pub async fn try_write(path: &Path, worker: &WorkerRecord) -> Result<()> {
    match written_and_taken_back(path, worker).await {
        Err(LedgerError::Busy) => Err(held(path)),
        Err(LedgerError::Unavailable { doing, reason, .. }) if reason == NOT_WRITABLE => {
            Err(not_writable(path, doing))
        }
        tried => tried,
    }
}

async fn written_and_taken_back(path: &Path, worker: &WorkerRecord) -> Result<()> {
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(BUSY).disable_statement_logging();
    let mut connection = options.connect().await.doing(TRYING)?;
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await.doing(TRYING)?;
    note(&mut tx, worker).await?;
    strike_off(&mut tx, worker.id).await?;
    tx.commit().await.doing(TRYING)?;
    connection.close().await.doing(TRYING)
}

async fn note(connection: &mut SqliteConnection, worker: &WorkerRecord) -> Result<()> {
    let waits = worker.waiting_for.as_ref().map(|reason| &reason.0);
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
        waits
    )
    .execute(connection)
    .await
    .doing(REGISTERING)?;
    Ok(())
}

async fn strike_off(connection: &mut SqliteConnection, worker: WorkerId) -> Result<()> {
    sqlx::query!("DELETE FROM ferry_workers WHERE id = ?1", worker.0)
        .execute(connection)
        .await
        .doing(RETIRING)?;
    Ok(())
}
