//! Writes the ids of a run back again into the application's table, where they are gone: a schema
//! tool dropped the column, or an older copy of the table was restored.
//!
//! Auth0 is asked for each user first. An account that is gone is not written; a row gets an id
//! only if it has the address of the account.

mod act;
mod why;

pub use act::{Outcome, Servers, Stopped, act};
pub use why::{NotRestored, Why};

use std::fmt;

use ferry_domain::{
    Auth0UserId, ItemSeq, ItemState, RunId, RunState, RunView, SourceKey, WriteBackTarget,
    application::{RowId, RowIds},
    ports::{Application, ItemFilter, ItemPages, ItemView},
};

use crate::{Access, Error, units::counted};

/// Users read from the ledger and looked for in the table together.
const GROUP: i64 = 500;

/// Why ids can't be restored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its workers write the ids themselves.
    #[error("run {0} is {1}: its workers write the ids; {next}", next = way_to_its_end(*.1))]
    NotEnded(RunId, RunState),
    /// Nothing was written back.
    #[error("the users of run {0} came from a file: ferry run export {0} prints their ids")]
    OfFile(RunId),
    /// Another database than the run's.
    #[error("the table {table} of run {run} is in {is}, and DATABASE_URL names {named}: set it to {is}")]
    Elsewhere {
        /// The run.
        run: RunId,
        /// Its table.
        table: String,
        /// The database of the table.
        is: String,
        /// The database that this process knows.
        named: String,
    },
}

/// What ends a run that has not ended.
fn way_to_its_end(state: RunState) -> &'static str {
    match state {
        RunState::Cancelling | RunState::Sealing => "wait for its end",
        _ => "wait for its end, or cancel it",
    }
}

/// How many rows lack the id of their user.
#[derive(Clone, Debug)]
pub struct Question {
    /// The run.
    pub run: RunView,
    /// Its table.
    pub target: WriteBackTarget,
    /// What the rows of its users with an account carry.
    pub rows: RowIds,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Question { run, target, rows } = self;
        let (table, column) = (target.shown(), &target.id_column);
        let users = counted(rows.users(), "user");
        writeln!(f, "Of {users} of run {} with an account at Auth0: {}.", run.id, rows.told())?;
        if rows.other() > 0 {
            writeln!(f, "Only rows without an id are written; the others are named at the end.")?;
        }
        let (them, ids) = match rows.lacking {
            1 => ("1 user".to_owned(), "its id"),
            n => (counted(n, "user"), "their ids"),
        };
        write!(f, "Ask Auth0 for {them}, and write {ids} into {table}.{column} again?")
    }
}

/// Counts the rows that lack an id. `application` is the database of the run's table; `own` says
/// whether it is the ledger's.
///
/// # Errors
/// When there is no such run, it has not ended, came from a file, or its table is elsewhere or
/// lacks what writing needs.
pub async fn ask(
    access: &Access,
    application: &dyn Application,
    run: RunId,
    own: bool,
) -> Result<Question, Error> {
    let run = access.run(run).await?;
    if run.state.is_active() {
        return Err(Refusal::NotEnded(run.id, run.state).into());
    }
    let Some(target) = run.spec.write_back.clone() else { return Err(Refusal::OfFile(run.id).into()) };
    let here = target.database.as_deref().map_or(own, |database| database == application.name());
    if !here {
        return Err(Refusal::Elsewhere {
            run: run.id,
            table: target.shown(),
            is: target.database.unwrap_or_else(|| "the ledger's database".to_owned()),
            named: application.name().to_owned(),
        }
        .into());
    }
    let mut question = Question { run, target, rows: RowIds::default() };
    let mut pages = pages(access, question.run.id);
    while let Some(page) = pages.next().await? {
        let users = page.into_iter().filter_map(User::of).collect();
        for (_, found) in looked_at(application, &question.target, users).await? {
            question.rows.add(found);
        }
    }
    Ok(question)
}

/// A user of the run that has an account.
struct User {
    seq: ItemSeq,
    key: SourceKey,
    id: Auth0UserId,
}

impl User {
    fn of(item: ItemView) -> Option<Self> {
        Some(User { seq: item.seq, key: item.key, id: item.auth0_user_id? })
    }
}

/// Users of the run that may have an account.
fn pages(access: &Access, run: RunId) -> ItemPages<'_> {
    use ItemState::{Adopted, Created, Skipped};
    // Conflicts are left out: their rows did not take the id for a reason.
    let filter = ItemFilter { states: vec![Created, Adopted, Skipped], codes: Vec::new() };
    ItemPages::of(&*access.items, run, filter, GROUP)
}

async fn looked_at(
    application: &dyn Application,
    target: &WriteBackTarget,
    users: Vec<User>,
) -> Result<Vec<(User, RowId)>, Error> {
    let keys: Vec<_> = users.iter().map(|user| (user.key.clone(), user.id.clone())).collect();
    let found = application.row_ids(target, &keys).await?;
    Ok(users.into_iter().zip(found).collect())
}
