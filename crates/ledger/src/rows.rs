//! Rows of the tables, and what they mean. Generic over how a store keeps times.

use std::time::Duration;

use ferry_domain::{
    Auth0UserId, BatchId, Envelope, Item, ItemSeq, ItemState, Job, JobId, JobKind, Lease, RunId, RunView,
    SourceIdentity, SourceKey, Tally, WorkerId,
    ports::{
        DeadKind, DeadState, DeadTry, DeadView, Discrepancy, ItemView, MovedAs, MovedOtherwise, MovedUser,
        RunNow, Unclaimed, UserInRun, UserJob,
    },
};
use uuid::Uuid;

use crate::{
    Result,
    words::{self, StoredTime, corrupt},
};

/// Sums over rows of `batches`.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct TallyRow {
    pub source: i64,
    pub created: i64,
    pub adopted: i64,
    pub skipped: i64,
    pub conflict: i64,
    pub failed: i64,
    pub cancelled: i64,
    pub pending: i64,
}

impl From<TallyRow> for Tally {
    fn from(row: TallyRow) -> Self {
        let TallyRow { source, created, adopted, skipped, conflict, failed, cancelled, pending } = row;
        Tally { source, created, adopted, skipped, conflict, failed, cancelled, pending }
    }
}

/// A row of `runs`, with sums over its batches.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct RunRow<T> {
    pub id: Uuid,
    pub migration: String,
    pub source_kind: String,
    pub source_location: String,
    pub spec: String,
    pub state: String,
    pub round: i32,
    pub revision: i32,
    pub rate: Option<String>,
    pub why: Option<String>,
    pub abandoned: bool,
    pub created_at: T,
    pub moved_at: T,
    pub started_at: Option<T>,
    pub sealed_at: Option<T>,
    pub source: i64,
    pub created: i64,
    pub adopted: i64,
    pub skipped: i64,
    pub conflict: i64,
    pub failed: i64,
    pub cancelled: i64,
    pub pending: i64,
    pub verified: i64,
    pub discrepancies: i64,
    pub requests: i64,
    pub open_batches: i64,
    pub provisioned_at: Option<T>,
}

impl<T: StoredTime> RunRow<T> {
    /// The run as operators see it.
    pub fn view(self) -> Result<RunView> {
        let id = self.id;
        let at = |time: Option<T>| time.map(|time| time.moment("runs", &id)).transpose();
        let RunRow { source, created, adopted, skipped, conflict, failed, cancelled, pending, .. } = self;
        Ok(RunView {
            id: RunId(id),
            migration: self.migration,
            source: SourceIdentity { kind: self.source_kind, location: self.source_location },
            spec: words::run_spec(id, &self.spec)?,
            state: words::run_state(id, &self.state)?,
            tally: Tally { source, created, adopted, skipped, conflict, failed, cancelled, pending },
            verified: self.verified,
            discrepancies: self.discrepancies,
            requests: self.requests,
            open_batches: self.open_batches,
            revision: self.revision,
            round: self.round,
            rate: self.rate,
            why: self.why,
            abandoned: self.abandoned,
            created_at: self.created_at.moment("runs", &id)?,
            moved_at: self.moved_at.moment("runs", &id)?,
            started_at: at(self.started_at)?,
            provisioned_at: at(self.provisioned_at)?,
            sealed_at: at(self.sealed_at)?,
        })
    }
}

/// States of an item whose user at Auth0 settles it; these are read back.
pub const AT_TARGET: &[&str] =
    &[ItemState::Created.as_str(), ItemState::Adopted.as_str(), ItemState::Skipped.as_str()];

/// What workers read of a row of `runs`.
pub fn run_now(
    run: RunId,
    migration: String,
    source: SourceIdentity,
    spec: &str,
    state: &str,
) -> Result<RunNow> {
    let (spec, state) = (words::run_spec(run.0, spec)?, words::run_state(run.0, state)?);
    Ok(RunNow { migration, source, spec, state })
}

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

/// A row of `jobs`, for people.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct UserJobRow {
    pub id: Uuid,
    pub kind: String,
    pub state: String,
    pub attempts: i32,
    pub rescues: i32,
    pub code: Option<String>,
}

impl UserJobRow {
    fn job(self) -> Result<UserJob> {
        Ok(UserJob {
            kind: words::job_kind(self.id, &self.kind)?,
            state: words::job_state(self.id, &self.state)?,
            attempts: self.attempts,
            rescues: self.rescues,
            code: self.code.map(|word| words::code("jobs", self.id, &word)).transpose()?,
        })
    }
}

/// A row of `attempts`, for people.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct TryRow<T> {
    pub number: i32,
    pub code: String,
    pub took_ms: i64,
    pub at: T,
}

impl<T: StoredTime> TryRow<T> {
    /// The try.
    pub fn view(self) -> Result<DeadTry> {
        const TABLE: &str = "attempts";
        Ok(DeadTry {
            number: self.number,
            code: words::code(TABLE, self.number, &self.code)?,
            took: Duration::from_millis(self.took_ms.unsigned_abs()),
            at: self.at.moment(TABLE, &self.number)?,
        })
    }
}

/// A row of `jobs` as it travels.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct SendRow {
    pub id: Uuid,
    pub run_id: Uuid,
    pub batch_id: Option<Uuid>,
    pub kind: String,
    pub send: i32,
    pub rescues: i32,
    pub traceparent: Option<String>,
}

impl SendRow {
    /// What travels.
    pub fn envelope(self) -> Result<Envelope> {
        Ok(Envelope {
            version: Envelope::VERSION,
            kind: words::job_kind(self.id, &self.kind)?,
            job: JobId(self.id),
            run: RunId(self.run_id),
            batch: self.batch_id.map(BatchId),
            send: self.send,
            rescues: self.rescues,
            traceparent: self.traceparent,
        })
    }

    /// What is wrong with a delivery that could not be claimed.
    pub fn why_unclaimed(&self, delivered: &Envelope) -> Unclaimed {
        let same = self.kind == delivered.kind.as_str()
            && self.run_id == delivered.run.0
            && self.batch_id == delivered.batch.map(|batch| batch.0);
        match same {
            false => Unclaimed::Mismatch,
            true if delivered.send > self.send => Unclaimed::Ahead,
            true => Unclaimed::Stale,
        }
    }
}

/// A row of `jobs` as its holder sees it.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct JobRow {
    pub id: Uuid,
    pub run_id: Uuid,
    pub batch_id: Option<Uuid>,
    pub kind: String,
    pub attempts: i32,
    pub rescues: i32,
    pub traceparent: Option<String>,
}

impl JobRow {
    /// The job as its holder sees it.
    pub fn job(self) -> Result<Job> {
        Ok(Job {
            id: JobId(self.id),
            kind: words::job_kind(self.id, &self.kind)?,
            run: RunId(self.run_id),
            batch: self.batch_id.map(BatchId),
            attempts: self.attempts,
            rescues: self.rescues,
            traceparent: self.traceparent,
        })
    }
}

/// A row of `jobs` that was just leased.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct ClaimedRow {
    pub id: Uuid,
    pub run_id: Uuid,
    pub batch_id: Option<Uuid>,
    pub kind: String,
    pub attempts: i32,
    pub rescues: i32,
    pub traceparent: Option<String>,
    pub token: i64,
    /// Seconds since it might run.
    pub waited: f64,
}

impl ClaimedRow {
    /// The lease.
    pub fn lease(self, holder: WorkerId, lasts: Duration) -> Result<Lease<Job>> {
        let ClaimedRow { id, run_id, batch_id, kind, attempts, rescues, traceparent, token, waited } = self;
        let of = JobRow { id, run_id, batch_id, kind, attempts, rescues, traceparent }.job()?;
        Ok(Lease { of, holder, token, lasts, waited: words::span(waited) })
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

/// A row of `dead_letters` without its payload.
#[expect(missing_docs, reason = "columns under their own names")]
#[derive(Debug)]
pub struct DeadRow<T> {
    pub id: i64,
    pub received_at: T,
    pub kind: String,
    pub state: String,
    pub queue: String,
    pub job_id: Option<Uuid>,
    pub job_kind: Option<String>,
    pub run_id: Option<Uuid>,
    pub batch_id: Option<Uuid>,
    pub code: String,
    pub reason: String,
    pub attempts: i32,
    pub rescues: i32,
    pub users: i64,
    pub given_up_by: String,
    pub resolved_by: Option<String>,
    pub resolved_at: Option<T>,
}

impl<T: StoredTime> DeadRow<T> {
    /// The letter as a person sees it.
    pub fn view(self) -> Result<DeadView> {
        const TABLE: &str = "dead_letters";
        let kind = [DeadKind::Payload, DeadKind::Job].into_iter().find(|kind| kind.as_str() == self.kind);
        Ok(DeadView {
            id: self.id,
            at: self.received_at.moment(TABLE, &self.id)?,
            kind: kind.ok_or_else(|| corrupt(TABLE, self.id, "unknown kind"))?,
            state: DeadState::parse(&self.state).ok_or_else(|| corrupt(TABLE, self.id, "unknown state"))?,
            queue: self.queue,
            job: self.job_id.map(JobId),
            job_kind: self.job_kind.map(|word| words::job_kind(self.id, &word)).transpose()?,
            run: self.run_id.map(RunId),
            batch: self.batch_id.map(BatchId),
            code: words::code(TABLE, self.id, &self.code)?,
            reason: self.reason,
            attempts: self.attempts,
            rescues: self.rescues,
            users: self.users,
            given_up_by: self.given_up_by,
            resolved_by: self.resolved_by,
            resolved_at: self.resolved_at.map(|at| at.moment(TABLE, &self.id)).transpose()?,
        })
    }
}

/// A kept letter about a job.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Number of the letter.
    pub id: i64,
    /// What the job did.
    pub kind: JobKind,
    /// The job.
    pub job: JobId,
    /// The job's batch; `None` for a report.
    pub batch: Option<BatchId>,
    /// Why it was given up: its users failed with the same code.
    pub code: String,
}

/// Kept letters, by run.
#[derive(Clone, Debug, Default)]
pub struct Letters {
    /// Letters about jobs, by run; those of one run in order of their numbers.
    pub of_runs: std::collections::BTreeMap<RunId, Vec<Letter>>,
    /// Numbers of the others: payloads.
    pub payloads: Vec<i64>,
}

impl Letters {
    /// Adds a row; letters come in order of their numbers.
    pub fn add(
        &mut self,
        id: i64,
        run: Option<Uuid>,
        job: Option<Uuid>,
        job_kind: Option<&str>,
        batch: Option<Uuid>,
        code: String,
    ) -> Result<()> {
        match (run, job, job_kind) {
            (Some(run), Some(job), Some(kind)) => {
                let kind = words::job_kind(id, kind)?;
                let letter = Letter { id, kind, job: JobId(job), batch: batch.map(BatchId), code };
                self.of_runs.entry(RunId(run)).or_default().push(letter);
            }
            _ => self.payloads.push(id),
        }
        Ok(())
    }
}
