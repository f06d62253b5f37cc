//! The column and the index that write-back needs in the application's table.

use ferry_domain::WriteBackTarget;
use ferry_ledger::{Result, refusals};
use sqlx::SqliteConnection;

use super::{LOOKING, look, quoted, run};
use crate::errors::{Doing, is_constraint};

const PREPARING: &str = "could not prepare the application's table";

/// Adds the column and its index where they are missing; returns whether it did.
/// The index is partial: rows without an id cost it nothing.
pub(crate) async fn prepare(connection: &mut SqliteConnection, target: &WriteBackTarget) -> Result<bool> {
    let table = look(connection, target).await?;
    let (name, column) = (quoted(&target.table), quoted(&target.id_column));
    let add_column = !table.has(&target.id_column);
    if add_column {
        run(connection, format!("ALTER TABLE main.{name} ADD COLUMN {column} TEXT"))
            .await
            .doing(PREPARING)?;
    }
    let add_index = !has_unique_index(connection, target).await?;
    if add_index {
        let index = quoted(&format!("ferry_{}_{}", target.table, target.id_column));
        let sql = format!("CREATE UNIQUE INDEX main.{index} ON {name} ({column}) WHERE {column} IS NOT NULL");
        let made = run(connection, sql).await;
        if made.as_ref().is_err_and(is_constraint) {
            return Err(refusals::equal_ids(target));
        }
        made.doing(PREPARING)?;
    }
    Ok(add_column || add_index)
}

async fn has_unique_index(connection: &mut SqliteConnection, target: &WriteBackTarget) -> Result<bool> {
    sqlx::query_scalar!(
        r#"
        SELECT EXISTS (
            SELECT 1 FROM sqlite_schema AS t JOIN pragma_index_list(t.name) AS i
            WHERE t.type = 'table' AND t.name = ?1 COLLATE NOCASE AND i."unique"
              AND (SELECT count(*) FROM pragma_index_info(i.name)) = 1
              AND (SELECT name FROM pragma_index_info(i.name)) = ?2 COLLATE NOCASE
        ) AS "has!: bool"
        "#,
        target.table,
        target.id_column
    )
    .fetch_one(connection)
    .await
    .doing(LOOKING)
}
