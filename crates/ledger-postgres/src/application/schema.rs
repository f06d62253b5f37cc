//! What a schema tool of the application sees of Ferry.

use ferry_domain::{
    WriteBackTarget,
    app_schema::{AppSchema, Column, Engine, INDEX_PREFIX, Index, NamedTable},
};
use sqlx::{PgConnection, query};

use super::look::look;
use crate::errors::Tried;

/// Reads it from the catalogue.
pub(crate) async fn schema(
    connection: &mut PgConnection,
    target: &WriteBackTarget,
    names: &[&str],
) -> Tried<AppSchema> {
    let found = look(connection, target).await?;
    let row = query!(
        r#"
        SELECT EXISTS (SELECT FROM pg_class AS class JOIN pg_namespace AS space ON space.oid = class.relnamespace
                       WHERE space.nspname = 'ferry' AND class.relname IN ('_migrations', 'runs', 'items'))
                   AS "ledger!",
               format_type(id.atttypid, id.atttypmod) AS type_name, id.attnotnull AS required,
               index.name AS "index_name?", index.predicate AS "predicate?"
        FROM (SELECT) AS one
        LEFT JOIN pg_attribute AS id
            ON id.attrelid::bigint = $1 AND id.attname::text = $2 AND id.attnum > 0 AND NOT id.attisdropped
        LEFT JOIN LATERAL (
            SELECT class.relname::text AS name, pg_get_expr(index.indpred, index.indrelid) AS predicate
            FROM pg_index AS index JOIN pg_class AS class ON class.oid = index.indexrelid
            WHERE index.indrelid = id.attrelid AND index.indisunique AND index.indisvalid
              AND index.indnkeyatts = 1 AND index.indkey[0] = id.attnum
            ORDER BY starts_with(class.relname::text, $3) DESC, class.relname
            LIMIT 1
        ) AS index ON true
        "#,
        found.oid,
        found.table.target.id_column,
        INDEX_PREFIX,
    )
    .fetch_one(&mut *connection)
    .await?;
    let column = row.type_name.map(|type_name| Column { type_name, nullable: row.required == Some(false) });
    let predicate = row.predicate.map(|text| without_brackets(&text).to_owned());
    Ok(AppSchema {
        engine: Engine::Postgres,
        target: found.table.target,
        column,
        index: row.index_name.map(|name| Index { name, predicate }),
        ledger: row.ledger,
        tables: named(connection, names).await?,
    })
}

async fn named(connection: &mut PgConnection, names: &[&str]) -> Result<Vec<NamedTable>, sqlx::Error> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let rows = query!(
        r#"
        SELECT space.nspname::text AS "schema!", class.relname::text AS "name!",
               ARRAY(SELECT attname::text FROM pg_attribute
                     WHERE attrelid = class.oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum) AS "columns!"
        FROM pg_class AS class JOIN pg_namespace AS space ON space.oid = class.relnamespace
        WHERE class.relkind IN ('r', 'p') AND class.relname::text = ANY ($1) AND space.nspname <> 'ferry'
        ORDER BY space.nspname, class.relname
        "#,
        &names,
    )
    .fetch_all(connection)
    .await?;
    let tables = rows.into_iter().map(|row| NamedTable {
        schema: Some(row.schema),
        name: row.name,
        columns: row.columns,
    });
    Ok(tables.collect())
}

/// The catalogue writes an expression in brackets of its own.
fn without_brackets(expression: &str) -> &str {
    let Some(inner) = expression.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) else {
        return expression;
    };
    let mut open = 0;
    for letter in inner.chars() {
        match letter {
            '(' => open += 1,
            ')' => open -= 1,
            _ => {}
        }
        if open < 0 {
            return expression; // (a) OR (b)
        }
    }
    inner
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_brackets_around_the_whole_are_left_out() {
        assert_eq!(without_brackets("(auth0_user_id <> ''::text)"), "auth0_user_id <> ''::text");
        assert_eq!(without_brackets("(a IS NULL) OR (b)"), "(a IS NULL) OR (b)");
        assert_eq!(without_brackets("a"), "a");
    }
}
