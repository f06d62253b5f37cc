//! Rows turned into the domain's types: the one place for each table. What makes
//! no sense is `Corrupt`, naming table and row.

use std::{fmt::Display, time::Duration};

use ferry_domain::{
    Auth0UserId, BatchId, Code, Envelope, Item, ItemSeq, ItemState, Job, JobId, JobKind, Origin, RunId,
    RunSpec, RunState, RunView, SourceIdentity, SourceKey, Tally,
    ports::{Discrepancy, ItemView, LedgerError},
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::errors::Result;

/// A row that makes no sense.
pub(crate) fn corrupt(table: &'static str, row: impl Display, why: impl Display) -> LedgerError {
    LedgerError::Corrupt { table, row: row.to_string(), why: why.to_string() }
}

/// A duration as the store counts it: microseconds, at most 292,000 years.
pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}

/// A stored time.
pub(crate) fn moment(table: &'static str, row: impl Display, micros: i64) -> Result<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000)
        .map_err(|why| corrupt(table, row, why))
}

/// An id as JSON carries it into SQL, where `unhex` takes it back.
pub(crate) fn hex(id: Uuid) -> String {
    id.simple().to_string()
}

/// Lists as JSON, for `json_each`.
pub(crate) fn json<T: serde::Serialize + ?Sized>(rows: &T) -> String {
    // Can't fail: all that is passed has string keys and plain values only.
    serde_json::to_string(rows).unwrap_or_default()
}

/// The state of a run.
pub(crate) fn run_state(word: &str, run: Uuid) -> Result<RunState> {
    RunState::parse(word).ok_or_else(|| corrupt("ferry_runs", run, format_args!("state {word:?}")))
}

/// What was decided at a run's start.
pub(crate) fn run_spec(text: &str, run: Uuid) -> Result<RunSpec> {
    serde_json::from_str(text).map_err(|why| corrupt("ferry_runs", run, format_args!("spec: {why}")))
}

fn item_state(word: &str, seq: i64) -> Result<ItemState> {
    ItemState::parse(word).ok_or_else(|| corrupt("ferry_items", seq, format_args!("state {word:?}")))
}

/// Why an item stands as it does.
pub(crate) fn code(word: &str, table: &'static str, row: impl Display) -> Result<Code> {
    word.parse().map_err(|why| corrupt(table, row, why))
}

/// A state and a code with a count, as summaries read them.
pub(crate) fn state_and_code(state: &str, word: &str) -> Result<(ItemState, Code)> {
    let state = ItemState::parse(state)
        .ok_or_else(|| corrupt("ferry_items", "of a summary", format_args!("state {state:?}")))?;
    Ok((state, code(word, "ferry_items", "of a summary")?))
}

/// What a job does.
pub(crate) fn job_kind(word: &str, job: Uuid) -> Result<JobKind> {
    JobKind::parse(word).ok_or_else(|| corrupt("ferry_jobs", job, format_args!("kind {word:?}")))
}

/// A run with the sums over its batches.
pub(crate) struct RunRow {
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
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub sealed_at: Option<i64>,
    pub provisioned_at: Option<i64>,
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
}

impl RunRow {
    /// The run as operators see it.
    pub fn view(self) -> Result<RunView> {
        let at = |micros: Option<i64>| micros.map(|m| moment("ferry_runs", self.id, m)).transpose();
        Ok(RunView {
            id: RunId(self.id),
            spec: run_spec(&self.spec, self.id)?,
            state: run_state(&self.state, self.id)?,
            tally: Tally {
                source: self.source,
                created: self.created,
                adopted: self.adopted,
                skipped: self.skipped,
                conflict: self.conflict,
                failed: self.failed,
                cancelled: self.cancelled,
                pending: self.pending,
            },
            verified: self.verified,
            discrepancies: self.discrepancies,
            requests: self.requests,
            open_batches: self.open_batches,
            revision: self.revision,
            round: self.round,
            rate: self.rate,
            why: self.why,
            created_at: moment("ferry_runs", self.id, self.created_at)?,
            started_at: at(self.started_at)?,
            provisioned_at: at(self.provisioned_at)?,
            sealed_at: at(self.sealed_at)?,
            migration: self.migration,
            source: SourceIdentity { kind: self.source_kind, location: self.source_location },
        })
    }
}

/// A job that was taken.
pub(crate) struct JobRow {
    pub id: Uuid,
    pub run_id: Uuid,
    pub batch_id: Option<Uuid>,
    pub kind: String,
    pub attempts: i32,
    pub rescues: i32,
    pub traceparent: Option<String>,
    pub token: i64,
}

impl JobRow {
    /// The job as its holder sees it.
    pub fn job(self) -> Result<Job> {
        Ok(Job {
            id: JobId(self.id),
            kind: job_kind(&self.kind, self.id)?,
            run: RunId(self.run_id),
            batch: self.batch_id.map(BatchId),
            attempts: self.attempts,
            rescues: self.rescues,
            traceparent: self.traceparent,
        })
    }
}

/// One send of a job. The last three fields are the order of sends.
pub(crate) struct SendRow {
    pub id: Uuid,
    pub run_id: Uuid,
    pub batch_id: Option<Uuid>,
    pub kind: String,
    pub send: i32,
    pub rescues: i32,
    pub traceparent: Option<String>,
    pub priority: i64,
    pub created_at: i64,
    pub number: i64,
}

impl SendRow {
    /// Where the job stands in the order of sends.
    pub fn order(&self) -> (i64, i64, i64) {
        (self.priority, self.created_at, self.number)
    }

    /// What travels.
    pub fn envelope(self) -> Result<Envelope> {
        Ok(Envelope {
            version: Envelope::VERSION,
            kind: job_kind(&self.kind, self.id)?,
            job: JobId(self.id),
            run: RunId(self.run_id),
            batch: self.batch_id.map(BatchId),
            send: self.send,
            rescues: self.rescues,
            traceparent: self.traceparent,
        })
    }
}

/// An item with its record, for workers.
pub(crate) struct ItemRow {
    pub seq: i64,
    pub record: Option<String>,
    pub auth0_user_id: Option<String>,
    pub state: String,
}

impl ItemRow {
    /// The item.
    pub fn item(self) -> Result<Item> {
        let record = self.record.ok_or_else(|| corrupt("ferry_items", self.seq, "there is no record"))?;
        Ok(Item {
            seq: ItemSeq(self.seq),
            // serde's message may quote the record; its place says enough.
            record: serde_json::from_str(&record).map_err(|error| {
                let why = format!("the record can't be read from column {} on", error.column());
                corrupt("ferry_items", self.seq, why)
            })?,
            auth0_user_id: self.auth0_user_id.map(Auth0UserId),
            state: item_state(&self.state, self.seq)?,
        })
    }
}

/// An item as lists show it.
pub(crate) struct ItemViewRow {
    pub seq: i64,
    pub key: String,
    pub place: String,
    pub line: i64,
    pub state: String,
    pub code: Option<String>,
    pub field: Option<String>,
    pub auth0_user_id: Option<String>,
}

impl ItemViewRow {
    /// The item for a person.
    pub fn view(self) -> Result<ItemView> {
        Ok(ItemView {
            seq: ItemSeq(self.seq),
            state: item_state(&self.state, self.seq)?,
            code: self.code.map(|word| code(&word, "ferry_items", self.seq)).transpose()?,
            key: SourceKey(self.key),
            origin: origin(self.place, self.line, self.seq)?,
            field: self.field,
            auth0_user_id: self.auth0_user_id.map(Auth0UserId),
        })
    }
}

/// Where an item stands in its source.
pub(crate) fn origin(place: String, line: i64, seq: i64) -> Result<Origin> {
    let line = u64::try_from(line).map_err(|why| corrupt("ferry_items", seq, format_args!("line: {why}")))?;
    Ok(Origin { place, line })
}

/// A user found otherwise than written.
pub(crate) struct DiscrepancyRow {
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
            fields: serde_json::from_str(&self.fields)
                .map_err(|why| corrupt("ferry_discrepancies", self.seq, why))?,
        })
    }
}
