//! Groups of rows, written by one statement, or split around what the table refuses.

use std::{collections::HashSet, sync::Arc};

use ferry_domain::{
    Code, WriteBackTarget,
    ports::{AppRows, LedgerError, RefusedRow},
};
use sqlx::{AssertSqlSafe, Connection, FromRow, PgConnection, postgres::PgRow, query_as, query_scalar};

use super::{
    AppRow, fault, look,
    write::{self, Hit},
};
use crate::errors::{self, Fault, Refusal, Tried};

/// What is asked of a target's table; made from the catalogue.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Statements {
    quick: Arc<str>,
    update: Arc<str>,
    lock: Arc<str>,
}

/// The statements for a target, which must have all that write-back needs.
pub(super) async fn statements_for(
    connection: &mut PgConnection,
    target: &WriteBackTarget,
) -> Tried<Statements> {
    let found = look(connection, target).await?;
    found.table.check_writing()?;
    Ok(Statements {
        quick: write::quick_update(&found).into(),
        update: write::update(&found).into(),
        lock: write::lock(&found).into(),
    })
}

/// Writes groups of rows over one connection.
pub(super) struct Writer<'a> {
    pub connection: &'a mut PgConnection,
    pub target: &'a WriteBackTarget,
    pub statements: Statements,
}

impl Writer<'_> {
    /// All in one statement, which waits for locks. Rows that it did not write are told one by one.
    pub async fn quick(&mut self, rows: &[AppRow<'_>]) -> Tried<AppRows> {
        let written = update(self.connection, &self.statements.quick, rows).await;
        let written: Vec<(i64,)> = written.map_err(|error| fault::of_update(error, &self.target.table))?;
        let numbers: HashSet<i64> = written.iter().map(|(number,)| *number).collect();
        if numbers.len() < written.len() {
            return Err(Fault::KeyShared); // one of the two is somebody else's
        }
        let is_left = |(_, number): &(_, i64)| !numbers.contains(number);
        let left: Vec<AppRow<'_>> = rows.iter().zip(1..).filter(is_left).map(|(row, _)| *row).collect();
        if left.is_empty() {
            return Ok(AppRows::default());
        }
        self.update(&left).await
    }

    /// All in one statement.
    pub async fn update(&mut self, rows: &[AppRow<'_>]) -> Tried<AppRows> {
        let hits = update(self.connection, &self.statements.update, rows).await;
        let hits = hits.map_err(|error| fault::of_update(error, &self.target.table))?;
        self.tell_hidden(rows, &hits).await
    }

    /// A row that a policy keeps from being changed is skipped like a locked one, and would wait for ever.
    async fn tell_hidden(&mut self, rows: &[AppRow<'_>], hits: &[Hit]) -> Tried<AppRows> {
        let mut done = write::fates(rows, hits);
        if done.locked.is_empty() || !hits.iter().any(|hit| hit.guarded) {
            return Ok(done);
        }
        let skipped: Vec<_> = rows.iter().filter(|row| done.locked.contains(&row.seq)).collect();
        let keys: Vec<&str> = skipped.iter().map(|row| row.key).collect();
        let mut savepoint = self.connection.begin().await?;
        // Names come quoted from the catalogue, values are bound.
        let seen = query_scalar::<_, i64>(AssertSqlSafe(self.statements.lock.clone())).bind(&keys);
        let seen = seen.fetch_all(&mut *savepoint).await;
        savepoint.rollback().await?;
        match seen {
            Ok(seen) => {
                let is_hidden = |(_, number): &(_, i64)| !seen.contains(number);
                for (row, _) in skipped.into_iter().zip(1..).filter(is_hidden) {
                    done.locked.retain(|seq| *seq != row.seq);
                    done.refused.push(RefusedRow::silent(row.seq, Code::AppRowChanged));
                }
                Ok(done)
            }
            Err(error) if errors::is_lock_of(&error) => Ok(done), // at least one is locked: all are tried again
            Err(error) => Err(fault::of_update(error, &self.target.table)),
        }
    }

    /// One bad row of n costs about 2·log₂ n statements, and nothing else.
    pub async fn split(&mut self, rows: &[AppRow<'_>]) -> Tried<AppRows> {
        let mut done = AppRows::default();
        let mut left = vec![rows];
        while let Some(part) = left.pop() {
            let mut savepoint = self.connection.begin().await?;
            let written = update(&mut savepoint, &self.statements.update, part).await;
            let error = match written {
                Ok(hits) => {
                    savepoint.commit().await?;
                    done.add(self.tell_hidden(part, &hits).await?);
                    continue;
                }
                Err(error) => fault::of_update(error, &self.target.table),
            };
            let Fault::AppRows(refusal) = error else { return Err(error) };
            savepoint.rollback().await?;
            if let [row] = part {
                self.still_fits(&refusal).await?;
                done.refused.push(RefusedRow {
                    seq: row.seq,
                    code: refusal.code,
                    said: Some(refusal.to_string()),
                });
            } else {
                let (first, second) = part.split_at(part.len() / 2);
                left.extend([second, first]);
            }
        }
        Ok(done)
    }

    /// Whether it is this row's fault alone: a column that was lost a moment ago raises such
    /// an error too, and must cost no row.
    async fn still_fits(&mut self, refusal: &Refusal) -> Tried<()> {
        if fault::may_be_the_tables(refusal) {
            let now = statements_for(self.connection, self.target).await?;
            if now != self.statements {
                return Err(LedgerError::Busy.into()); // it changed: all of it again, by the new statement
            }
        }
        Ok(())
    }
}

/// Asks a statement for these rows.
async fn update<T>(
    connection: &mut PgConnection,
    statement: &Arc<str>,
    rows: &[AppRow<'_>],
) -> Result<Vec<T>, sqlx::Error>
where
    T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    let keys: Vec<&str> = rows.iter().map(|row| row.key).collect();
    let ids: Vec<&str> = rows.iter().map(|row| row.id).collect();
    let emails: Vec<&str> = rows.iter().map(|row| row.email).collect();
    // Names come quoted from the catalogue, values are bound.
    let update = query_as(AssertSqlSafe(statement.clone())).bind(&keys).bind(&ids).bind(&emails);
    update.fetch_all(connection).await
}
