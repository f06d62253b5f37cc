//! Jobs that are given up, by their holder or by the rescuer: what is left of them
//! ends with a code, the batch or run goes on, and a dead letter keeps the matter for a person.

use ferry_domain::{BatchId, Code, Job, JobId, JobKind, RunId, Tally, ports::LedgerError};
use sqlx::{PgConnection, query};

use crate::{
    PostgresLedger,
    errors::Fault,
    lease::batch_of,
    rows,
    settling::{self, End, ReadBack},
    tries::Tries,
};

/// What a discrepancy says when nobody could read the user back.
const NOT_READ_BACK: &str = r#"["not read back"]"#;

impl PostgresLedger {
    pub(crate) async fn bury_job(&self, job: JobId, code: Code, by: &str) -> Result<bool, LedgerError> {
        let mut tries = Tries::default();
        loop {
            match self.try_bury_job(job, code, by).await {
                Err(fault) if tries.again(&fault).await => {}
                done => return done.map_err(self.failed("could not give a job up")),
            }
        }
    }

    async fn try_bury_job(&self, job: JobId, code: Code, by: &str) -> Result<bool, Fault> {
        let mut tx = self.begin().await?;
        let Some(job) = lock_unheld(&mut tx, job).await? else { return Ok(false) };
        give_up(&mut tx, &job, code, by).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// Locks a job that nobody holds; `None` when it was taken or ended.
pub(crate) async fn lock_unheld(connection: &mut PgConnection, job: JobId) -> Result<Option<Job>, Fault> {
    let row = query!(
        r#"
        SELECT run_id, batch_id, kind, attempts, rescues, traceparent
        FROM ferry.jobs WHERE id = $1 AND state IN ('ready', 'queued')
        FOR UPDATE
        "#,
        job.0,
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Job {
        id: job,
        kind: rows::job_kind(job, &row.kind)?,
        run: RunId(row.run_id),
        batch: row.batch_id.map(BatchId),
        attempts: row.attempts,
        rescues: row.rescues,
        traceparent: row.traceparent,
    }))
}

/// Ends a locked job without success.
pub(crate) async fn give_up(
    connection: &mut PgConnection,
    job: &Job,
    code: Code,
    by: &str,
) -> Result<(), Fault> {
    let end = End::Dead(code);
    let users = match job.kind {
        JobKind::Provision => {
            let failed = fail_pending(connection, job, code).await?;
            let ended = Tally { source: failed, failed, ..Tally::default() };
            settling::count_in(connection, job, &ended, 0, end).await?;
            failed
        }
        JobKind::Verify => {
            let unread = note_unread(connection, job).await?;
            let counts = ReadBack { matched: 0, discrepancies: unread, requests: 0 };
            settling::close_batch(connection, job, &counts, end).await?;
            unread
        }
        JobKind::Report => {
            settling::end_job(connection, job, end).await?;
            0
        }
    };
    keep_letter(connection, job, code, users, by).await
}

async fn fail_pending(connection: &mut PgConnection, job: &Job, code: Code) -> Result<i64, Fault> {
    let failed = query!(
        "UPDATE ferry.items SET state = 'failed', code = $2 WHERE batch_id = $1 AND state = 'pending'",
        batch_of(job)?.0,
        code.as_str(),
    )
    .execute(connection)
    .await?;
    Ok(failed.rows_affected() as i64)
}

async fn note_unread(connection: &mut PgConnection, job: &Job) -> Result<i64, Fault> {
    let unread = query!(
        r#"
        INSERT INTO ferry.discrepancies (run_id, seq, batch_id, key, auth0_user_id, fields)
        SELECT run_id, seq, batch_id, key, coalesce(auth0_user_id, ''), $2::text::jsonb
        FROM ferry.items WHERE batch_id = $1 AND state IN ('created', 'adopted')
        ON CONFLICT (run_id, seq) DO UPDATE
        SET fields = excluded.fields, found_at = clock_timestamp()
        "#,
        batch_of(job)?.0,
        NOT_READ_BACK,
    )
    .execute(connection)
    .await?;
    Ok(unread.rows_affected() as i64)
}

/// Counts come from the row, which knows of the last attempt. A holder is named as
/// people know it, `host/pid`, where it is still registered.
async fn keep_letter(
    connection: &mut PgConnection,
    job: &Job,
    code: Code,
    users: i64,
    by: &str,
) -> Result<(), Fault> {
    query!(
        r#"
        INSERT INTO ferry.dead_letters (queue, payload, reason, kind, code, job_id, job_kind, run_id, batch_id,
                                        attempts, rescues, users, given_up_by)
        SELECT kind, ''::bytea, $2, 'job', $3, id, kind, run_id, batch_id, attempts, rescues, $4,
               coalesce((SELECT host || '/' || pid FROM ferry.workers WHERE workers.id::text = $5), $5)
        FROM ferry.jobs WHERE id = $1
        "#,
        job.id.0,
        code.remedy(),
        code.as_str(),
        users,
        by,
    )
    .execute(connection)
    .await?;
    Ok(())
}
