//! Writes the ids of a run back again into the application's table, where they are gone: a schema
//! tool dropped the column, or an older copy of the table was restored.
//!
//! Auth0 is asked for each user first. An account that is gone is not written; a row gets an id
//! only if it has the address of the account.

use std::{fmt, time::Duration};

use ferry_domain::{
    Email, ItemResult, ItemSeq, ItemState, Outcome, RunId, RunState, RunView, SourceKey, WriteBackTarget,
    ports::{AppRows, Application, Directory, ItemFilter, ItemView, Restored},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use crate::{Access, Error};

/// Users read from the ledger and looked for in the table together.
const GROUP: i64 = 500;
/// Users that Auth0 is asked for at the same time.
const AT_ONCE: usize = 8;
/// How often rows that the application holds locked are tried, and the pause between.
const TRIES: (u32, Duration) = (5, Duration::from_millis(300));

/// Why ids can't be restored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its workers write the ids themselves.
    #[error("run {0} is {1}: its workers write the ids; wait for its end, or cancel it")]
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

/// How many rows lack the id of their user.
#[derive(Clone, Debug)]
pub struct Question {
    /// The run.
    pub run: RunView,
    /// Its table.
    pub target: WriteBackTarget,
    /// Its users with an account at Auth0.
    pub users: i64,
    /// Those whose row is there and carries no id.
    pub lacking: i64,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Question { run, target, users, lacking } = self;
        let (table, column) = (target.shown(), &target.id_column);
        write!(
            f,
            "Ask Auth0 for {lacking} of {users} users of run {}, and write their ids into {table}.{column} again?",
            run.id
        )
    }
}

/// Why a row has no id still.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotRestored {
    /// The user's key in the source.
    pub key: SourceKey,
    /// Why.
    pub why: String,
}

/// Counts the rows that lack an id. `application` is the database of the run's table.
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
    let mut question = Question { run, target, users: 0, lacking: 0 };
    let mut after = ItemSeq(0);
    while let Some(page) = page(access, question.run.id, &mut after).await? {
        question.users += count(page.len());
        question.lacking += count(lacking(application, &question.target, page).await?.len());
    }
    Ok(question)
}

/// Asks Auth0 for each user whose row lacks the id, and writes the ids of those that are there.
/// `each` is told of every row that has none still; `at` how many were looked at.
///
/// # Errors
/// When Auth0, the ledger or the table's database fails. What was written until then stays, and is
/// in the audit; the same command goes on with the rest.
pub async fn act(
    access: &Access,
    (application, directory): (&dyn Application, &dyn Directory),
    question: &Question,
    reason: Option<&str>,
    each: &mut (dyn FnMut(NotRestored) + Send),
    at: &mut (dyn FnMut(i64) + Send),
) -> Result<Restored, Error> {
    let mut restored = Restored::default();
    let mut ended = Ok(());
    let mut after = ItemSeq(0);
    loop {
        let group = match page(access, question.run.id, &mut after).await {
            Ok(Some(page)) => page,
            Ok(None) => break,
            Err(error) => {
                ended = Err(error);
                break;
            }
        };
        ended = group_again(application, directory, question, group, &mut restored, each).await;
        at(restored.lacking);
        if ended.is_err() {
            break;
        }
    }
    access.controls.note_restored(question.run.id, &restored, &access.command(reason)).await?;
    ended.map(|()| restored)
}

async fn group_again(
    application: &dyn Application,
    directory: &dyn Directory,
    question: &Question,
    group: Vec<ItemView>,
    restored: &mut Restored,
    each: &mut (dyn FnMut(NotRestored) + Send),
) -> Result<(), Error> {
    let lacking = lacking(application, &question.target, group).await?;
    let asked = stream::iter(lacking)
        .map(async |item| Ok::<_, Error>((at_auth0(directory, &item).await?, item)))
        .buffered(AT_ONCE)
        .try_collect::<Vec<_>>()
        .await?;
    restored.lacking += count(asked.len());
    let mut results = Vec::new();
    for (email, item) in asked {
        match email {
            Some(email) => results.extend(result(&item, email)),
            None => {
                restored.gone += 1;
                each(NotRestored { key: item.key, why: "its account is not at Auth0 any more".to_owned() });
            }
        }
    }
    let rows = write(application, &question.target, &results).await?;
    restored.refused += count(rows.refused.len() + rows.locked.len());
    restored.restored += count(results.len()) - count(rows.refused.len() + rows.locked.len());
    let locked = rows.locked.iter().map(|seq| (*seq, "the application holds its row locked".to_owned()));
    let refused = rows.refused.iter().map(|row| {
        let said = row.said.as_deref().map(|said| format!(" ({said})")).unwrap_or_default();
        (row.seq, format!("{}{said}: {}", row.code, row.code.remedy()))
    });
    for (seq, why) in refused.chain(locked) {
        if let Some(result) = results.iter().find(|result| result.seq == seq) {
            each(NotRestored { key: result.key.clone(), why });
        }
    }
    Ok(())
}

/// The address of a user's account; `None` where there is no account any more.
async fn at_auth0(directory: &dyn Directory, item: &ItemView) -> Result<Option<Email>, Error> {
    let Some(id) = &item.auth0_user_id else { return Ok(None) };
    let found = directory.get(id).await?;
    // An account without an address agrees with no row.
    Ok(found.map(|user| Email::normalised(user.email.as_deref().unwrap_or_default())))
}

fn result(item: &ItemView, email: Email) -> Option<ItemResult> {
    let outcome = Outcome::adopted(item.auth0_user_id.clone()?);
    Some(ItemResult { seq: item.seq, key: item.key.clone(), email, outcome })
}

/// Writes; rows that the application holds locked are tried a few times.
async fn write(
    application: &dyn Application,
    target: &WriteBackTarget,
    results: &[ItemResult],
) -> Result<AppRows, Error> {
    let mut left: Vec<&ItemResult> = results.iter().collect();
    let mut rows = AppRows::default();
    for _try in 0..TRIES.0 {
        if left.is_empty() {
            break;
        }
        let AppRows { refused, locked } = application.write_ids(target, &left).await?;
        rows.refused.extend(refused);
        left.retain(|result| locked.contains(&result.seq));
        rows.locked = locked;
        if !left.is_empty() {
            tokio::time::sleep(TRIES.1).await;
        }
    }
    Ok(rows)
}

/// The next users of the run that have an account; `None` at the end.
async fn page(access: &Access, run: RunId, after: &mut ItemSeq) -> Result<Option<Vec<ItemView>>, Error> {
    use ItemState::{Adopted, Created, Skipped};
    // Conflicts are left out: their rows did not take the id for a reason.
    let filter = ItemFilter { states: vec![Created, Adopted, Skipped], codes: Vec::new() };
    let mut page = access.items.items(run, &filter, *after, GROUP).await?;
    let Some(last) = page.last() else { return Ok(None) };
    *after = last.seq;
    page.retain(|item| item.auth0_user_id.is_some());
    Ok(Some(page))
}

async fn lacking(
    application: &dyn Application,
    target: &WriteBackTarget,
    mut page: Vec<ItemView>,
) -> Result<Vec<ItemView>, Error> {
    let keys: Vec<SourceKey> = page.iter().map(|item| item.key.clone()).collect();
    let mut lacks = application.without_id(target, &keys).await?.into_iter();
    page.retain(|_| lacks.next() == Some(true));
    Ok(page)
}

fn count(users: usize) -> i64 {
    i64::try_from(users).unwrap_or(i64::MAX)
}
