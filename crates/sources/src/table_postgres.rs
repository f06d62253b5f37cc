//! A table or view of a PostgreSQL database.
//!
//! Each row arrives as one JSON array built by the server, so that every type a
//! column may have is understood without a decoder for each. It is read as text
//! and parsed here: a value that is no JSON number for us (1e400) spoils its
//! row, not the stream. `json`, not `jsonb`: of a name that a `json` column holds twice,
//! `jsonb` drops the first value without a word, and it costs the server a tenth more.

use std::str::FromStr;

use async_trait::async_trait;
use ferry_domain::{Code, SourceIdentity, ports::SourceError};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sqlx::{
    AssertSqlSafe, Connection, PgConnection, Row,
    postgres::{PgConnectOptions, PgRow},
};
use time::OffsetDateTime;

use crate::{
    ahead::{Ahead, Reader},
    digits,
    error::{listed, refuse},
    found::Found,
    mapping::{Mapping, RowSecurity},
    presets,
    rules::Raw,
    strict::{self, Parsed},
    table::{Case, Cell, Plan, Table, is_hash, quote},
    table_source::{Pages, TableSource},
    values::Dug,
};

pub(crate) struct PostgresPages {
    reader: Ahead<PostgresReader>,
    place: String,
    plan: Plan,
    encoding: Encoding,
}

struct PostgresReader {
    connection: PgConnection,
    first_page: String,
    next_page: String,
    /// Last key read, as text; as hex of its bytes from a server that does not know its encoding.
    last: Option<String>,
}

#[async_trait]
impl Reader for PostgresReader {
    type Row = PgRow;

    async fn page(&mut self) -> Result<Vec<PgRow>, sqlx::Error> {
        let query = match &self.last {
            None => sqlx::query(AssertSqlSafe(self.first_page.as_str())),
            Some(last) => sqlx::query(AssertSqlSafe(self.next_page.as_str())).bind(last),
        };
        let rows = query.fetch_all(&mut self.connection).await?;
        self.last = rows.last().map(|row| row.try_get(0)).transpose()?;
        Ok(rows)
    }
}

/// What the server says of the bytes of its texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    /// They are of one encoding, and arrive as UTF-8.
    Known,
    /// A database of SQL_ASCII holds any bytes, and refuses to send a page with a row that is not UTF-8.
    /// So values are asked for as hex of their bytes, and a bad row costs itself only.
    Unknown,
}

impl PostgresPages {
    pub(crate) async fn open(
        url: &SecretString,
        mapping: &Mapping,
        now: OffsetDateTime,
    ) -> Result<TableSource<Self>, SourceError> {
        let options = PgConnectOptions::from_str(url.expose_secret())
            .map_err(|_| {
                refuse(
                    "database",
                    "the URL can't be read",
                    "Write it as postgres://USER:PASSWORD@HOST:PORT/DATABASE",
                )
            })?
            .application_name("ferry source");
        let server = format!("{}:{}", options.get_host(), options.get_port());
        let database = options.get_database().unwrap_or(options.get_username()).to_owned();
        let place = format!("{server}/{database}");
        let mut connection =
            PgConnection::connect_with(&options).await.map_err(|e| unreachable(&place, &e))?;

        let Some((schema, wanted)) = mapping.table_name() else {
            let tables = tables(&mut connection).await.map_err(|e| broken(&place, &e))?;
            return Err(refuse(
                &place,
                "no table is named",
                format!("Set table to one of: {}", listed(&tables)),
            ));
        };
        let found = find(&mut connection, schema, wanted).await.map_err(|e| broken(&place, &e))?;
        let Some((schema, base, types)) = found else {
            let tables = tables(&mut connection).await.map_err(|e| broken(&place, &e))?;
            let what = match schema {
                Some(schema) => format!("there is no table {wanted:?} in the schema {schema:?}"),
                None => format!("there is no table {wanted:?} on this role's search path"),
            };
            return Err(refuse(&place, what, format!("Set table to one of: {}", listed(&tables))));
        };
        let place = format!("{place}/{schema}.{wanted}");
        if mapping.row_security == RowSecurity::Refuse {
            refuse_hidden_rows(&mut connection, &place, &base).await?;
        }
        let mut joined = Vec::new();
        for join in presets::joins(mapping.preset.as_deref()) {
            let other =
                find(&mut connection, Some(&schema), join.table).await.map_err(|e| broken(&place, &e))?;
            let (_, table, _) = other.ok_or_else(|| {
                let what = format!("the preset needs the table {:?}, which is not there", join.table);
                refuse(&place, what, "Use a mapping of your own instead of the preset")
            })?;
            if mapping.row_security == RowSecurity::Refuse {
                refuse_hidden_rows(&mut connection, &place, &table).await?;
            }
            joined.push(table);
        }
        let plan = Plan::new(mapping, &place, Case::Matters, &base, &joined)?;
        let key_column = mapping.columns.key.as_ref();
        let key_type = key_column.and_then(|key| base.columns.iter().position(|column| column == key));
        let key_type = key_type.map_or("text", |at| types[at].as_str());
        let encoding = encoding(&mut connection).await.map_err(|e| broken(&place, &e))?;
        let (select, after) = match encoding {
            Encoding::Known => (
                format!("{{key}}::text, json_build_array({})::text", plan.select(expression)),
                "$1::text".to_owned(),
            ),
            Encoding::Unknown => (
                format!("{}, json_build_array({})::text", as_bytes("{key}"), plan.select(bytes_expression)),
                "convert_from(decode($1::text, 'hex'), 'SQL_ASCII')".to_owned(),
            ),
        };
        let first_page = plan.page(&select, None);
        let next_page = plan.page(&select, Some(&format!("CAST({after} AS {key_type})")));
        let identity = SourceIdentity { kind: "postgres".to_owned(), location: place.clone() };
        let reader = Ahead::Resting(PostgresReader { connection, first_page, next_page, last: None });
        let pages = PostgresPages { reader, place, plan, encoding };
        Ok(TableSource::new(pages, identity, wanted, mapping, now))
    }
}

#[async_trait]
impl Pages for PostgresPages {
    async fn next_page(&mut self) -> Result<Vec<Raw>, SourceError> {
        let failed = |e: sqlx::Error| broken(&self.place, &e);
        let rows = self.reader.page().await.map_err(failed)?;
        let mut page = Vec::with_capacity(rows.len());
        for row in &rows {
            let json: &str = row.try_get(1).map_err(failed)?;
            page.push(values(&mut self.plan, json, self.encoding));
        }
        Ok(page)
    }

    async fn without_key(&mut self) -> Result<u64, SourceError> {
        let failed = |e: sqlx::Error| broken(&self.place, &e);
        let query = sqlx::query_scalar::<_, i64>(AssertSqlSafe(self.plan.without_key()));
        let connection = &mut self.reader.resting().map_err(failed)?.connection;
        let count = query.fetch_one(connection).await.map_err(failed)?;
        Ok(u64::try_from(count).unwrap_or(0)) // a count is never negative
    }

    fn found(&self) -> &Found {
        self.plan.found()
    }
}

fn expression(cell: &Cell) -> String {
    let column = &cell.column;
    if cell.presence_only {
        return format!("({column} IS NOT NULL AND {})", is_hash(&format!("btrim({column}::text)")));
    }
    column.clone()
}

/// The bytes of a value's text, as hex.
fn as_bytes(column: &str) -> String {
    format!("encode(convert_to({column}::text, 'SQL_ASCII'), 'hex')")
}

fn bytes_expression(cell: &Cell) -> String {
    if cell.presence_only { expression(cell) } else { as_bytes(&cell.column) }
}

/// The value whose text has these bytes.
fn of_bytes(value: Value) -> Result<Value, Code> {
    let Value::String(hex) = value else { return Ok(value) };
    let pair = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..hex.len()).step_by(2).map(pair).collect();
    let text = String::from_utf8(bytes.ok_or(Code::RecordInvalid)?).map_err(|_| Code::InvalidUtf8)?;
    Ok(Value::String(text))
}

fn values(plan: &mut Plan, json: &str, encoding: Encoding) -> Raw {
    let parsed = strict::parse(&digits::keep(json), |path| plan.read_at(path).is_some());
    let Some(Parsed { value: Value::Array(mut cells), twice }) = parsed else {
        return Err(Code::RecordInvalid);
    };
    if encoding == Encoding::Unknown {
        cells = cells.into_iter().map(of_bytes).collect::<Result<_, _>>()?;
    }
    let mut values = plan.values(cells);
    for at in twice.iter().filter_map(|path| plan.read_at(path)) {
        values[at] = Dug::Twice.into_value(); // one for each cell of the plan
    }
    Ok(values)
}

type Seen = (String, Table, Vec<String>);

/// A table with its schema, its columns and their types. Without a schema the search path leads, and
/// to the ledger's own schema last: for a user called `ferry` it would come first.
async fn find(db: &mut PgConnection, schema: Option<&str>, table: &str) -> Result<Option<Seen>, sqlx::Error> {
    let found: Option<(i64, String)> = sqlx::query_as(
        "SELECT c.oid::bigint, n.nspname::text FROM pg_catalog.pg_class c
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
           AND (n.nspname = $2 OR ($2 IS NULL AND n.nspname = ANY (current_schemas(true))))
         ORDER BY n.nspname = 'ferry', array_position(current_schemas(true), n.nspname) LIMIT 1",
    )
    .bind(table)
    .bind(schema)
    .fetch_optional(&mut *db)
    .await?;
    let Some((oid, schema)) = found else { return Ok(None) };
    let columns: Vec<(String, String)> = sqlx::query_as(
        "SELECT attname::text, pg_catalog.format_type(atttypid, atttypmod) FROM pg_catalog.pg_attribute
         WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
    )
    .bind(oid)
    .fetch_all(&mut *db)
    .await?;
    let quoted = format!("{}.{}", quote(&schema), quote(table));
    let (columns, types) = columns.into_iter().unzip();
    Ok(Some((schema, Table { quoted, columns }, types)))
}

/// Refuses a table of which policies may hide rows: people would be left out without a word. Behind
/// a view its owner's policies count. Setting `row_security` off, with which the server refuses such
/// a read itself, was rejected: through a pooler the setting would reach the application.
async fn refuse_hidden_rows(db: &mut PgConnection, place: &str, table: &Table) -> Result<(), SourceError> {
    let hides: bool = sqlx::query_scalar(
        "WITH RECURSIVE behind AS (
             SELECT $1::regclass::oid AS oid
             UNION
             SELECT depends.refobjid
             FROM behind
             JOIN pg_rewrite AS rule ON rule.ev_class = behind.oid
             JOIN pg_depend AS depends ON depends.classid = 'pg_rewrite'::regclass AND depends.objid = rule.oid
                 AND depends.refclassid = 'pg_class'::regclass
         )
         SELECT EXISTS (
             SELECT FROM behind
             JOIN pg_class AS class ON class.oid = behind.oid
             JOIN pg_class AS base ON base.oid = $1::regclass
             JOIN pg_roles AS owner ON owner.oid = base.relowner
             WHERE CASE WHEN class.oid = base.oid OR 'security_invoker=true' = ANY (base.reloptions)
                        THEN row_security_active(class.oid)
                        ELSE class.relrowsecurity AND NOT owner.rolsuper AND NOT owner.rolbypassrls
                             AND (class.relowner <> base.relowner OR class.relforcerowsecurity) END
         )",
    )
    .bind(&table.quoted)
    .fetch_one(db)
    .await
    .map_err(|e| broken(place, &e))?;
    if !hides {
        return Ok(());
    }
    Err(refuse(
        place,
        "row-level security is active for this database user, and people whom a policy hides would be left out",
        "Connect as a user with BYPASSRLS, or accept it by --accept ROW_SECURITY when every row is seen",
    ))
}

async fn encoding(db: &mut PgConnection) -> Result<Encoding, sqlx::Error> {
    let name: String =
        sqlx::query_scalar("SELECT pg_catalog.current_setting('server_encoding')").fetch_one(db).await?;
    Ok(if name == "SQL_ASCII" { Encoding::Unknown } else { Encoding::Known })
}

async fn tables(db: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT table_schema || '.' || table_name FROM information_schema.tables
         WHERE table_schema NOT IN ('pg_catalog', 'information_schema', 'ferry') ORDER BY 1",
    )
    .fetch_all(db)
    .await
}

fn unreachable(place: &str, error: &sqlx::Error) -> SourceError {
    let state = error.as_database_error().and_then(|e| e.code()).unwrap_or_default();
    match (error, &*state) {
        (_, "28P01" | "28000") => {
            refuse(place, "the server refuses these credentials", "Check user and password, and pg_hba.conf")
        }
        (_, "3D000") => refuse(place, "there is no such database", "Correct its name in the URL"),
        (_, "53300") => refuse(place, "the server has no connection left", "Try again later"),
        (sqlx::Error::Io(io), _) if io.to_string().starts_with("failed to lookup address information") => {
            refuse(place, "no such host is known", "Check its name in the URL, and whether DNS answers")
        }
        (sqlx::Error::Io(io), _) => refuse(
            place,
            format!("the server can't be reached ({})", io.kind()),
            "Check host, port and whether it runs",
        ),
        (sqlx::Error::Tls(_), _) => refuse(place, "TLS failed", "Check sslmode and sslrootcert in the URL"),
        (_, "") => refuse(
            place,
            "the connection failed",
            "Check the URL and whether a PostgreSQL server answers there",
        ),
        (_, state) => {
            refuse(place, format!("the server refuses the connection ({state})"), "See the server's log")
        }
    }
}

/// The texts of a server may quote values; the state says enough.
fn broken(place: &str, error: &sqlx::Error) -> SourceError {
    let state = error.as_database_error().and_then(|e| e.code()).unwrap_or_default();
    match &*state {
        "42501" => refuse(place, "this role may not read the mapped columns", "Grant it SELECT on them"),
        "57014" => {
            refuse(place, "the server cancelled the statement", "Raise statement_timeout for this role")
        }
        "22021" => refuse(
            place,
            "a row holds bytes that are no text in UTF-8 (SQLSTATE 22021)",
            "Find it by convert_from(convert_to(COLUMN, 'SQL_ASCII'), 'UTF8') on each column of text, and correct it",
        ),
        "42704" => refuse(
            place,
            "a policy or view of the table needs a setting that this connection lacks (SQLSTATE 42704)",
            "Read as a role that sees all rows, or set it by ALTER ROLE … SET",
        ),
        "42P05" | "26000" => refuse(
            place,
            "a pooler that shares connections is between Ferry and the server (SQLSTATE 42P05)",
            "Name the server itself in the URL, or a pooler in session mode",
        ),
        "42703" | "42P01" => refuse(
            place,
            "table or column vanished while it was read",
            "Plan again when nobody changes the schema",
        ),
        "" => refuse(place, "the connection broke while reading", "Check the server and plan again"),
        state => refuse(
            place,
            format!("the server refuses to read the table (SQLSTATE {state})"),
            "Look this code up in PostgreSQL's manual, appendix A; the server's log has the whole sentence",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_asked_for_by_presence_only() {
        let cell =
            Cell { column: "t.\"hash\"".into(), path: String::new(), presence_only: true, is_key: false };
        let sql = expression(&cell);
        assert!(
            sql.starts_with("(t.\"hash\" IS NOT NULL AND (btrim(t.\"hash\"::text) NOT IN ('', "),
            "{sql}"
        );
    }
}
