//! `auth0_user_id` in the application's own table, while the application lives.
//!
//! The SQL is made at run time, so names are looked up in the catalogue first and
//! then quoted by it. The key arrives as text and is cast to the column's type
//! (`key = given.key::bigint`): the other way round no index of the application's
//! would serve. Rows are locked in order of key; a partial unique index (see
//! `prepare`) keeps Ferry and the application from waiting for each other's index entries.

mod prepare;

use std::sync::{Arc, Mutex, PoisonError};

use ferry_domain::{
    Code, ItemSeq, WriteBackTarget,
    ports::{LedgerError, RefusedRow},
};
use ferry_ledger::refusals;
use sqlx::{AssertSqlSafe, Connection, PgConnection, query, query_scalar};

pub(crate) use prepare::prepare;

use crate::{
    PostgresLedger,
    errors::{self, Fault, Tried},
};

/// A row that is to get an id.
pub(crate) struct AppRow<'a> {
    pub seq: ItemSeq,
    pub key: &'a str,
    pub id: &'a str,
}

/// How rows are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// All in one statement.
    Whole,
    /// In halves of halves around rows that the table refuses.
    Split,
}

/// A table of the application, as the catalogue knows it. Names are quoted.
pub(crate) struct Table {
    pub oid: i64,
    pub name: String,
    pub key: Option<String>,
    pub key_type: Option<String>,
    pub id: Option<String>,
    pub id_is_text: bool,
    pub partitioned: bool,
    pub may_read_key: bool,
    pub may_write_id: bool,
}

/// Looks a target up; `None` where there is no such table.
pub(crate) async fn look_up(
    connection: &mut PgConnection,
    target: &WriteBackTarget,
) -> Result<Option<Table>, sqlx::Error> {
    // format_type with -1: without a length, but `bpchar` instead of `character`,
    // which as a cast would mean one character.
    let row = query!(
        r#"
        SELECT class.oid::bigint AS "oid!",
               format('%I.%I', space.nspname, class.relname) AS "name!",
               class.relkind::text AS "kind!",
               quote_ident(key.attname) AS key,
               format_type(key.atttypid, -1) AS key_type,
               quote_ident(id.attname) AS id,
               (id_type.typcategory = 'S') IS TRUE AS "id_is_text!",
               has_column_privilege(class.oid, key.attnum, 'SELECT') IS TRUE AS "may_read_key!",
               has_column_privilege(class.oid, id.attnum, 'UPDATE') IS TRUE AS "may_write_id!"
        FROM pg_class AS class
        JOIN pg_namespace AS space ON space.oid = class.relnamespace
        LEFT JOIN pg_attribute AS key
            ON key.attrelid = class.oid AND key.attname::text = $3 AND key.attnum > 0 AND NOT key.attisdropped
        LEFT JOIN pg_attribute AS id
            ON id.attrelid = class.oid AND id.attname::text = $4 AND id.attnum > 0 AND NOT id.attisdropped
        LEFT JOIN pg_type AS id_type ON id_type.oid = id.atttypid
        WHERE class.oid = to_regclass(CASE WHEN $1::text IS NULL THEN quote_ident($2)
                                           ELSE format('%I.%I', $1::text, $2) END)
          AND class.relkind IN ('r', 'p')
        "#,
        target.schema,
        target.table,
        target.key_column,
        target.id_column,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Table {
        oid: row.oid,
        name: row.name,
        key: row.key,
        key_type: row.key_type,
        id: row.id,
        id_is_text: row.id_is_text,
        partitioned: row.kind == "p",
        may_read_key: row.may_read_key,
        may_write_id: row.may_write_id,
    }))
}

/// The statement for a table that has all that write-back needs.
pub(crate) fn update_statement(
    target: &WriteBackTarget,
    table: Option<&Table>,
) -> Result<String, LedgerError> {
    let lacks = |what: String| LedgerError::WriteBackTarget(what);
    let shown = refusals::shown(target);
    let table = table.ok_or_else(|| refusals::no_table(target))?;
    let (Some(key), Some(key_type)) = (&table.key, &table.key_type) else {
        return Err(refusals::no_key_column(target));
    };
    let Some(id) = &table.id else {
        return Err(refusals::no_id_column(target));
    };
    if !table.id_is_text {
        return Err(lacks(format!("column {} of {shown} is not text", target.id_column)));
    }
    if !(table.may_read_key && table.may_write_id) {
        let columns = format!("SELECT on {}, UPDATE on {}", target.key_column, target.id_column);
        return Err(lacks(format!("the database user lacks privileges on {shown}: {columns}")));
    }
    let name = &table.name;
    Ok(format!(
        "WITH given AS (
             SELECT pair.key::{key_type} AS key, pair.id, pair.number
             FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS pair (key, id, number)
         ), locked AS MATERIALIZED (
             SELECT app.{key} AS key
             FROM {name} AS app JOIN given ON app.{key} = given.key
             ORDER BY app.{key}
             FOR NO KEY UPDATE OF app
         ), ready AS MATERIALIZED (
             SELECT count(*) FROM locked
         )
         UPDATE {name} AS app
         SET {id} = given.id
         FROM given, ready
         WHERE app.{key} = given.key AND (app.{id} IS NULL OR app.{id} = given.id)
         RETURNING given.number"
    ))
}

/// Statements of the targets met so far: one or two in a process's life.
#[derive(Default)]
pub(crate) struct Targets(Mutex<Vec<(WriteBackTarget, Arc<str>)>>);

impl Targets {
    fn get(&self, target: &WriteBackTarget) -> Option<Arc<str>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|(of, _)| of == target).map(|(_, statement)| statement.clone())
    }

    fn put(&self, target: &WriteBackTarget, statement: Arc<str>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((target.clone(), statement));
    }

    fn forget(&self, target: &WriteBackTarget) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(of, _)| of != target);
    }

    /// Gives rows their ids; returns those that did not take them, and why.
    pub(crate) async fn write(
        &self,
        connection: &mut PgConnection,
        target: &WriteBackTarget,
        statement: &Arc<str>,
        rows: &[AppRow<'_>],
        group: Group,
    ) -> Tried<Vec<RefusedRow>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let written = match group {
            Group::Whole => update(connection, statement, rows).await,
            Group::Split => split(connection, statement, rows).await,
        };
        if let Err(Fault::Sql(error)) = &written
            && errors::database(error).is_some_and(|refused| refused.code().starts_with("42"))
        {
            self.forget(target); // the table is not as it was: look again next time
        }
        written
    }
}

impl PostgresLedger {
    /// The statement that writes to a target.
    pub(crate) async fn application(
        &self,
        connection: &mut PgConnection,
        target: &WriteBackTarget,
    ) -> Tried<Arc<str>> {
        if let Some(statement) = self.targets.get(target) {
            return Ok(statement);
        }
        let table = look_up(connection, target).await?;
        let statement: Arc<str> = update_statement(target, table.as_ref())?.into();
        self.targets.put(target, statement.clone());
        Ok(statement)
    }
}

async fn update(
    connection: &mut PgConnection,
    statement: &Arc<str>,
    rows: &[AppRow<'_>],
) -> Tried<Vec<RefusedRow>> {
    let keys: Vec<&str> = rows.iter().map(|row| row.key).collect();
    let ids: Vec<&str> = rows.iter().map(|row| row.id).collect();
    // Names come quoted from the catalogue, values are bound.
    let written: Vec<i64> = query_scalar(AssertSqlSafe(statement.clone()))
        .bind(&keys)
        .bind(&ids)
        .fetch_all(connection)
        .await
        .map_err(|error| match row_refusal(&error) {
            Some(code) => Fault::AppRows(code),
            None => Fault::Sql(error),
        })?;
    let mut missing = vec![true; rows.len()];
    for number in written {
        if let Some(row) = usize::try_from(number - 1).ok().and_then(|at| missing.get_mut(at)) {
            *row = false;
        }
    }
    let refused = rows.iter().zip(missing).filter(|(_, missing)| *missing);
    Ok(refused.map(|(row, _)| RefusedRow { seq: row.seq, code: Code::AppRowChanged }).collect())
}

/// One bad row of n costs about 2·log₂ n statements, and nothing else.
async fn split(
    connection: &mut PgConnection,
    statement: &Arc<str>,
    rows: &[AppRow<'_>],
) -> Tried<Vec<RefusedRow>> {
    let mut refused = Vec::new();
    let mut left = vec![rows];
    while let Some(part) = left.pop() {
        let mut savepoint = connection.begin().await?;
        match update(&mut savepoint, statement, part).await {
            Ok(changed) => {
                savepoint.commit().await?;
                refused.extend(changed);
            }
            Err(Fault::AppRows(code)) => {
                savepoint.rollback().await?;
                if let [row] = part {
                    refused.push(RefusedRow { seq: row.seq, code });
                } else {
                    let (first, second) = part.split_at(part.len() / 2);
                    left.extend([second, first]);
                }
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok(refused)
}

/// Whether an error is about one row's data, and what its item is called then:
/// bad values, constraints, a check option, and what triggers raise.
fn row_refusal(error: &sqlx::Error) -> Option<Code> {
    let refused = errors::database(error)?;
    match refused.code() {
        "23505" => Some(Code::AppIdTaken),
        code if ["22", "23", "44", "P0"].contains(&&code[..2]) => {
            let (sqlstate, constraint) = (code, refused.constraint());
            tracing::warn!(sqlstate, constraint, "the application's table refused a row");
            Some(Code::AppRowRefused)
        }
        _ => None,
    }
}
