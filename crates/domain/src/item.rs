//! One user of a run, its states and what became of it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    code::Code,
    ids::{Auth0UserId, BatchId, ItemSeq, SourceKey},
    record::{Email, UserRecord},
};

/// What became of a user.
// "In flight" is the job's lease, not a state here, so taking a batch costs one row, not a hundred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ItemState {
    /// Not decided yet.
    Pending,
    /// Ferry made the user at Auth0.
    Created,
    /// The account existed and was taken over.
    Adopted,
    /// Left out by a rule that is no fault.
    Skipped,
    /// Two sides disagree; a person decides.
    Conflict,
    /// It can't be moved as it is; the code says why.
    Failed,
    /// Given up by a person before it was sent.
    Cancelled,
}

impl ItemState {
    /// All states, `Pending` first.
    pub const ALL: [ItemState; 7] = [
        ItemState::Pending,
        ItemState::Created,
        ItemState::Adopted,
        ItemState::Skipped,
        ItemState::Conflict,
        ItemState::Failed,
        ItemState::Cancelled,
    ];

    /// The word used in databases and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            ItemState::Pending => "pending",
            ItemState::Created => "created",
            ItemState::Adopted => "adopted",
            ItemState::Skipped => "skipped",
            ItemState::Conflict => "conflict",
            ItemState::Failed => "failed",
            ItemState::Cancelled => "cancelled",
        }
    }

    /// The state a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether a move from `self` to `to` exists: out of `Pending` to any end,
    /// back only from `Failed` and `Conflict` by a person's retry.
    pub fn may_become(self, to: ItemState) -> bool {
        use ItemState::{Conflict, Failed, Pending};
        match (self, to) {
            (Pending, to) => to != Pending,
            (Failed | Conflict, Pending) => true,
            _ => false,
        }
    }
}

/// Whether `run retry` may take an item up again.
pub fn retryable(state: ItemState, code: Option<Code>, has_record: bool) -> bool {
    has_record && state.may_become(ItemState::Pending) && code.is_none_or(Code::retryable)
}

/// Where an item is in the source: a file and a line, or a table and a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// File name or table name, without folders or servers.
    pub place: String,
    /// Line of the file, record of an array, or row of the table, from 1.
    pub line: u64,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.place, self.line)
    }
}

/// How an item ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Any state but `Pending`.
    pub state: ItemState,
    /// Why, where the state alone does not say it.
    pub code: Option<Code>,
    /// Which field the code speaks of. A name, never a value.
    pub field: Option<String>,
    /// Which other record or user the code speaks of: its place, or its key as
    /// [`SourceKey::shown`] shows it.
    pub other: Option<String>,
    /// The user at Auth0, where there is one. It is written back to the
    /// application whenever it is known, whatever the state.
    pub auth0_user_id: Option<Auth0UserId>,
}

impl Outcome {
    /// Ferry made the user.
    pub fn created(id: Auth0UserId) -> Self {
        Outcome { state: ItemState::Created, code: None, field: None, other: None, auth0_user_id: Some(id) }
    }

    /// An existing account was taken over.
    pub fn adopted(id: Auth0UserId) -> Self {
        Outcome { state: ItemState::Adopted, code: None, field: None, other: None, auth0_user_id: Some(id) }
    }

    /// Left out, and why.
    pub fn skipped(code: Code, id: Option<Auth0UserId>) -> Self {
        Outcome { state: ItemState::Skipped, code: Some(code), field: None, other: None, auth0_user_id: id }
    }

    /// A person must decide. No id: a conflicting account is not this user's yet.
    pub fn conflict(code: Code) -> Self {
        Outcome {
            state: ItemState::Conflict,
            code: Some(code),
            field: None,
            other: None,
            auth0_user_id: None,
        }
    }

    /// It can't be moved as it is.
    pub fn failed(code: Code) -> Self {
        Outcome { state: ItemState::Failed, code: Some(code), field: None, other: None, auth0_user_id: None }
    }

    /// Given up by a person, and no such user is at Auth0.
    pub fn cancelled() -> Self {
        Outcome { state: ItemState::Cancelled, code: None, field: None, other: None, auth0_user_id: None }
    }

    /// The same outcome, naming another record or user.
    pub fn because_of(mut self, other: impl Into<String>) -> Self {
        self.other = Some(other.into());
        self
    }

    /// The same outcome, naming a field.
    pub fn at_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }
}

/// What a worker found out about one item of the batch it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemResult {
    /// Position in the source.
    pub seq: ItemSeq,
    /// Its key in the source, for the application's row.
    pub key: SourceKey,
    /// Its address when the run was planned: a row that has another one by now does not get
    /// the id.
    pub email: Email,
    /// What became of it.
    pub outcome: Outcome,
}

impl ItemResult {
    /// What became of an item.
    pub fn of(item: Item, outcome: Outcome) -> Self {
        ItemResult { seq: item.seq, key: item.record.key, email: item.record.email, outcome }
    }
}

/// A pending item as a worker gets it.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Position in the source.
    pub seq: ItemSeq,
    /// The user.
    pub record: UserRecord,
    /// Set once the user is at Auth0 (verification reads such items). On a pending item: the account
    /// that an earlier run gave this user; nobody makes that user another one.
    pub auth0_user_id: Option<Auth0UserId>,
    /// On a pending item: the user, as [`SourceKey::shown`] shows the key, whom an earlier run gave
    /// the account of this address. It is not adopted for another.
    pub account_of: Option<String>,
    /// `Pending` for provisioning; `Created`, `Adopted` or `Skipped` for verification.
    pub state: ItemState,
}

/// An item as the planner writes it.
#[derive(Clone, Debug, PartialEq)]
pub struct NewItem {
    /// Position in the source.
    pub seq: ItemSeq,
    /// The batch it goes into; settled items go into the run's settled batch.
    pub batch: BatchId,
    /// Identity in the source; `place:line` where the record has none.
    pub key: SourceKey,
    /// Where it is in the source.
    pub origin: Origin,
    /// The user, absent where a rule settled the item.
    pub record: Option<UserRecord>,
    /// Digest of the record ([`UserRecord::digest`]); empty without a record.
    pub digest: String,
    /// What a rule decided already; `None` while pending.
    pub settled: Option<Outcome>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_leaves_pending_once_and_comes_back_only_from_failed_or_conflict() {
        for from in ItemState::ALL {
            for to in ItemState::ALL {
                let expected = match from {
                    ItemState::Pending => to != ItemState::Pending,
                    ItemState::Failed | ItemState::Conflict => to == ItemState::Pending,
                    _ => false,
                };
                assert_eq!(from.may_become(to), expected, "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn a_rejected_record_is_never_retried() {
        assert!(retryable(ItemState::Failed, Some(Code::ServerError), true));
        assert!(retryable(ItemState::Conflict, Some(Code::Ghost), true));
        assert!(!retryable(ItemState::Failed, Some(Code::EmailMissing), false));
        assert!(!retryable(ItemState::Failed, Some(Code::DuplicateEmail), true));
        assert!(!retryable(ItemState::Created, None, true));
    }

    #[test]
    fn every_word_parses_back() {
        for state in ItemState::ALL {
            assert_eq!(ItemState::parse(state.as_str()), Some(state));
        }
    }
}
