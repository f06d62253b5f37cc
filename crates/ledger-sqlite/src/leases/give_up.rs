//! Jobs that are given up, by their holder or by the rescue: what is left of them
//! ends with a code, the batch or run goes on, and a dead letter keeps the matter for a person.

use ferry_domain::{Code, Job, Tally, WorkerId, ending::Leftover};
use ferry_ledger::Result;
use sqlx::SqliteConnection;

use super::end::{self, End, ReadBack};
use crate::errors::Doing;

/// Ends a job without success.
pub(crate) async fn give_up(
    connection: &mut SqliteConnection,
    job: &Job,
    code: Code,
    leftover: Leftover,
    by: WorkerId,
) -> Result<()> {
    let end = End::Dead(code);
    let users = match leftover {
        Leftover::Fail => {
            let failed = end::fail_pending(connection, job, code).await?;
            let ended = Tally { source: failed, failed, ..Tally::default() };
            end::count_in(connection, job, &ended, 0, end).await?;
            failed
        }
        Leftover::Unread => {
            let unread = end::note_unread(connection, job).await?;
            let counts = ReadBack { matched: 0, discrepancies: unread, requests: 0 };
            end::close_batch(connection, job, &counts, end).await?;
            unread
        }
        Leftover::Nothing => {
            end::end_job(connection, job, end).await?;
            0
        }
    };
    keep_letter(connection, job, code, users, by).await
}

/// Counts come from the row, which knows of the last attempt. A worker is named as
/// people know it, `host/pid`, where it is still registered.
async fn keep_letter(
    connection: &mut SqliteConnection,
    job: &Job,
    code: Code,
    users: i64,
    by: WorkerId,
) -> Result<()> {
    let (word, remedy, nameless) = (code.as_str(), code.remedy(), by.to_string());
    sqlx::query!(
        r#"
        INSERT INTO ferry_dead_letters (queue, payload, reason, received_at, kind, code, job_id, job_kind, run_id,
                                        batch_id, attempts, rescues, users, given_up_by)
        SELECT kind, x'', ?5, at, 'job', ?2, id, kind, run_id, batch_id, attempts, rescues, ?3,
               coalesce((SELECT host || '/' || pid FROM ferry_workers AS w WHERE w.id = ?4), ?6)
        FROM ferry_jobs CROSS JOIN ferry_now WHERE id = ?1
        "#,
        job.id.0,
        word,
        users,
        by.0,
        remedy,
        nameless
    )
    .execute(connection)
    .await
    .doing("could not keep a dead letter")?;
    Ok(())
}
