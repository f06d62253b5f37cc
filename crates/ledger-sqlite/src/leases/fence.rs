//! The fence: the first statement of every leased write.

use ferry_domain::{Job, Lease, RunState, WriteBackTarget, ports::LedgerError};
use ferry_ledger::{Result, words};
use sqlx::SqliteConnection;

use crate::errors::Doing;

/// What holds for a job that is still this holder's.
pub(crate) struct Held {
    /// The state of its run.
    pub run: RunState,
    /// Whether an operator stopped all sending.
    pub all_stopped: bool,
    /// Where its run writes ids back to.
    pub target: Option<WriteBackTarget>,
}

/// Refuses with `LeaseLost` unless the job is still this holder's. Must be the
/// first statement of a transaction begun with `BEGIN IMMEDIATE`: no other connection can
/// take the job between this read and the commit.
pub(crate) async fn fence(connection: &mut SqliteConnection, lease: &Lease<Job>) -> Result<Held> {
    let row = sqlx::query!(
        r#"
        SELECT r.state AS "run_state!: String",
               r.spec ->> 'write_back' AS "write_back?: String",
               EXISTS (SELECT 1 FROM ferry_controls WHERE name = 'stop_all' AND value = 'true') AS "all_stopped!: bool"
        FROM ferry_jobs AS j
        JOIN ferry_runs AS r ON r.id = j.run_id
        WHERE j.id = ?1 AND j.token = ?2 AND j.state = 'leased'
        "#,
        lease.of.id.0,
        lease.token
    )
    .fetch_optional(connection)
    .await
    .doing("could not check a lease")?
    .ok_or(LedgerError::LeaseLost)?;
    let run = lease.of.run.0;
    Ok(Held {
        run: words::run_state(run, &row.run_state)?,
        all_stopped: row.all_stopped,
        target: words::write_back(run, row.write_back.as_deref())?,
    })
}
