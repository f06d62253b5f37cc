//! The application's own table: looking at it, preparing it, writing ids into it.
//!
//! The only SQL that is made at run time. Names come from settings, so each is
//! looked up in the catalogue first and quoted always.

mod prepare;

use std::collections::HashSet;

use ferry_domain::{
    Auth0UserId, Code, ItemSeq, SourceKey, WriteBackTarget,
    ports::{LedgerError, RefusedRow},
};
use ferry_ledger::{Result, refusals};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, SqliteConnection};

pub(crate) use prepare::prepare;

use crate::errors::{Doing, is_constraint, is_unique};

const LOOKING: &str = "could not look at the application's table";
const WRITING: &str = "could not write to the application's table";

/// What was found of the application's table.
pub(crate) struct Table {
    columns: Vec<String>,
    key: KeyType,
}

/// How SQLite compares the key column with a value ("affinity" in its manual).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyType {
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
    fn values(self, key: &SourceKey) -> Vec<Value> {
        let text = Value::from(key.0.as_str());
        let number = key.0.parse::<i64>().ok().filter(|n| n.to_string() == key.0).map(Value::from);
        match (self, number) {
            (KeyType::Number, Some(number)) => vec![number],
            (KeyType::Untyped, Some(number)) => vec![number, text],
            _ => vec![text],
        }
    }
}

impl Table {
    fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|name| name.eq_ignore_ascii_case(column))
    }

    /// The same table, once it has the column that gets the ids.
    pub fn with_id_column(self, target: &WriteBackTarget) -> Result<Table> {
        if self.has(&target.id_column) {
            return Ok(self);
        }
        Err(refusals::no_id_column(target))
    }
}

/// Finds the table and its key column.
pub(crate) async fn look(connection: &mut SqliteConnection, target: &WriteBackTarget) -> Result<Table> {
    if let Some(schema) = target.schema.as_deref().filter(|schema| !schema.eq_ignore_ascii_case("main")) {
        let text = format!("SQLite has no schema {schema}; leave it out");
        return Err(LedgerError::WriteBackTarget(text));
    }
    let columns = sqlx::query!(
        r#"
        SELECT lower(c.name) AS "name!: String", upper(c.type) AS "declared!: String"
        FROM sqlite_schema AS t JOIN pragma_table_info(t.name) AS c
        WHERE t.type = 'table' AND t.name = ?1 COLLATE NOCASE
        "#,
        target.table
    )
    .fetch_all(connection)
    .await
    .doing(LOOKING)?;
    if columns.is_empty() {
        return Err(refusals::no_table(target));
    }
    let key = columns.iter().find(|column| column.name.eq_ignore_ascii_case(&target.key_column));
    let key = key.ok_or_else(|| refusals::no_key_column(target))?;
    Ok(Table {
        key: KeyType::of(&key.declared),
        columns: columns.into_iter().map(|column| column.name).collect(),
    })
}

/// A row that is to get an id.
pub(crate) struct AppRow<'a> {
    pub seq: ItemSeq,
    pub key: &'a SourceKey,
    pub id: &'a Auth0UserId,
}

/// Writes ids where there is none, or the same one. Returns the rows that did not take
/// theirs, and why. A constraint costs its own row only: the group
/// is halved until that row is alone.
pub(crate) async fn write_ids(
    connection: &mut SqliteConnection,
    target: &WriteBackTarget,
    rows: &[AppRow<'_>],
) -> Result<Vec<RefusedRow>> {
    let table = look(connection, target).await?.with_id_column(target)?;
    let sql = update_sql(target);
    let mut refused = Vec::new();
    let mut groups = vec![rows];
    while let Some(group) = groups.pop() {
        match write_group(connection, &sql, table.key, group).await? {
            Group::Written(written) => {
                let missing = group.iter().filter(|new| !written.contains(new.id.0.as_str()));
                refused.extend(missing.map(|new| RefusedRow { seq: new.seq, code: Code::AppRowChanged }));
            }
            Group::Refused(code) if group.len() == 1 => refused.push(RefusedRow { seq: group[0].seq, code }),
            Group::Refused(_) => {
                let (first, second) = group.split_at(group.len() / 2);
                groups.extend([second, first]);
            }
        }
    }
    refused.sort_unstable_by_key(|row| row.seq);
    Ok(refused)
}

enum Group {
    /// Ids of the rows that came back.
    Written(HashSet<String>),
    /// None of the group was written.
    Refused(Code),
}

async fn write_group(
    connection: &mut SqliteConnection,
    sql: &str,
    key: KeyType,
    group: &[AppRow<'_>],
) -> Result<Group> {
    if group.is_empty() {
        return Ok(Group::Written(HashSet::new()));
    }
    let pairs: Vec<Value> = group
        .iter()
        .flat_map(|new| key.values(new.key).into_iter().map(|value| json!([value, new.id.0])))
        .collect();
    // The savepoint notices a constraint of kind ON CONFLICT ROLLBACK: it ends the
    // whole transaction, and what came after would be written without a fence.
    run(connection, "SAVEPOINT ferry_rows".to_owned()).await.doing(WRITING)?;
    let rows = sqlx::query_scalar::<_, String>(AssertSqlSafe(sql))
        .bind(Value::from(pairs).to_string())
        .fetch_all(&mut *connection)
        .await;
    match rows {
        Ok(rows) => {
            run(connection, "RELEASE ferry_rows".to_owned()).await.doing(WRITING)?;
            Ok(Group::Written(rows.into_iter().collect()))
        }
        Err(error) if is_constraint(&error) => {
            run(connection, "ROLLBACK TO ferry_rows".to_owned()).await.doing(WRITING)?;
            run(connection, "RELEASE ferry_rows".to_owned()).await.doing(WRITING)?;
            Ok(Group::Refused(if is_unique(&error) { Code::AppIdTaken } else { Code::AppRowRefused }))
        }
        Err(error) => Err(error).doing(WRITING),
    }
}

fn update_sql(target: &WriteBackTarget) -> String {
    let (table, key, id) = (quoted(&target.table), quoted(&target.key_column), quoted(&target.id_column));
    format!(
        "UPDATE main.{table} AS app SET {id} = new.auth0 \
         FROM (SELECT value ->> 0 AS source, value ->> 1 AS auth0 FROM json_each(?1)) AS new \
         WHERE app.{key} = new.source AND (app.{id} IS NULL OR app.{id} = new.auth0) \
         RETURNING {id}"
    )
}

async fn run(connection: &mut SqliteConnection, sql: String) -> std::result::Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(sql)).execute(connection).await.map(drop)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
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
    fn a_quote_in_a_name_stays_in_the_name() {
        assert_eq!(quoted(r#"a"; DROP TABLE b; --"#), r#""a""; DROP TABLE b; --""#);
    }
}
