//! The fence: the first statement of every leased write to the ledger. Writing results back
//! begins with the application's rows, see `items::results`.

use ferry_domain::{Job, Lease, RunState, ports::LedgerError};
use ferry_ledger::words;
use sqlx::{PgConnection, query};

use crate::errors::Tried;

/// What holds for a job whose row is locked now.
pub(crate) struct Held {
    /// The state of its run.
    pub run: RunState,
    /// Whether an operator stopped all sending.
    pub all_stopped: bool,
}

/// Locks the job row and checks the token in one `UPDATE`: a late owner waits for
/// the process that holds the row now, is checked against what that one left, and finds
/// nothing. Checked by a `SELECT`, it would write after the new owner had read.
pub(crate) async fn fence(connection: &mut PgConnection, lease: &Lease<Job>) -> Tried<Held> {
    let row = query!(
        r#"
        UPDATE ferry.jobs AS job
        SET token = job.token
        FROM ferry.runs AS run
        WHERE job.id = $1
          AND job.token = $2
          AND job.state = 'leased'
          AND run.id = job.run_id
        RETURNING run.state,
            EXISTS (SELECT FROM ferry.controls WHERE name = 'stop_all' AND value = 'true') AS "all_stopped!"
        "#,
        lease.of.id.0,
        lease.token,
    )
    .fetch_optional(connection)
    .await?
    .ok_or(LedgerError::LeaseLost)?;
    Ok(Held { run: words::run_state(lease.of.run.0, &row.state)?, all_stopped: row.all_stopped })
}
