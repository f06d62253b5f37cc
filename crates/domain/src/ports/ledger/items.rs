//! Items: users of a run, read by their worker or listed for people, and written back.

use async_trait::async_trait;

use super::Result;
use crate::{
    code::Code,
    ids::{Auth0UserId, BatchId, ItemSeq, RunId, SourceKey},
    item::{Item, ItemResult, ItemState, Origin},
    job::{Job, JobKind, JobState, Lease},
    record::UserRecord,
    run::RunState,
};

/// An application row that did not take its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRow {
    /// The item of that row.
    pub seq: ItemSeq,
    /// Why; the item is a conflict with this code now.
    pub code: Code,
    /// The database's own code, such as `SQLSTATE P0001`, and the constraint's name; the item's
    /// field now. Never a value.
    pub said: Option<String>,
}

impl RefusedRow {
    /// A row about which the database said nothing.
    pub fn silent(seq: ItemSeq, code: Code) -> Self {
        RefusedRow { seq, code, said: None }
    }
}

/// What became of the application's rows that were to get an id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppRows {
    /// Those that did not take it, and why.
    pub refused: Vec<RefusedRow>,
    /// Those that others hold locked: nothing was written, and they are to be tried again.
    pub locked: Vec<ItemSeq>,
}

impl AppRows {
    /// Takes in what became of other rows.
    pub fn add(&mut self, others: AppRows) {
        self.refused.extend(others.refused);
        self.locked.extend(others.locked);
    }
}

/// The result of a write-back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteBack {
    /// Application rows that did not take the id.
    pub refused_rows: Vec<RefusedRow>,
    /// Items whose application row others hold locked: nothing was written for them, they are
    /// pending still.
    pub locked: Vec<ItemSeq>,
    /// Items of the batch still pending.
    pub pending: i64,
    /// The run's state as its holders see it ([`RunState::seen_by_holder`]): a holder
    /// stops sending when it is not `Running`.
    pub run: RunState,
}

impl WriteBack {
    /// Whether the batch is provisioned and the job done with this write.
    pub fn finished(&self) -> bool {
        self.pending == 0
    }
}

/// An item as a person sees it; no personal data but the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemView {
    /// Position in the source.
    pub seq: ItemSeq,
    /// Its key in the source.
    pub key: SourceKey,
    /// Its place in the source.
    pub origin: Origin,
    /// Its state.
    pub state: ItemState,
    /// Why it is in that state, where there is more to say.
    pub code: Option<Code>,
    /// Which field the code speaks of. A name, never a value.
    pub field: Option<String>,
    /// Which other record or user the code speaks of.
    pub other: Option<String>,
    /// The user at Auth0.
    pub auth0_user_id: Option<Auth0UserId>,
}

/// All that the ledger knows of one user in one run.
#[derive(Clone, Debug)]
pub struct UserInRun {
    /// The item.
    pub item: ItemView,
    /// Its record, where it has one, to compare with the account.
    pub record: Option<UserRecord>,
    /// The batch that it is in.
    pub batch: BatchId,
    /// Jobs of that batch, the oldest first.
    pub jobs: Vec<UserJob>,
    /// Fields that were not as written when it was read back: none at all where the account was
    /// not there. `None` where nothing was found.
    pub discrepancies: Option<Vec<String>>,
}

/// A job of a user's batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserJob {
    /// What it does.
    pub kind: JobKind,
    /// Its state.
    pub state: JobState,
    /// Tries that did not succeed and counted.
    pub attempts: i32,
    /// Rescues since the last progress.
    pub rescues: i32,
    /// Why it was handed back or given up last.
    pub code: Option<Code>,
}

/// Which items to list.
#[derive(Clone, Debug, Default)]
pub struct ItemFilter {
    /// Only these states; all when empty.
    pub states: Vec<ItemState>,
    /// Only these codes; all when empty.
    pub codes: Vec<Code>,
}

/// The items of a run, page by page.
pub struct ItemPages<'a> {
    items: &'a dyn Items,
    run: RunId,
    filter: ItemFilter,
    after: ItemSeq,
    most: i64,
    ended: bool,
}

impl<'a> ItemPages<'a> {
    /// Those that `filter` lets through, at most `most` in a page.
    pub fn of(items: &'a dyn Items, run: RunId, filter: ItemFilter, most: i64) -> Self {
        ItemPages { items, run, filter, after: ItemSeq(0), most, ended: false }
    }

    /// The next page in source order, never empty; `None` after the last. No question is asked after a
    /// page that was not full: to find nothing, a ledger reads all that is left of the run.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn next(&mut self) -> Result<Option<Vec<ItemView>>> {
        if self.ended {
            return Ok(None);
        }
        let page = self.items.items(self.run, &self.filter, self.after, self.most).await?;
        self.ended = (page.len() as i64) < self.most;
        let Some(last) = page.last() else { return Ok(None) };
        self.after = last.seq;
        Ok(Some(page))
    }
}

/// Questions about items, and results written back. What a holder asks is fenced.
#[async_trait]
pub trait Items: Send + Sync {
    /// Pending items of the leased provision job's batch, in source order.
    async fn pending_items(&self, lease: &Lease<Job>) -> Result<Vec<Item>>;

    /// Items of the leased verify job's batch that have a user at Auth0 and are settled by
    /// it: created, adopted, or skipped because an earlier run made the user. In source order.
    async fn items_at_target(&self, lease: &Lease<Job>) -> Result<Vec<Item>>;

    /// Writes the results of several items in one transaction: items, tally of
    /// the batch, `auth0_user_id` of the application's rows. With the last item the
    /// batch becomes `provisioned`, its verify job is made and this job is done; while some
    /// are left, the job's rescues are cleared ([`crate::poison`]).
    /// `requests` are those sent for these results. An item that is not pending any more
    /// is left alone, and so is its row: its result was told before. An application row that
    /// does not come back makes its item `conflict APP_ROW_CHANGED`, keeping the id; a
    /// constraint error costs its own row only. A row that others hold locked costs its own item
    /// only, which stays pending ([`WriteBack::locked`]).
    async fn write_back(
        &self,
        lease: &Lease<Job>,
        results: &[ItemResult],
        requests: i64,
    ) -> Result<WriteBack>;

    /// Up to `most` items after a position, in source order.
    async fn items(
        &self,
        run: RunId,
        filter: &ItemFilter,
        after: ItemSeq,
        most: i64,
    ) -> Result<Vec<ItemView>>;

    /// Users of a run that a worker would send, as they were planned, in source order after a
    /// position. For a plan, which has no batch at hand: what has come of users since is not looked at.
    async fn to_send(&self, run: RunId, after: ItemSeq, most: i64) -> Result<Vec<Item>>;

    /// The users of a run with this key, in source order; several only where the source has
    /// several rows of one key. Reads the whole run: no index holds keys, which each plan would pay for.
    async fn users(&self, run: RunId, key: &SourceKey) -> Result<Vec<UserInRun>>;
}
