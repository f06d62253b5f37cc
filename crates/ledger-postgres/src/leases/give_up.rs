//! Jobs that are given up, by their holder or by the rescue: what is left of them
//! ends with a code, the batch or run goes on, and a dead letter keeps the matter for a person.

use ferry_domain::{Code, Job, Tally, WorkerId, ending::Leftover};
use sqlx::{PgConnection, query};

use super::end::{self, End, ReadBack};
use crate::errors::Tried;

/// Ends a locked job without success.
pub(crate) async fn give_up(
    connection: &mut PgConnection,
    job: &Job,
    code: Code,
    leftover: Leftover,
    by: WorkerId,
) -> Tried<()> {
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
    connection: &mut PgConnection,
    job: &Job,
    code: Code,
    users: i64,
    by: WorkerId,
) -> Tried<()> {
    query!(
        r#"
        INSERT INTO ferry.dead_letters (queue, payload, reason, kind, code, job_id, job_kind, run_id, batch_id,
                                        attempts, rescues, users, given_up_by)
        SELECT kind, ''::bytea, $2, 'job', $3, id, kind, run_id, batch_id, attempts, rescues, $4,
               coalesce((SELECT host || '/' || pid FROM ferry.workers WHERE workers.id = $5), $5::text)
        FROM ferry.jobs WHERE id = $1
        "#,
        job.id.0,
        code.remedy(),
        code.as_str(),
        users,
        by.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}
