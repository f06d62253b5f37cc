//! Rows of `items` and `discrepancies`.

use ferry_domain::{
    Auth0UserId, BatchId, Item, ItemSeq, ItemState, RunId, SourceKey,
    ports::{Discrepancy, ItemView, ListedUser, MovedAs, MovedOtherwise, MovedUser, UserInRun},
};
use uuid::Uuid;

use super::UserJobRow;
use crate::{
    Result,
    words::{self, corrupt},
};

/// States of an item whose user at Auth0 settles it; these are read back.
pub const AT_TARGET: &[&str] =
    &[ItemState::Created.as_str(), ItemState::Adopted.as_str(), ItemState::Skipped.as_str()];

/// A row of `items` with its record, as workers read it.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct ItemRow {
    pub seq: i64,
    pub record: Option<String>,
    pub auth0_user_id: Option<String>,
    pub other: Option<String>,
    pub state: String,
}

impl ItemRow {
    /// The item of this run.
    pub fn item(self, run: RunId) -> Result<Item> {
        let name = || format!("{run}/{}", self.seq);
        let record = self.record.as_deref().ok_or_else(|| corrupt("items", name(), "it has no record"))?;
        Ok(Item {
            seq: ItemSeq(self.seq),
            record: words::json("items", name(), "record", record)?,
            state: words::item_state(name(), &self.state)?,
            auth0_user_id: self.auth0_user_id.map(Auth0UserId),
            account_of: self.other,
        })
    }
}

/// A row of `items` of a user who has an id.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct MovedUserRow {
    pub seq: i64,
    pub key: String,
    pub auth0_user_id: String,
    pub digest: String,
}

impl MovedUserRow {
    /// The user.
    pub fn user(self) -> MovedUser {
        MovedUser {
            seq: ItemSeq(self.seq),
            key: SourceKey(self.key),
            auth0_user_id: Auth0UserId(self.auth0_user_id),
            digest: self.digest,
        }
    }
}

/// A user whom an earlier run moved otherwise, or did not move.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct MovedOtherwiseRow {
    pub seq: i64,
    pub record: Option<String>,
    pub account: Option<String>,
}

impl MovedOtherwiseRow {
    /// The user, with how they were moved.
    pub fn user(self, earlier: RunId) -> Result<MovedOtherwise> {
        let name = || format!("{earlier}/{}", self.seq);
        let then = match self.record.as_deref().zip(self.account) {
            Some((record, account)) => Some(MovedAs {
                record: words::json("items", name(), "record", record)?,
                auth0_user_id: Auth0UserId(account),
            }),
            None => None,
        };
        Ok(MovedOtherwise { seq: ItemSeq(self.seq), then })
    }
}

/// A row of `items` without its record, as people read it.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct ItemViewRow {
    pub seq: i64,
    pub key: String,
    pub place: String,
    pub line: i64,
    pub state: String,
    pub code: Option<String>,
    pub field: Option<String>,
    pub other: Option<String>,
    pub auth0_user_id: Option<String>,
}

impl ItemViewRow {
    /// The item for a person.
    pub fn view(self) -> Result<ItemView> {
        Ok(ItemView {
            seq: ItemSeq(self.seq),
            state: words::item_state(self.seq, &self.state)?,
            code: self.code.map(|word| words::code("items", self.seq, &word)).transpose()?,
            key: SourceKey(self.key),
            origin: words::origin(self.seq, self.place, self.line)?,
            field: self.field,
            other: self.other,
            auth0_user_id: self.auth0_user_id.map(Auth0UserId),
        })
    }
}

/// A row of `items` in a list, for people.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct ListedUserRow {
    pub seq: i64,
    pub batch_id: Uuid,
    pub key: String,
    pub place: String,
    pub line: i64,
    pub state: String,
    pub code: Option<String>,
    pub field: Option<String>,
    pub other: Option<String>,
    pub auth0_user_id: Option<String>,
}

impl ListedUserRow {
    /// The user.
    pub fn user(self) -> Result<ListedUser> {
        let ListedUserRow { seq, batch_id, key, place, line, state, code, field, other, auth0_user_id } =
            self;
        let item = ItemViewRow { seq, key, place, line, state, code, field, other, auth0_user_id };
        Ok(ListedUser { item: item.view()?, batch: BatchId(batch_id) })
    }
}

/// A row of `items` in full, for people.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct UserRow {
    pub seq: i64,
    pub batch_id: Uuid,
    pub key: String,
    pub place: String,
    pub line: i64,
    pub record: Option<String>,
    pub state: String,
    pub code: Option<String>,
    pub field: Option<String>,
    pub other: Option<String>,
    pub auth0_user_id: Option<String>,
    /// JSON; `None` without a discrepancy.
    pub differing: Option<String>,
}

impl UserRow {
    /// The user, with the jobs of its batch.
    pub fn user(self, jobs: Vec<UserJobRow>) -> Result<UserInRun> {
        let UserRow { seq, key, place, line, state, code, field, other, auth0_user_id, .. } = self;
        let item = ItemViewRow { seq, key, place, line, state, code, field, other, auth0_user_id };
        let record = self.record.as_deref().map(|record| words::json("items", seq, "record", record));
        let differing = self.differing.as_deref();
        let differing = differing.map(|fields| words::json("discrepancies", seq, "fields", fields));
        Ok(UserInRun {
            item: item.view()?,
            record: record.transpose()?,
            batch: BatchId(self.batch_id),
            jobs: jobs.into_iter().map(UserJobRow::job).collect::<Result<_>>()?,
            discrepancies: differing.transpose()?,
        })
    }
}

/// A row of `discrepancies`.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct DiscrepancyRow {
    pub seq: i64,
    pub key: String,
    pub auth0_user_id: String,
    pub fields: String,
}

impl DiscrepancyRow {
    /// The discrepancy.
    pub fn discrepancy(self) -> Result<Discrepancy> {
        Ok(Discrepancy {
            seq: ItemSeq(self.seq),
            key: SourceKey(self.key),
            auth0_user_id: Auth0UserId(self.auth0_user_id),
            fields: words::json("discrepancies", self.seq, "fields", &self.fields)?,
        })
    }
}
