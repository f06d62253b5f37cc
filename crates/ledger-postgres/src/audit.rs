//! Lines of the audit, written in the transaction that did what they tell of.

use ferry_ledger::audit::Line;
use sqlx::{PgConnection, query};

use crate::errors::Tried;

/// Writes a line.
pub(crate) async fn write(connection: &mut PgConnection, line: &Line<'_>) -> Tried<()> {
    query!(
        "INSERT INTO ferry.audit (actor, action, run_id, detail, reason) VALUES ($1, $2, $3, $4, $5)",
        line.actor,
        line.action,
        line.run.map(|run| run.0),
        &line.detail,
        line.reason,
    )
    .execute(connection)
    .await?;
    Ok(())
}
