//! The application's table in the catalogue.

use ferry_domain::{
    SourceKey, WriteBackTarget,
    application::{AppTable, IdColumn, Relation, no_table},
    ports::LedgerError,
};
use ferry_ledger::Result;
use serde_json::Value;
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::{LOOKING, quoted, write};
use crate::errors::{Doing, is_about_rows, message};

/// The application's table, and how its keys compare.
pub(crate) struct Found {
    pub table: AppTable,
    pub key: KeyType,
    /// The address of a row `app`, where it is in a column of this table.
    pub email: Option<String>,
}

/// How SQLite compares the key column with a value ("affinity" in its manual).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyType {
    Text,
    Number,
    /// No declared type: a number and its text are different keys.
    Untyped,
}

impl KeyType {
    // SQLite's own rules, in its order (datatype3.html §3.1); upper case.
    fn of(declared: &str) -> Self {
        let has = |word: &str| declared.contains(word);
        if has("INT") {
            KeyType::Number
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            KeyType::Text
        } else if has("BLOB") || declared.is_empty() || declared == "ANY" {
            KeyType::Untyped
        } else {
            KeyType::Number
        }
    }

    /// The values a key may have in such a column, typed so that its index is used.
    pub(super) fn values(self, key: &SourceKey) -> Vec<Value> {
        let text = Value::from(key.0.as_str());
        let number = key.0.parse::<i64>().ok().filter(|n| n.to_string() == key.0).map(Value::from);
        match (self, number) {
            (KeyType::Number, Some(number)) => vec![number],
            (KeyType::Untyped, Some(number)) => vec![number, text],
            _ => vec![text],
        }
    }

    /// The hexadecimal digits of a key that may be bytes. Bytes may be in a column of any type.
    pub(super) fn bytes(self, key: &SourceKey) -> Option<&str> {
        let digits = key.0.strip_prefix("\\x").unwrap_or(&key.0);
        let hex = !digits.is_empty()
            && digits.len().is_multiple_of(2)
            && digits.bytes().all(|d| d.is_ascii_hexdigit());
        let a_number = self == KeyType::Number && digits.parse::<i64>().is_ok();
        (hex && !a_number).then_some(digits)
    }
}

/// Finds the table and its columns.
pub(crate) async fn look(connection: &mut SqliteConnection, target: &WriteBackTarget) -> Result<Found> {
    if let Some(schema) = target.schema.as_deref().filter(|schema| !schema.eq_ignore_ascii_case("main")) {
        let text = format!("SQLite has no schema {schema}; leave source.schema out");
        return Err(LedgerError::WriteBackTarget(text));
    }
    let columns = sqlx::query!(
        r#"
        SELECT lower(c.name) AS "name!: String", upper(c.type) AS "declared!: String", +c.pk AS "pk!: i64",
               c.hidden IN (2, 3) AS "computed!: bool", t.type = 'view' AS "is_view!: bool",
               coalesce((SELECT l.strict FROM pragma_table_list(t.name) AS l WHERE l.schema = 'main'), 0)
                   AS "strict!: bool"
        FROM sqlite_schema AS t JOIN pragma_table_xinfo(t.name) AS c
        WHERE t.type IN ('table', 'view') AND t.name = ?1 COLLATE NOCASE
        "#,
        target.table
    )
    .fetch_all(&mut *connection)
    .await
    .doing(LOOKING)?;
    let first = columns.first().ok_or_else(|| no_table(target))?;
    let named = |name: &str| columns.iter().find(|column| column.name.eq_ignore_ascii_case(name));
    let (key, id) = (named(&target.key_column), named(&target.id_column));
    let is_primary = |name: &str| {
        let mut primary = columns.iter().filter(|column| column.pk > 0);
        primary.next().is_some_and(|column| column.name.eq_ignore_ascii_case(name))
            && primary.next().is_none()
    };
    let key_unique =
        is_primary(&target.key_column) || unique_index(connection, target, &target.key_column, false).await?;
    let id_unique = unique_index(connection, target, &target.id_column, true).await?;
    let table = AppTable {
        target: target.clone(),
        relation: if first.is_view { Relation::View } else { Relation::Table },
        key: key.map(|_| key_unique),
        email: target.email_column.as_deref().is_none_or(|path| {
            named(path).is_some() || path.split_once('.').is_some_and(|(column, _)| named(column).is_some())
        }),
        id: id.map(|id| IdColumn {
            is_text: !first.strict || matches!(id.declared.as_str(), "TEXT" | "ANY"),
            computed: id.computed,
            most: None, // SQLite keeps no length
            unique: id_unique,
        }),
        lacks: Vec::new(),
        row_security: false,
        unprepared: None,
    };
    let key = KeyType::of(key.map_or("", |key| key.declared.as_str()));
    let email = target.email_column.as_deref().and_then(|path| {
        if named(path).is_some() {
            return Some(format!("CAST(app.{} AS TEXT)", quoted(path)));
        }
        let (column, rest) = path.split_once('.').filter(|(column, _)| named(column).is_some())?;
        (!rest.contains(['"', '\\'])).then(|| within_json(column, rest))
    });
    Ok(Found { table, key, email })
}

/// A value within a column of JSON; where the path leads nowhere, the reader found its way by
/// other rules, and nothing is said against the row.
fn within_json(column: &str, path: &str) -> String {
    let step = |step: &str| match step.parse::<u32>() {
        Ok(position) => format!("[{position}]"),
        Err(_) => format!(".\"{}\"", step.replace('\'', "''")),
    };
    let path: String = path.split('.').map(step).collect();
    let column = quoted(column);
    let value = format!("CASE WHEN json_valid(app.{column}) THEN json_extract(app.{column}, '${path}') END");
    // A name without dots in an object is found in one way only: there, none is another.
    match path.matches(['.', '[']).count() {
        1 => format!(
            "CASE WHEN app.{column} IS NULL OR json_valid(app.{column}) AND json_type(app.{column}) = 'object' \
             THEN {value} ELSE coalesce({value}, new.email) END"
        ),
        _ => format!("coalesce({value}, new.email)"),
    }
}

/// The same, and whether SQLite can prepare the write at all: triggers are part of the statement,
/// and may need functions that only the application has.
pub(crate) async fn look_closely(
    connection: &mut SqliteConnection,
    target: &WriteBackTarget,
) -> Result<Found> {
    let mut found = look(connection, target).await?;
    if found.table.check_writing().is_ok() {
        let explain = format!("EXPLAIN {}", write::update_sql(target));
        // Not kept for later: SQLite lists a kept EXPLAIN by the schema that it was prepared for.
        let explain = sqlx::query(AssertSqlSafe(explain)).persistent(false);
        let explained = explain.bind("[]").fetch_all(connection).await;
        match explained {
            Err(error) if is_about_rows(&error) => found.table.unprepared = Some(message(&error)),
            other => drop(other.doing(LOOKING)?),
        }
    }
    Ok(found)
}

async fn unique_index(
    connection: &mut SqliteConnection,
    target: &WriteBackTarget,
    column: &str,
    partial_too: bool,
) -> Result<bool> {
    sqlx::query_scalar!(
        r#"
        SELECT EXISTS (
            SELECT 1 FROM sqlite_schema AS t JOIN pragma_index_list(t.name) AS i
            WHERE t.type = 'table' AND t.name = ?1 COLLATE NOCASE AND i."unique" AND (?3 OR NOT i.partial)
              AND (SELECT count(*) FROM pragma_index_info(i.name)) = 1
              AND (SELECT name FROM pragma_index_info(i.name)) = ?2 COLLATE NOCASE
        ) AS "has!: bool"
        "#,
        target.table,
        column,
        partial_too
    )
    .fetch_one(connection)
    .await
    .doing(LOOKING)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_typed_as_its_column_compares() {
        let key = |text: &str| SourceKey(text.into());
        for declared in ["INTEGER", "BIGINT", "NUMERIC(10)", "REAL"] {
            assert_eq!(KeyType::of(declared).values(&key("42")), [json!(42)], "{declared}");
            assert_eq!(KeyType::of(declared).values(&key("042")), [json!("042")], "{declared}");
        }
        for declared in ["TEXT", "VARCHAR(40)", "CLOB"] {
            assert_eq!(KeyType::of(declared).values(&key("42")), [json!("42")], "{declared}");
        }
        assert_eq!(KeyType::of("").values(&key("42")), [json!(42), json!("42")]);
    }

    #[test]
    fn a_key_that_may_be_bytes_is_looked_for_as_bytes_too() {
        let bytes = |declared: &str, key: &str| {
            KeyType::of(declared).bytes(&SourceKey(key.into())).map(str::to_owned)
        };
        assert_eq!(bytes("BLOB", "00ffAB").as_deref(), Some("00ffAB"));
        assert_eq!(bytes("BLOB", "\\x00ff").as_deref(), Some("00ff"));
        assert_eq!(bytes("INTEGER", "42"), None);
        assert_eq!((bytes("BLOB", "abc"), bytes("TEXT", "ann@example.com")), (None, None));
    }
}
