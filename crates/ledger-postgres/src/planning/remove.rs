//! Removing a run that never sent anything.

use ferry_domain::RunId;
use sqlx::{PgConnection, query};

use crate::errors::Tried;

/// Removes a locked run with all its rows. What was ordered stays in the audit.
pub(crate) async fn remove(connection: &mut PgConnection, run: RunId) -> Tried<()> {
    query!("DELETE FROM ferry.jobs WHERE run_id = $1", run.0).execute(&mut *connection).await?;
    query!("DELETE FROM ferry.batches WHERE run_id = $1", run.0).execute(&mut *connection).await?;
    query!("DELETE FROM ferry.planned_items WHERE run_id = $1", run.0).execute(&mut *connection).await?;
    query!("DELETE FROM ferry.runs WHERE id = $1", run.0).execute(&mut *connection).await?;
    Ok(())
}
