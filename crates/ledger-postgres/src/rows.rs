//! Rows of the tables and what they mean, in one place for each table.

use ferry_domain::{
    Auth0UserId, BatchId, Code, Envelope, Item, ItemSeq, ItemState, JobId, JobKind, Origin, RunId, RunSpec,
    RunState, RunView, SourceIdentity, SourceKey, Tally, UserRecord,
    ports::{DeadKind, DeadState, DeadView, Discrepancy, ItemView, LedgerError},
};
use time::OffsetDateTime;
use uuid::Uuid;

type Result<T> = std::result::Result<T, LedgerError>;

fn corrupt(table: &'static str, row: impl ToString, why: impl Into<String>) -> LedgerError {
    LedgerError::Corrupt { table, row: row.to_string(), why: why.into() }
}

/// Sums over rows of `batches`.
pub(crate) struct TallyRow {
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
        Tally {
            source: row.source,
            created: row.created,
            adopted: row.adopted,
            skipped: row.skipped,
            conflict: row.conflict,
            failed: row.failed,
            cancelled: row.cancelled,
            pending: row.pending,
        }
    }
}

/// A row of `runs`, with sums over its batches.
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
    pub created_at: OffsetDateTime,
    pub started_at: Option<OffsetDateTime>,
    pub sealed_at: Option<OffsetDateTime>,
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
    pub provisioned_at: Option<OffsetDateTime>,
}

impl TryFrom<RunRow> for RunView {
    type Error = LedgerError;
    fn try_from(row: RunRow) -> Result<Self> {
        Ok(RunView {
            id: RunId(row.id),
            migration: row.migration,
            source: SourceIdentity { kind: row.source_kind, location: row.source_location },
            spec: run_spec(row.id, &row.spec)?,
            state: run_state(row.id, &row.state)?,
            tally: Tally {
                source: row.source,
                created: row.created,
                adopted: row.adopted,
                skipped: row.skipped,
                conflict: row.conflict,
                failed: row.failed,
                cancelled: row.cancelled,
                pending: row.pending,
            },
            verified: row.verified,
            discrepancies: row.discrepancies,
            requests: row.requests,
            open_batches: row.open_batches,
            revision: row.revision,
            round: row.round,
            rate: row.rate,
            why: row.why,
            created_at: row.created_at,
            started_at: row.started_at,
            provisioned_at: row.provisioned_at,
            sealed_at: row.sealed_at,
        })
    }
}

pub(crate) fn run_spec(run: Uuid, json: &str) -> Result<RunSpec> {
    serde_json::from_str(json).map_err(|e| corrupt("runs", run, unreadable("spec", &e)))
}

pub(crate) fn run_state(run: Uuid, word: &str) -> Result<RunState> {
    RunState::parse(word).ok_or_else(|| corrupt("runs", run, "unknown state"))
}

/// serde's own words quote the value; where it stands is enough.
fn unreadable(column: &str, error: &serde_json::Error) -> String {
    format!("{column} can't be read ({:?} error at character {})", error.classify(), error.column())
}

/// A row of `items` with its record, as workers read it.
pub(crate) struct ItemRow {
    pub run_id: Uuid,
    pub seq: i64,
    pub record: Option<String>,
    pub auth0_user_id: Option<String>,
    pub state: String,
}

impl TryFrom<ItemRow> for Item {
    type Error = LedgerError;
    fn try_from(row: ItemRow) -> Result<Self> {
        let name = || format!("{}/{}", row.run_id, row.seq);
        let json = row.record.as_deref().ok_or_else(|| corrupt("items", name(), "it has no record"))?;
        let record: UserRecord =
            serde_json::from_str(json).map_err(|e| corrupt("items", name(), unreadable("record", &e)))?;
        Ok(Item {
            seq: ItemSeq(row.seq),
            record,
            state: item_state("items", name(), &row.state)?,
            auth0_user_id: row.auth0_user_id.map(Auth0UserId),
        })
    }
}

/// A row of `items` without its record, as people read it.
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

impl TryFrom<ItemViewRow> for ItemView {
    type Error = LedgerError;
    fn try_from(row: ItemViewRow) -> Result<Self> {
        Ok(ItemView {
            seq: ItemSeq(row.seq),
            key: SourceKey(row.key),
            origin: origin(row.seq, row.place, row.line)?,
            state: item_state("items", row.seq, &row.state)?,
            code: row.code.map(|word| code("items", row.seq, &word)).transpose()?,
            field: row.field,
            auth0_user_id: row.auth0_user_id.map(Auth0UserId),
        })
    }
}

pub(crate) fn item_state(table: &'static str, row: impl ToString, word: &str) -> Result<ItemState> {
    ItemState::parse(word).ok_or_else(|| corrupt(table, row, "unknown state"))
}

pub(crate) fn code(table: &'static str, row: impl ToString, word: &str) -> Result<Code> {
    word.parse().map_err(|_| corrupt(table, row, "unknown code"))
}

pub(crate) fn origin(seq: i64, place: String, line: i64) -> Result<Origin> {
    let line = u64::try_from(line).map_err(|_| corrupt("items", seq, "negative line"))?;
    Ok(Origin { place, line })
}

/// A row of `jobs` as it travels.
pub(crate) struct JobRow {
    pub id: Uuid,
    pub run_id: Uuid,
    pub batch_id: Option<Uuid>,
    pub kind: String,
    pub send: i32,
    pub rescues: i32,
    pub traceparent: Option<String>,
}

impl TryFrom<JobRow> for Envelope {
    type Error = LedgerError;
    fn try_from(row: JobRow) -> Result<Self> {
        Ok(Envelope {
            version: Envelope::VERSION,
            kind: job_kind(row.id, &row.kind)?,
            job: JobId(row.id),
            run: RunId(row.run_id),
            batch: row.batch_id.map(BatchId),
            send: row.send,
            rescues: row.rescues,
            traceparent: row.traceparent,
        })
    }
}

pub(crate) fn job_kind(row: impl ToString, word: &str) -> Result<JobKind> {
    JobKind::parse(word).ok_or_else(|| corrupt("jobs", row, "unknown kind"))
}

/// A row of `discrepancies`.
pub(crate) struct DiscrepancyRow {
    pub seq: i64,
    pub key: String,
    pub auth0_user_id: String,
    pub fields: String,
}

impl TryFrom<DiscrepancyRow> for Discrepancy {
    type Error = LedgerError;
    fn try_from(row: DiscrepancyRow) -> Result<Self> {
        Ok(Discrepancy {
            seq: ItemSeq(row.seq),
            key: SourceKey(row.key),
            auth0_user_id: Auth0UserId(row.auth0_user_id),
            fields: serde_json::from_str(&row.fields)
                .map_err(|e| corrupt("discrepancies", row.seq, unreadable("fields", &e)))?,
        })
    }
}

/// A row of `dead_letters` without its payload.
pub(crate) struct DeadRow {
    pub id: i64,
    pub received_at: OffsetDateTime,
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
    pub resolved_at: Option<OffsetDateTime>,
}

impl TryFrom<DeadRow> for DeadView {
    type Error = LedgerError;
    fn try_from(row: DeadRow) -> Result<Self> {
        let kind = [DeadKind::Payload, DeadKind::Job].into_iter().find(|kind| kind.as_str() == row.kind);
        Ok(DeadView {
            id: row.id,
            at: row.received_at,
            kind: kind.ok_or_else(|| corrupt("dead_letters", row.id, "unknown kind"))?,
            state: DeadState::parse(&row.state)
                .ok_or_else(|| corrupt("dead_letters", row.id, "unknown state"))?,
            queue: row.queue,
            job: row.job_id.map(JobId),
            job_kind: row.job_kind.map(|word| job_kind(row.id, &word)).transpose()?,
            run: row.run_id.map(RunId),
            batch: row.batch_id.map(BatchId),
            code: code("dead_letters", row.id, &row.code)?,
            reason: row.reason,
            attempts: row.attempts,
            rescues: row.rescues,
            users: row.users,
            given_up_by: row.given_up_by,
            resolved_by: row.resolved_by,
            resolved_at: row.resolved_at,
        })
    }
}

/// Converts all rows, or says which makes no sense.
pub(crate) fn all<R, T: TryFrom<R, Error = LedgerError>>(rows: Vec<R>) -> Result<Vec<T>> {
    rows.into_iter().map(T::try_from).collect()
}
