//! Users of a run in a list, page by page. Keys and ids only, as in reports.

use ferry_domain::{
    Code, ItemSeq, ItemState, RunId, RunState,
    ports::{ListedUser, UserFilter},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::Selection;
use crate::{Access, Error, RunName};

/// A page of the users that a filter means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Listed {
    /// The run.
    pub run: RunId,
    /// Number of all that the filter means, on this page or not.
    pub matching: i64,
    /// The page, in the order of the source.
    pub users: Vec<User>,
    /// Where the next page begins: its `after`; null on the last page.
    pub next_after: Option<i64>,
}

/// A user in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct User {
    /// Position in the source.
    pub seq: i64,
    pub key: String,
    /// File and line, or table and row.
    pub place: String,
    #[schemars(with = "ItemState")]
    pub state: &'static str,
    pub code: Option<Code>,
    pub auth0_user_id: Option<String>,
    pub batch: String,
}

/// Up to `most` users after a position, and the number of all.
///
/// # Errors
/// When there is no such run, a key of the filter does not exist, or the ledger fails.
pub async fn list(
    access: &Access,
    name: &RunName,
    selection: Selection,
    after: i64,
    most: i64,
) -> Result<Listed, Error> {
    let run = access.run(access.named(name).await?).await?;
    let filter = selection.of(access, run.id).await?;
    // One more tells whether there is another page.
    let mut page = access.users.list_users(run.id, &filter, ItemSeq(after), most + 1).await?;
    let more = page.len() as i64 > most;
    page.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    let next_after = page.last().filter(|_| more).map(|last| last.item.seq.0);
    let matching = match tallied(&filter, run.state) {
        true => sum(&filter, &run.tally),
        false if after == 0 && !more => page.len() as i64,
        false => access.users.count_users(run.id, &filter).await?,
    };
    Ok(Listed { run: run.id, matching, users: page.into_iter().map(User::from).collect(), next_after })
}

/// Whether the tallies of batches have the number: they are counted at the end of planning.
fn tallied(filter: &UserFilter, state: RunState) -> bool {
    filter.is_of_states() && state != RunState::Planning
}

fn sum(filter: &UserFilter, tally: &ferry_domain::Tally) -> i64 {
    match &filter.states[..] {
        [] => tally.source,
        states => states.iter().map(|state| tally.count(*state)).sum(),
    }
}

impl From<ListedUser> for User {
    fn from(ListedUser { item, batch }: ListedUser) -> Self {
        User {
            seq: item.seq.0,
            key: item.key.shown(),
            place: item.origin.to_string(),
            state: item.state.as_str(),
            code: item.code,
            auth0_user_id: item.auth0_user_id.map(|id| id.0),
            batch: batch.to_string(),
        }
    }
}
