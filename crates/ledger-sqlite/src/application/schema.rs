//! What a schema tool of the application sees of Ferry.

use ferry_domain::{
    WriteBackTarget,
    app_schema::{self, AppSchema, Column, Engine, INDEX_PREFIX, Index, NamedTable},
};
use ferry_ledger::Result;
use sqlx::SqliteConnection;

use super::{LOOKING, look::look};
use crate::errors::Doing;

/// Tables by which a ledger is known; an application may have others that begin with `ferry_`.
const LEDGER: [&str; 3] = ["ferry_migrations", "ferry_runs", "ferry_items"];

/// Reads it from the catalogue.
pub(crate) async fn schema(
    connection: &mut SqliteConnection,
    target: &WriteBackTarget,
    names: &[&str],
) -> Result<AppSchema> {
    let target = look(connection, target).await?.table.target;
    let column = sqlx::query!(
        r#"
        SELECT +c.type AS "type_name!: String", NOT c."notnull" AS "nullable!: bool"
        FROM pragma_table_xinfo(?1) AS c WHERE c.name = ?2 COLLATE NOCASE
        "#,
        target.table,
        target.id_column
    )
    .fetch_optional(&mut *connection)
    .await
    .doing(LOOKING)?;
    Ok(AppSchema {
        engine: Engine::Sqlite,
        column: column.map(|row| Column { type_name: row.type_name, nullable: row.nullable }),
        index: index(connection, &target).await?,
        ledger: !named(connection, &LEDGER).await?.is_empty(),
        tables: named(connection, names).await?,
        target,
    })
}

async fn index(connection: &mut SqliteConnection, target: &WriteBackTarget) -> Result<Option<Index>> {
    let ours = format!("{INDEX_PREFIX}*");
    let found = sqlx::query!(
        r#"
        SELECT +i.name AS "name!: String", s.sql AS "sql: String"
        FROM sqlite_schema AS t JOIN pragma_index_list(t.name) AS i LEFT JOIN sqlite_schema AS s
            ON s.type = 'index' AND s.name = i.name
        WHERE t.type = 'table' AND t.name = ?1 COLLATE NOCASE AND i."unique"
          AND (SELECT count(*) FROM pragma_index_info(i.name)) = 1
          AND (SELECT name FROM pragma_index_info(i.name)) = ?2 COLLATE NOCASE
        ORDER BY i.name GLOB ?3 DESC, i.name LIMIT 1
        "#,
        target.table,
        target.id_column,
        ours
    )
    .fetch_optional(connection)
    .await
    .doing(LOOKING)?;
    Ok(found.map(|row| Index {
        name: row.name,
        predicate: row.sql.as_deref().and_then(app_schema::predicate).map(str::to_owned),
    }))
}

async fn named(connection: &mut SqliteConnection, names: &[&str]) -> Result<Vec<NamedTable>> {
    let names = serde_json::Value::from(names.to_vec()).to_string();
    let rows = sqlx::query!(
        r#"
        SELECT t.name AS "name!: String", +c.name AS "column!: String"
        FROM sqlite_schema AS t JOIN pragma_table_xinfo(t.name) AS c
        WHERE t.type = 'table' AND EXISTS (SELECT 1 FROM json_each(?1) WHERE value = t.name COLLATE NOCASE)
        ORDER BY t.name, c.cid
        "#,
        names
    )
    .fetch_all(connection)
    .await
    .doing(LOOKING)?;
    let mut tables: Vec<NamedTable> = Vec::new();
    for row in rows {
        match tables.last_mut().filter(|table| table.name == row.name) {
            Some(table) => table.columns.push(row.column),
            None => tables.push(NamedTable { schema: None, name: row.name, columns: vec![row.column] }),
        }
    }
    Ok(tables)
}
