//! Taking back what the dead held.
//!
//! One process has the file. So once a process has registered, every other holder of a
//! lease is dead, whatever is left of its time. A process that did not register (a look from
//! outside) learns of a death only when time runs out.

use ferry_domain::{
    JobId, WorkerId,
    ports::{Loss, Rescued},
};
use ferry_ledger::{Result, words};
use uuid::Uuid;

use crate::{
    SqliteLedger,
    errors::Doing,
    values::{hex, json},
};

const RESCUING: &str = "could not take leases back";

/// Looks before it asks for the write lock: mostly there is nothing.
pub(super) async fn rescue(ledger: &SqliteLedger, me: WorkerId, expired: bool) -> Result<Vec<Rescued>> {
    let mut reader = ledger.reader().acquire().await.doing(RESCUING)?;
    if lost(&mut reader, me, expired).await?.is_empty() {
        return Ok(Vec::new());
    }
    drop(reader); // not kept while the write waits for its turn
    let mut tx = ledger.write(RESCUING).await?;
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

/// Leases of the dead, and (`expired`) those that ran out.
async fn lost(connection: &mut sqlx::SqliteConnection, me: WorkerId, expired: bool) -> Result<Vec<Rescued>> {
    let rows = sqlx::query!(
        r#"
        SELECT j.id AS "id!: Uuid", j.kind AS "kind!: String", j.holder AS "holder!: Uuid",
               j.rescues + 1 AS "rescues!: i32", coalesce(b.pending, 0) AS "pending!: i64",
               (w.id IS NOT NULL) AS "dead!: bool"
        FROM ferry_jobs AS j INDEXED BY ferry_jobs_held
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
            let kind = words::job_kind(row.id, &row.kind)?;
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
