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
mod row_ids;
mod schema;
mod write;
mod writer;

use std::sync::{Arc, Mutex, PoisonError};

use ferry_domain::{
    Code, ItemResult, ItemSeq, Job, Lease, RunId, WriteBackTarget,
    ports::{AppRows, LedgerError, RefusedRow},
};
use ferry_ledger::words;
use sqlx::{PgConnection, query_scalar};

pub use apart::PostgresApplication;
pub(crate) use look::look;
pub(crate) use pace::Pace;
pub(crate) use prepare::prepare;
pub(crate) use schema::schema;

use self::writer::{Statements, Writer, statements_for};
use crate::{
    PostgresLedger,
    errors::{Fault, Tried},
};

/// A row that is to get an id.
#[derive(Clone, Copy)]
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
    /// All in one statement that waits a moment for rows which others hold locked.
    Quick,
    /// All in one statement that leaves such rows out.
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

impl How {
    /// How to write these rows after a fault that another way avoids.
    pub(crate) fn after(self, fault: &Fault, rows: usize) -> Option<How> {
        match (fault, self) {
            (Fault::AppRows(_) | Fault::KeyShared, How::Rows(Group::Quick)) => Some(How::Rows(Group::Whole)),
            (fault, How::Rows(Group::Quick)) if fault.is_a_lock() => Some(How::Rows(Group::Whole)),
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
pub(crate) struct Targets(Mutex<Vec<(WriteBackTarget, Statements)>>);

impl Targets {
    fn get(&self, target: &WriteBackTarget) -> Option<Statements> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|(of, _)| of == target).map(|(_, statements)| statements.clone())
    }

    fn put(&self, target: &WriteBackTarget, statements: Statements) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((target.clone(), statements));
    }

    fn forget(&self, target: &WriteBackTarget) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(of, _)| of != target);
    }
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
        let statements = match self.targets.get(target) {
            Some(statements) => statements,
            None => {
                let statements = statements_for(connection, target).await?;
                self.targets.put(target, statements.clone());
                statements
            }
        };
        let mut writer = Writer { connection, target, statements };
        let written = match group {
            Group::Quick => writer.quick(rows).await,
            Group::Whole => writer.update(rows).await,
            Group::Split => writer.split(rows).await,
        }
        .map_err(|fault| if group == Group::Quick { fault } else { fault.over_table(target) });
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
