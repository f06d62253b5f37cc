//! What the ledgers keep of results, and what the batch's tally gains by them.

use ferry_domain::{Auth0UserId, Code, ItemResult, ItemState, Tally, ports::RefusedRow};

/// What is kept of a result.
pub struct Kept<'r> {
    /// Its item's position in the source.
    pub seq: i64,
    /// How the item ended.
    pub state: ItemState,
    /// Why, where there is a reason.
    pub code: Option<Code>,
    /// What the reason is about.
    pub field: Option<&'r str>,
    /// Another user's account or key.
    pub other: Option<&'r str>,
    /// The user's account.
    pub auth0_user_id: Option<&'r Auth0UserId>,
    /// Whether Ferry made that account.
    pub made_by_ferry: bool,
}

/// What is kept of a result. An item whose application row refused the id is a conflict; the id
/// stays with it: the user exists, and `made_by_ferry` says whose work it is.
#[must_use]
pub fn kept<'r>(result: &'r ItemResult, refused: &'r [RefusedRow]) -> Kept<'r> {
    let ItemResult { seq, outcome, .. } = result;
    let (state, code, field, other) = match refused.iter().find(|row| row.seq == *seq) {
        Some(row) => (ItemState::Conflict, Some(row.code), row.said.as_deref(), None),
        None => (outcome.state, outcome.code, outcome.field.as_deref(), outcome.other.as_deref()),
    };
    Kept {
        seq: seq.0,
        state,
        code,
        field,
        other,
        auth0_user_id: outcome.auth0_user_id.as_ref(),
        made_by_ferry: outcome.state == ItemState::Created,
    }
}

/// What a batch's tally gains by these results.
#[must_use]
pub fn tally(results: &[&ItemResult], refused: &[RefusedRow]) -> Tally {
    let mut tally = Tally::default();
    for result in results {
        tally.add(kept(result, refused).state);
    }
    tally
}
