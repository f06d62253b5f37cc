//! `auth0_user_id` in the application's own table, while the application lives.
//!
//! The SQL is made at run time, so names are looked up in the catalogue first and
//! then quoted by it. A partial unique index (see `prepare`) keeps Ferry and the application
//! from waiting for each other's index entries.

mod apart;
mod fault;
mod look;
mod pace;
mod prepare;
mod schema;
mod write;

use std::sync::{Arc, Mutex, PoisonError};

use ferry_domain::{
    Code, ItemResult, ItemSeq, Job, Lease, RunId, WriteBackTarget,
    ports::{AppRows, LedgerError, RefusedRow},
};
use ferry_ledger::words;
use sqlx::{AssertSqlSafe, Connection, PgConnection, query_as, query_scalar};

pub use apart::PostgresApplication;
pub(crate) use look::look;
pub(crate) use pace::Pace;
pub(crate) use prepare::prepare;
pub(crate) use schema::schema;

use crate::{
    PostgresLedger,
    errors::{Fault, Refusal, Tried},
};

/// A row that is to get an id.
struct AppRow<'a> {
    seq: ItemSeq,
    key: &'a str,
    id: &'a str,
    email: &'a str,
}

impl AppRow<'_> {
    fn took_too_long(&self) -> RefusedRow {
        let said = Some("SQLSTATE 57014, it took too long".to_owned());
        RefusedRow { seq: self.seq, code: Code::AppRowRefused, said }
    }
}

/// How rows are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// All in one statement.
    Whole,
    /// In halves of halves around rows that the table refuses.
    Split,
}

/// How a part of a group is written.
#[derive(Clone, Copy)]
pub(crate) enum How {
    /// With the application's rows.
    Rows(Group),
    /// Without its one row, over which the application's table takes too long.
    TooSlow,
}

impl Default for How {
    fn default() -> Self {
        How::Rows(Group::Whole)
    }
}

impl How {
    /// How to write these rows after a fault that another way avoids.
    pub(crate) fn after(self, fault: &Fault, rows: usize) -> Option<How> {
        match (fault, self) {
            (Fault::AppRows(_), How::Rows(Group::Whole)) => Some(How::Rows(Group::Split)),
            (Fault::AppSlow, How::Rows(_)) if rows == 1 => Some(How::TooSlow),
            _ => None,
        }
    }
}

/// Runs whose target is remembered; one that comes up again later is asked for again.
const RUNS: usize = 16;

/// Where runs write ids back: fixed before their first job.
#[derive(Default)]
pub(crate) struct TargetsOfRuns(Mutex<Vec<(RunId, Option<Arc<WriteBackTarget>>)>>);

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
}

/// The statement for a target, which must have all that write-back needs.
async fn statement_for(connection: &mut PgConnection, target: &WriteBackTarget) -> Tried<Arc<str>> {
    let found = look(connection, target).await?;
    found.table.check_writing()?;
    Ok(write::update(&found).into())
}

impl PostgresLedger {
    /// Where the run of this job writes ids back; `None` for one whose users come from a file.
    pub(crate) async fn target_of(&self, lease: &Lease<Job>) -> Tried<Option<Arc<WriteBackTarget>>> {
        let run = lease.of.run;
        let known = || self.targets_of_runs.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, target)) = known().iter().find(|(of, _)| *of == run) {
            return Ok(target.clone());
        }
        let text = query_scalar!("SELECT (spec -> 'write_back')::text FROM ferry.runs WHERE id = $1", run.0)
            .fetch_optional(&self.pool)
            .await?
            .ok_or(LedgerError::LeaseLost)?; // no run, no lease
        let target = words::write_back(run.0, text.as_deref())?.map(Arc::new);
        let mut known = known();
        known.truncate(RUNS - 1);
        known.insert(0, (run, target.clone()));
        Ok(target)
    }

    /// Gives the rows of these results their ids.
    pub(crate) async fn write_rows<'r>(
        &self,
        connection: &mut PgConnection,
        target: &WriteBackTarget,
        results: impl Iterator<Item = &'r ItemResult> + Send,
        how: How,
    ) -> Tried<AppRows> {
        let rows: Vec<AppRow<'_>> = results
            .filter_map(|result| {
                let id = &result.outcome.auth0_user_id.as_ref()?.0;
                Some(AppRow { seq: result.seq, key: &result.key.0, id, email: result.email.expose() })
            })
            .collect();
        match how {
            How::Rows(group) => self.write_ids(connection, target, &rows, group).await,
            How::TooSlow => {
                Ok(AppRows { refused: rows.iter().map(AppRow::took_too_long).collect(), locked: Vec::new() })
            }
        }
    }

    /// Gives the application's rows their ids.
    async fn write_ids(
        &self,
        connection: &mut PgConnection,
        target: &WriteBackTarget,
        rows: &[AppRow<'_>],
        group: Group,
    ) -> Tried<AppRows> {
        if rows.is_empty() {
            return Ok(AppRows::default());
        }
        let statement = match self.targets.get(target) {
            Some(statement) => statement,
            None => {
                let statement = statement_for(connection, target).await?;
                self.targets.put(target, statement.clone());
                statement
            }
        };
        let mut writer = Writer { connection, target, statement };
        let written = match group {
            Group::Whole => writer.update(rows).await,
            Group::Split => writer.split(rows).await,
        };
        // The table may not be as it was: it is looked at again next time, and what it lacks is said.
        let doubtful = match &written {
            Err(Fault::AppRows(refusal)) => fault::may_be_the_tables(refusal),
            Err(Fault::Ledger(_)) => true,
            _ => false,
        };
        if doubtful {
            self.targets.forget(target);
        }
        written
    }
}

struct Writer<'a> {
    connection: &'a mut PgConnection,
    target: &'a WriteBackTarget,
    statement: Arc<str>,
}

impl Writer<'_> {
    async fn update(&mut self, rows: &[AppRow<'_>]) -> Tried<AppRows> {
        let hits = update(self.connection, &self.statement, rows).await;
        Ok(write::fates(rows, &hits.map_err(|error| fault::of_update(error, &self.target.table))?))
    }

    /// One bad row of n costs about 2·log₂ n statements, and nothing else.
    async fn split(&mut self, rows: &[AppRow<'_>]) -> Tried<AppRows> {
        let mut done = AppRows::default();
        let mut left = vec![rows];
        while let Some(part) = left.pop() {
            let mut savepoint = self.connection.begin().await?;
            let written = update(&mut savepoint, &self.statement, part).await;
            let error = match written {
                Ok(hits) => {
                    savepoint.commit().await?;
                    done.add(write::fates(part, &hits));
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
            let now = statement_for(self.connection, self.target).await?;
            if now != self.statement {
                return Err(LedgerError::Busy.into()); // it changed: all of it again, by the new statement
            }
        }
        Ok(())
    }
}

async fn update(
    connection: &mut PgConnection,
    statement: &Arc<str>,
    rows: &[AppRow<'_>],
) -> Result<Vec<write::Hit>, sqlx::Error> {
    let keys: Vec<&str> = rows.iter().map(|row| row.key).collect();
    let ids: Vec<&str> = rows.iter().map(|row| row.id).collect();
    let emails: Vec<&str> = rows.iter().map(|row| row.email).collect();
    // Names come quoted from the catalogue, values are bound.
    let update = query_as(AssertSqlSafe(statement.clone())).bind(&keys).bind(&ids).bind(&emails);
    update.fetch_all(connection).await
}
