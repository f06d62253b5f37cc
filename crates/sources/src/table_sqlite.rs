//! A table or view of an SQLite database file. Opened read-only.
//!
//! SQLite's columns hold any type in any row, so each value is read by the type
//! it has, and the last key of a page goes back into the next statement as the
//! type it came in.

use std::{path::Path, time::Duration};

use async_trait::async_trait;
use ferry_domain::{Code, SourceIdentity, hex::hex, ports::SourceError};
use serde_json::Value;
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Connection, Row, SqliteConnection, TypeInfo, ValueRef,
    sqlite::{SqliteConnectOptions, SqliteRow},
};
use time::OffsetDateTime;

use crate::{
    ahead::{Ahead, Reader},
    error::{listed, refuse},
    file::existing,
    found::Found,
    mapping::Mapping,
    presets,
    rules::Raw,
    table::{Case, Cell, PAGE, Plan, Table, is_hash, quote},
    table_source::{Pages, TableSource},
};

/// How long to wait for a writer of the application.
const BUSY: Duration = Duration::from_secs(10);

pub(crate) struct SqlitePages {
    reader: Ahead<SqliteReader>,
    place: String,
    plan: Plan,
}

struct SqliteReader {
    connection: SqliteConnection,
    first_page: String,
    next_page: String,
    last: Option<Key>,
}

#[async_trait]
impl Reader for SqliteReader {
    type Row = SqliteRow;

    async fn page(&mut self) -> Result<Vec<SqliteRow>, sqlx::Error> {
        let next = || sqlx::query(AssertSqlSafe(self.next_page.as_str()));
        let query = match self.last.take() {
            None => sqlx::query(AssertSqlSafe(self.first_page.as_str())),
            Some(Key::Int(key)) => next().bind(key),
            Some(Key::Real(key)) => next().bind(key),
            Some(Key::Text(key)) => next().bind(key),
            Some(Key::Blob(key)) => next().bind(key),
        };
        let rows = query.fetch_all(&mut self.connection).await?;
        self.last = rows.last().map(key).transpose()?;
        Ok(rows)
    }
}

/// A key as SQLite stores it.
enum Key {
    Int(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

impl SqlitePages {
    pub(crate) async fn open(
        path: &Path,
        mapping: &Mapping,
        now: OffsetDateTime,
    ) -> Result<TableSource<Self>, SourceError> {
        let shown = path.display().to_string();
        let canonical = existing(path)?;
        let options = SqliteConnectOptions::new()
            .filename(&canonical)
            .read_only(true)
            .create_if_missing(false)
            .busy_timeout(BUSY)
            // A page is handed over without a pause: two threads woke each other for each row of it.
            .row_buffer_size(PAGE)
            .disable_statement_logging();
        let mut connection =
            SqliteConnection::connect_with(&options).await.map_err(|e| broken(&shown, &e))?;

        let Some((schema, wanted)) = mapping.table_name() else {
            let tables = tables(&mut connection).await.map_err(|e| broken(&shown, &e))?;
            return Err(refuse(
                &shown,
                "no table is named",
                format!("Set table to one of: {}", listed(&tables)),
            ));
        };
        if let Some(schema) = schema.filter(|schema| !schema.eq_ignore_ascii_case("main")) {
            let what = format!("SQLite has no schema {schema:?}");
            return Err(refuse(&shown, what, "Name the table alone"));
        }
        let Some(base) = find(&mut connection, wanted).await.map_err(|e| broken(&shown, &e))? else {
            let tables = tables(&mut connection).await.map_err(|e| broken(&shown, &e))?;
            let what = format!("there is no table {wanted:?}");
            return Err(refuse(&shown, what, format!("Set table to one of: {}", listed(&tables))));
        };
        let place = format!("{shown}#{wanted}");
        let mut joined = Vec::new();
        for join in presets::joins(mapping.preset.as_deref()) {
            let other = find(&mut connection, join.table).await.map_err(|e| broken(&place, &e))?;
            joined.push(other.ok_or_else(|| {
                let what = format!("the preset needs the table {:?}, which is not there", join.table);
                refuse(&place, what, "Use a mapping of your own instead of the preset")
            })?);
        }
        let plan = Plan::new(mapping, &place, Case::Ignored, &base, &joined)?;
        let select = format!("{{key}}, {}", plan.select(expression));
        let (first_page, next_page) = (plan.page(&select, None), plan.page(&select, Some("?1")));
        let location = format!("{}#{wanted}", canonical.display());
        let reader = Ahead::Resting(SqliteReader { connection, first_page, next_page, last: None });
        let pages = SqlitePages { reader, place, plan };
        let identity = SourceIdentity { kind: "sqlite".to_owned(), location };
        Ok(TableSource::new(pages, identity, wanted, mapping, now))
    }
}

#[async_trait]
impl Pages for SqlitePages {
    async fn next_page(&mut self) -> Result<Vec<Raw>, SourceError> {
        let rows = self.reader.page().await.map_err(|e| broken(&self.place, &e))?;
        let is_key: Vec<bool> = self.plan.cells.iter().flatten().map(|cell| cell.is_key).collect();
        let read = |row: &SqliteRow| {
            is_key
                .iter()
                .enumerate()
                .map(|(at, key)| cell(row, at + 1, *key))
                .collect::<Result<Vec<_>, Code>>()
        };
        Ok(rows.iter().map(|row| read(row).map(|cells| self.plan.values(cells))).collect())
    }

    fn found(&self) -> &Found {
        self.plan.found()
    }

    async fn without_key(&mut self) -> Result<u64, SourceError> {
        let failed = |e: sqlx::Error| broken(&self.place, &e);
        let query = sqlx::query_scalar::<_, i64>(AssertSqlSafe(self.plan.without_key()));
        let connection = &mut self.reader.resting().map_err(failed)?.connection;
        let count = query.fetch_one(connection).await.map_err(failed)?;
        Ok(u64::try_from(count).unwrap_or(0)) // a count is never negative
    }
}

fn expression(cell: &Cell) -> String {
    let column = &cell.column;
    if cell.presence_only {
        let text = format!("trim(CAST({column} AS TEXT))");
        return format!("nullif({}, 0)", is_hash(&text)); // null without one
    }
    column.clone()
}

/// A value as JSON. 0 and 1 of a column declared BOOLEAN are booleans, as they
/// would be in PostgreSQL. A key of bytes is `\x` and hex digits, as PostgreSQL writes it;
/// write-back reads that form.
fn cell(row: &SqliteRow, at: usize, is_key: bool) -> Result<Value, Code> {
    let unreadable = |_| Code::RecordInvalid;
    let raw = row.try_get_raw(at).map_err(unreadable)?;
    // Of NULL the driver tells the type that the column was declared with.
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let stored = raw.type_info().name().to_owned();
    let declared_boolean = row.column(at).type_info().name() == "BOOLEAN";
    match stored.as_str() {
        "INTEGER" | "BOOLEAN" => match row.try_get_unchecked::<i64, _>(at).map_err(unreadable)? {
            number @ (0 | 1) if declared_boolean => Ok(Value::Bool(number == 1)),
            number => Ok(Value::from(number)),
        },
        "BLOB" if is_key => {
            let bytes = row.try_get_unchecked::<Vec<u8>, _>(at).map_err(unreadable)?;
            Ok(Value::String(format!("\\x{}", hex(&bytes))))
        }
        "REAL" => row.try_get_unchecked::<f64, _>(at).map(Value::from).map_err(unreadable),
        _ => {
            let bytes = row.try_get_unchecked::<Vec<u8>, _>(at).map_err(unreadable)?;
            String::from_utf8(bytes).map(Value::String).map_err(|_| Code::InvalidUtf8)
        }
    }
}

fn key(row: &SqliteRow) -> Result<Key, sqlx::Error> {
    Ok(match row.try_get_raw(0)?.type_info().name() {
        "INTEGER" => Key::Int(row.try_get_unchecked(0)?),
        "REAL" => Key::Real(row.try_get_unchecked(0)?),
        "TEXT" => Key::Text(row.try_get_unchecked(0)?),
        _ => Key::Blob(row.try_get_unchecked(0)?),
    })
}

async fn find(db: &mut SqliteConnection, table: &str) -> Result<Option<Table>, sqlx::Error> {
    let name: Option<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE",
    )
    .bind(table)
    .fetch_optional(&mut *db)
    .await?;
    let Some(name) = name else { return Ok(None) };
    let columns =
        sqlx::query_scalar("SELECT name FROM pragma_table_xinfo(?1)").bind(&name).fetch_all(&mut *db).await?;
    Ok(Some(Table { quoted: quote(&name), columns }))
}

async fn tables(db: &mut SqliteConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
         AND name NOT LIKE 'ferry\\_%' ESCAPE '\\' ORDER BY 1",
    )
    .fetch_all(db)
    .await
}

/// SQLite's texts may quote values, so only the code is shown. The lower eight bits
/// are the primary code.
fn broken(place: &str, error: &sqlx::Error) -> SourceError {
    let code = error.as_database_error().and_then(|e| e.code()?.parse::<u32>().ok());
    match code.map(|code| code & 0xff) {
        Some(26) => refuse(
            place,
            "this is no SQLite database",
            "Name the database file, or pass --format for another kind",
        ),
        Some(5 | 6) => refuse(
            place,
            "the database stayed locked by another process",
            "End the long transaction and try again",
        ),
        Some(11) => refuse(place, "the database file is damaged", "Restore it from a backup"),
        Some(14) => refuse(
            place,
            "the database file can't be opened",
            "Check that this user may read it and its folder",
        ),
        Some(code) => refuse(
            place,
            format!("SQLite answered with error {code}"),
            "Check the file with the sqlite3 command",
        ),
        None => refuse(place, "the database can't be read", "Check the file with the sqlite3 command"),
    }
}
