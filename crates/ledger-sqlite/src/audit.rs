//! Lines of the audit, written in the transaction that did what they tell of.

use ferry_ledger::{Result, audit::Line};
use sqlx::SqliteConnection;

use crate::errors::Doing;

/// Writes a line.
pub(crate) async fn write(connection: &mut SqliteConnection, line: &Line<'_>) -> Result<()> {
    let (run, detail) = (line.run.map(|run| run.0), line.detail.to_string());
    sqlx::query!(
        r#"
        INSERT INTO ferry_audit (at, actor, action, run_id, detail, reason)
        SELECT at, ?1, ?2, ?3, ?4, ?5 FROM ferry_now
        "#,
        line.actor,
        line.action,
        run,
        detail,
        line.reason
    )
    .execute(connection)
    .await
    .doing("could not write its audit")?;
    Ok(())
}
