//! Writing ids into the application's rows.
//!
//! Where no two rows can carry one key, one statement writes a group. If that does not write each of its
//! rows it is undone, and rows are looked for first: **a key that several rows carry is written to
//! none of them**, for one of the rows is somebody else's. **A row with another address than was planned gets no id**:
//! the account is another's, or the person's old one. Blanks are written over like NULL, and so are
//! the words that tools write for it. A row that the table
//! refuses costs itself only: the group is halved until that row is alone.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use ferry_domain::{
    Auth0UserId, Code, ItemSeq, SourceKey, WriteBackTarget, null,
    ports::{LedgerError, RefusedRow},
};
use ferry_ledger::Result;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::{
    WRITING,
    look::{Found, look},
    parts::Parts,
    quoted, run,
};
use crate::errors::{Doing, extended_code, is_about_rows, is_unique};

/// A row that is to get an id.
pub(super) struct AppRow<'a> {
    pub seq: ItemSeq,
    pub key: &'a SourceKey,
    pub id: &'a Auth0UserId,
    pub email: &'a str,
}

/// Why rows were not written.
pub(crate) enum Trouble {
    /// The ledger's word.
    Ledger(LedgerError),
    /// A row ended the transaction; the parts are smaller now, and all of it is to be done again.
    Ended,
}

impl From<LedgerError> for Trouble {
    fn from(error: LedgerError) -> Self {
        Trouble::Ledger(error)
    }
}

/// Writes ids where there is none, or the same one. Returns the rows that did not take
/// theirs, and why.
pub(super) async fn write_ids(
    connection: &mut SqliteConnection,
    target: &WriteBackTarget,
    rows: &[AppRow<'_>],
    parts: &mut Parts,
) -> std::result::Result<Vec<RefusedRow>, Trouble> {
    let found = look(connection, target).await?;
    found.table.check_writing()?;
    if parts.is_whole() {
        match write_all(connection, &found, rows).await? {
            All::Written => return Ok(Vec::new()),
            All::Ended(said) => {
                parts.divide(&(0..rows.len()), &said);
                return Err(Trouble::Ended);
            }
            All::NotSo => {}
        }
    }
    let hits = find(connection, &found, rows).await?;
    let sql = format!("{} RETURNING {}", update_sql(target), quoted(&target.id_column));
    let mut writer = Writer { connection, sql, found: &found, rows, hits };
    let mut refused = Vec::new();
    for part in parts.of(rows.len()) {
        match part.refused {
            Some(said) => refused.extend(rows[part.rows].iter().map(|row| refusal(row, said.clone()))),
            None => match writer.write(part.rows, &mut refused).await? {
                None => {}
                Some((ended, said)) => {
                    parts.divide(&ended, &said);
                    return Err(Trouble::Ended);
                }
            },
        }
    }
    refused.sort_unstable_by_key(|row| row.seq);
    Ok(refused)
}

/// What became of a whole group in one statement.
enum All {
    /// Each row has its id.
    Written,
    /// Nothing is written: not each row could be, or more than those of the group.
    NotSo,
    /// The whole transaction was undone.
    Ended(String),
}

/// Writes a group without a look at its rows. Counting is enough where a key is one value, and its
/// column unique: no row is counted twice, so as many as there are users are the users' own.
async fn write_all(connection: &mut SqliteConnection, found: &Found, rows: &[AppRow<'_>]) -> Result<All> {
    let given: Vec<Value> = rows.iter().enumerate().flat_map(|(at, row)| given(found, at, row)).collect();
    if found.table.key != Some(true) || given.len() != rows.len() {
        return Ok(All::NotSo);
    }
    let sql = format!("{} AND {}", update_sql(&found.table.target), same(found));
    run(connection, "SAVEPOINT ferry_rows".to_owned()).await.doing(WRITING)?;
    let written = sqlx::query(AssertSqlSafe(sql)).bind(Value::from(given).to_string());
    let said = match written.execute(&mut *connection).await {
        Ok(written) if written.rows_affected() == rows.len() as u64 => {
            run(connection, "RELEASE ferry_rows".to_owned()).await.doing(WRITING)?;
            return Ok(All::Written);
        }
        Ok(_) => String::new(),
        Err(error) if is_about_rows(&error) => code_of(&error),
        Err(error) => return Err(error).doing(WRITING),
    };
    // Without a transaction there is no savepoint either.
    if run(connection, "ROLLBACK TO ferry_rows".to_owned()).await.is_err() {
        return Ok(All::Ended(said));
    }
    run(connection, "RELEASE ferry_rows".to_owned()).await.doing(WRITING)?;
    Ok(All::NotSo)
}

/// SQLite's code, for people: its message may quote values.
fn code_of(error: &sqlx::Error) -> String {
    format!("SQLite code {}", extended_code(error).unwrap_or_default())
}

/// Whether a row has the address that was planned. As the reader compares; planned ones are ASCII.
fn same(found: &Found) -> String {
    match &found.email {
        Some(email) => format!("coalesce(lower(trim({email}, char(32, 9, 10, 13))) = new.email, false)"),
        None => "true".to_owned(),
    }
}

fn refusal(row: &AppRow<'_>, said: String) -> RefusedRow {
    RefusedRow { seq: row.seq, code: Code::AppRowRefused, said: Some(said) }
}

/// What was found of a key: how many rows carry it, and whether they have no other id.
#[derive(Clone, Copy)]
struct Hit {
    rows: i64,
    free: bool,
    /// Whether the address is the one that was planned.
    same: bool,
}

/// Looks for all keys; those that are not there have no entry.
async fn find(
    connection: &mut SqliteConnection,
    found: &Found,
    rows: &[AppRow<'_>],
) -> Result<HashMap<usize, Hit>> {
    let target = &found.table.target;
    let (table, key, id) = (quoted(&target.table), quoted(&target.key_column), quoted(&target.id_column));
    let sql = format!(
        "SELECT new.number, count(*), min({}), min({}) FROM {GIVEN} AS new \
         CROSS JOIN main.{table} AS app ON app.{key} = new.source GROUP BY new.number",
        free(&id),
        same(found)
    );
    let given: Vec<Value> = rows.iter().enumerate().flat_map(|(at, row)| given(found, at, row)).collect();
    let hits = sqlx::query_as::<_, (i64, i64, bool, bool)>(AssertSqlSafe(sql))
        .bind(Value::from(given).to_string())
        .fetch_all(connection)
        .await
        .doing(WRITING)?;
    let hit = |(at, rows, free, same)| Some((usize::try_from(at).ok()?, Hit { rows, free, same }));
    Ok(hits.into_iter().filter_map(hit).collect())
}

struct Writer<'a> {
    connection: &'a mut SqliteConnection,
    sql: String,
    found: &'a Found,
    rows: &'a [AppRow<'a>],
    hits: HashMap<usize, Hit>,
}

/// What became of a group in one statement.
enum Group {
    /// Ids of the rows that came back.
    Written(HashSet<String>),
    /// None of the group was written.
    Refused(Code, String),
    /// The whole transaction was undone.
    Ended(String),
}

impl Writer<'_> {
    /// Writes a part; gives back the rows among which one ended the transaction.
    async fn write(
        &mut self,
        part: Range<usize>,
        refused: &mut Vec<RefusedRow>,
    ) -> Result<Option<(Range<usize>, String)>> {
        let mut groups = vec![part];
        while let Some(group) = groups.pop() {
            match self.write_group(group.clone()).await? {
                Group::Written(written) => {
                    refused.extend(group.filter_map(|at| {
                        let (code, said) = self.fate(at, &written)?;
                        Some(RefusedRow { seq: self.rows[at].seq, code, said })
                    }));
                }
                Group::Refused(code, said) if group.len() == 1 => {
                    refused.push(RefusedRow { seq: self.rows[group.start].seq, code, said: Some(said) });
                }
                Group::Refused(..) => {
                    let middle = group.start + group.len() / 2;
                    groups.extend([middle..group.end, group.start..middle]);
                }
                Group::Ended(said) => return Ok(Some((group, said))),
            }
        }
        Ok(None)
    }

    /// Why a row did not take its id; `None` if it did.
    fn fate(&self, at: usize, written: &HashSet<String>) -> Option<(Code, Option<String>)> {
        match self.hits.get(&at) {
            None | Some(Hit { rows: 1, free: false, .. }) => Some((Code::AppRowChanged, None)),
            Some(Hit { rows: 2.., .. }) => Some((Code::AppKeyShared, None)),
            Some(Hit { same: false, .. }) => Some((Code::AppRowChanged, Some("email".to_owned()))),
            Some(_) if written.contains(self.rows[at].id.0.as_str()) => None,
            // A trigger that ignores a change leaves the row as it is.
            Some(_) => Some((Code::AppRowRefused, None)),
        }
    }

    async fn write_group(&mut self, group: Range<usize>) -> Result<Group> {
        let ready =
            group.filter(|at| matches!(self.hits.get(at), Some(Hit { rows: 1, free: true, same: true })));
        let given: Vec<Value> = ready.flat_map(|at| given(self.found, at, &self.rows[at])).collect();
        if given.is_empty() {
            return Ok(Group::Written(HashSet::new()));
        }
        run(self.connection, "SAVEPOINT ferry_rows".to_owned()).await.doing(WRITING)?;
        let rows = sqlx::query_scalar::<_, String>(AssertSqlSafe(self.sql.as_str()))
            .bind(Value::from(given).to_string())
            .fetch_all(&mut *self.connection)
            .await;
        let error = match rows {
            Ok(rows) => {
                run(self.connection, "RELEASE ferry_rows".to_owned()).await.doing(WRITING)?;
                return Ok(Group::Written(rows.into_iter().collect()));
            }
            Err(error) if is_about_rows(&error) => error,
            Err(error) => return Err(error).doing(WRITING),
        };
        let said = code_of(&error);
        tracing::warn!(said, "the application's table refused a row");
        // Without a transaction there is no savepoint either.
        if run(self.connection, "ROLLBACK TO ferry_rows".to_owned()).await.is_err() {
            return Ok(Group::Ended(said));
        }
        run(self.connection, "RELEASE ferry_rows".to_owned()).await.doing(WRITING)?;
        let code = if is_unique(&error) { Code::AppIdTaken } else { Code::AppRowRefused };
        Ok(Group::Refused(code, said))
    }
}

/// Rows as [`given`] makes them. A key of bytes is told in hexadecimal digits.
pub(super) const GIVEN: &str = "(SELECT value ->> 0 AS number, \
     CASE WHEN value ->> 2 THEN unhex(value ->> 1) ELSE value ->> 1 END AS source, value ->> 3 AS auth0, \
     value ->> 4 AS email \
     FROM jsonb_each(?1))";

/// One entry for each value that the key may have in its column.
pub(super) fn given(found: &Found, at: usize, row: &AppRow<'_>) -> Vec<Value> {
    let text = found.key.values(row.key).into_iter().map(|value| (value, false));
    let bytes = found.key.bytes(row.key).map(|digits| (Value::from(digits), true));
    text.chain(bytes).map(|(value, hex)| json!([at, value, hex, row.id.0, row.email])).collect()
}

/// Whether a row has no other id.
fn free(id: &str) -> String {
    let none = null::sql_list();
    format!("(app.{id} IS NULL OR trim(app.{id}) IN ({none}) OR app.{id} = new.auth0)")
}

pub(super) fn update_sql(target: &WriteBackTarget) -> String {
    let (table, key, id) = (quoted(&target.table), quoted(&target.key_column), quoted(&target.id_column));
    format!(
        "UPDATE main.{table} AS app SET {id} = new.auth0 FROM {GIVEN} AS new \
         WHERE app.{key} = new.source AND {}",
        free(&id)
    )
}
