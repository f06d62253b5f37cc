//! Planning a run: its items, their batches, and the application's table.

use std::time::Duration;

use async_trait::async_trait;

use super::{Command, Result};
use crate::{
    app_schema::AppSchema,
    application::{AppTable, Finding},
    code::Code,
    ids::{Auth0UserId, BatchId, ItemSeq, RunId, SourceKey},
    item::{ItemState, NewItem},
    migration::people::Overlap,
    record::{Email, UserRecord},
    run::{RunSpec, SourceIdentity, WriteBackTarget},
    tally::Tally,
};

/// A run to be opened.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// Its id.
    pub id: RunId,
    /// Named move it belongs to.
    pub migration: String,
    /// Where its users come from; one active run per source.
    pub source: SourceIdentity,
    /// Settings that stay the same until the run ends.
    pub spec: RunSpec,
    /// Batch of the items that a rule settled.
    pub settled_batch: BatchId,
    /// Who asked for it.
    pub requested_by: String,
    /// Why, in their words.
    pub reason: Option<String>,
    /// What they accepted by name, such as `SOURCE_CHANGED`.
    pub accepted: Vec<&'static str>,
}

impl NewRun {
    /// The order that opens it.
    pub fn command(&self) -> Command<'_> {
        Command { by: &self.requested_by, reason: self.reason.as_deref() }
    }
}

/// Items that planning settled, with the same state and code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettledGroup {
    /// Conflict, failed or skipped.
    pub state: ItemState,
    /// Code of the reason.
    pub code: Code,
    /// Number of items.
    pub count: i64,
}

/// A user whose row has an Auth0 id already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedUser {
    /// Position in the source.
    pub seq: ItemSeq,
    /// Identity in the source.
    pub key: SourceKey,
    /// The id in the row; empty where it has none.
    pub auth0_user_id: Auth0UserId,
    /// Digest of today's record; empty where a rule refuses it now.
    pub digest: String,
}

/// A user and their address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addressed {
    /// Identity in the source.
    pub key: SourceKey,
    /// The address.
    pub email: Email,
}

/// A user who is not as a certain run moved them.
#[derive(Clone, Debug, PartialEq)]
pub struct MovedOtherwise {
    /// Position in the source that is planned.
    pub seq: ItemSeq,
    /// How they were moved; `None` where that run did not move this user.
    pub then: Option<MovedAs>,
}

/// How a run moved a user.
#[derive(Clone, Debug, PartialEq)]
pub struct MovedAs {
    /// The record that was moved.
    pub record: UserRecord,
    /// The account at Auth0.
    pub auth0_user_id: Auth0UserId,
}

/// The result of planning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planned {
    /// All items by state.
    pub tally: Tally,
    /// Settled items by state and code, in order of code.
    pub settled: Vec<SettledGroup>,
    /// Batches to provision.
    pub batches: i64,
}

/// After this time without a sign of its process, a run that was never started counts as abandoned.
pub const ABANDONED: Duration = Duration::from_secs(20);

/// What the planner asks. Workers see no run before `start`.
#[async_trait]
pub trait Planning: Send + Sync {
    /// Brings the ledger's own tables up to date. Safe to repeat, and to run twice at the same time.
    async fn migrate(&self) -> Result<()>;

    /// Opens a run in state `planning`. Removes a run of the same source first that was never
    /// started and whose process showed no sign for [`ABANDONED`]; refuses with
    /// `AnotherRunActive`.
    async fn open_run(&self, run: &NewRun) -> Result<()>;

    /// Adds a chunk of items, up to some thousands, in one transaction.
    async fn add_items(&self, run: RunId, items: &[NewItem]) -> Result<()>;

    /// Shows that a process is still at work on a run that was not started: it reads the
    /// source, or waits for a person's answer. Nothing happens where there is no such run.
    async fn keep(&self, run: RunId) -> Result<()>;

    /// Ends planning with a few statements, whatever the number of items:
    /// settles all pending items that share their key with another item (`DUPLICATE_KEY`),
    /// and all but one of equal addresses (`DUPLICATE_EMAIL`; who was moved before keeps
    /// it, else who may sign in, else the first); makes a conflict of each user with an Auth0 id
    /// who is not as moved by the first of the `earlier` runs that moved them
    /// (`CHANGED_SINCE_MOVED`, with the fields, of which `auth0_user_id` is one: the row names
    /// another account), and of each that is left out as disabled and has an account that can sign
    /// in (field `blocked`). A user to be sent whom an earlier run gave an account that is not the
    /// chosen one keeps it ([`crate::Item::auth0_user_id`]); one whose address an earlier run moved for
    /// another key is not offered that account ([`crate::Item::account_of`]). Writes batches with
    /// their tallies and one provision job each; the run becomes `planned`.
    async fn finish_planning(&self, run: RunId, earlier: &[RunId]) -> Result<Planned>;

    /// Users of a run in planning that are `ALREADY_MIGRATED`, or `DISABLED` without an account, in
    /// source order after a position.
    async fn moved_users(&self, run: RunId, after: ItemSeq, most: i64) -> Result<Vec<MovedUser>>;

    /// Of these users those who are not as `earlier` moved them, or whom it did not move. For a
    /// plan, which is made in a ledger of its own; each call reads the whole earlier run once.
    async fn moved_otherwise(&self, earlier: RunId, users: &[MovedUser]) -> Result<Vec<MovedOtherwise>>;

    /// How many of these users `earlier` moved, and how many of them with the same address; each
    /// call reads the whole earlier run once.
    async fn moved_of(&self, earlier: RunId, users: &[Addressed]) -> Result<Overlap>;

    /// Keys of users that a run moved, or found moved, in source order after a position, each with it.
    async fn moved_keys(&self, run: RunId, after: ItemSeq, most: i64) -> Result<Vec<(ItemSeq, SourceKey)>>;

    /// Makes conflicts `CHANGED_SINCE_MOVED` of users of a run in planning, given how they were
    /// moved, as `finish_planning` does for earlier runs of the same ledger.
    async fn settle_changed(&self, run: RunId, then: &[(ItemSeq, MovedAs)]) -> Result<()>;

    /// `planned → running`. With nothing pending the sweep seals it.
    async fn start(&self, run: RunId, command: &Command<'_>) -> Result<()>;

    /// Removes a run that is still `planning` or `planned`, with all its rows. That it was opened, and is
    /// not started, stays in the audit.
    async fn abandon(&self, run: RunId, command: &Command<'_>) -> Result<()>;

    /// Adds `auth0_user_id` (nullable, partial unique index) to the
    /// application's table where it is missing. Returns whether it changed anything.
    /// A table that no index can span gets the column alone.
    async fn prepare_application(&self, target: &WriteBackTarget) -> Result<bool>;

    /// Looks at the application's table. Refuses with `WriteBackTarget` only when there is none;
    /// what it lacks is in the answer.
    async fn application_table(&self, target: &WriteBackTarget) -> Result<AppTable>;

    /// What Ferry's work looks like in the application's database, and which tables of these names
    /// are there. Refuses with `WriteBackTarget` when there is no such table.
    async fn application_schema(&self, target: &WriteBackTarget, names: &[&str]) -> Result<AppSchema>;

    /// Refuses with `WriteBackTarget` when the application's table lacks what
    /// write-back needs.
    async fn check_application(&self, target: &WriteBackTarget) -> Result<()> {
        self.application_table(target).await?.check()
    }

    /// What a person should know about the store itself before users are moved: each a sentence
    /// with what to do, and how bad it is.
    async fn remarks(&self) -> Result<Vec<Finding>>;
}
