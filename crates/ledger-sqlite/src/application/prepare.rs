//! The column and the index that write-back needs in the application's table.

use ferry_domain::{WriteBackTarget, application::equal_ids};
use ferry_ledger::Result;
use sqlx::SqliteConnection;

use super::{look::look, quoted, run};
use crate::errors::{Doing, is_constraint};

const PREPARING: &str = "could not prepare the application's table";

/// Adds the column and its index where they are missing; returns whether it did.
/// The index is partial: rows without an id cost it nothing, and a column of the application's
/// own may say "none" by a blank.
pub(crate) async fn prepare(connection: &mut SqliteConnection, target: &WriteBackTarget) -> Result<bool> {
    let found = look(connection, target).await?;
    found.table.check_preparing()?;
    let (name, column) = (quoted(&target.table), quoted(&target.id_column));
    let add_column = found.table.id.is_none();
    if add_column {
        run(connection, format!("ALTER TABLE main.{name} ADD COLUMN {column} TEXT"))
            .await
            .doing(PREPARING)?;
    }
    let add_index = found.table.id.is_none_or(|id| !id.unique);
    if add_index {
        let index = quoted(&format!("ferry_{}_{}", target.table, target.id_column));
        let sql = format!("CREATE UNIQUE INDEX main.{index} ON {name} ({column}) WHERE {column} <> ''");
        let made = run(connection, sql).await;
        if made.as_ref().is_err_and(is_constraint) {
            return Err(equal_ids(target));
        }
        made.doing(PREPARING)?;
    }
    Ok(add_column || add_index)
}
