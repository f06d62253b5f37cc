//! What histories are made of: workers, users, their outcomes, and the run.

use ferry_domain::{
    Auth0UserId, BatchId, Code, Email, ItemSeq, NewItem, OnExisting, Origin, Outcome, RunId, RunSpec,
    SourceIdentity, SourceKey, UserRecord, WorkerId,
    ports::{Discrepancy, NewRun, WorkerRecord},
};
use uuid::Uuid;

/// Planned users, in batches of three; one more is refused by a rule.
pub const USERS: i64 = 5;
pub const SIZE: usize = 3;

pub fn worker(number: usize) -> WorkerId {
    WorkerId(Uuid::from_u128(10 + number as u128 % 3))
}

/// Who looks after the others; it holds nothing.
pub const BYSTANDER: WorkerId = WorkerId(Uuid::from_u128(99));

pub fn record(number: usize) -> WorkerRecord {
    WorkerRecord { id: worker(number), host: "host".into(), pid: 1, slots: 4, waiting_for: None }
}

pub fn outcomes(seq: i64, choice: usize) -> Outcome {
    let id = Auth0UserId(format!("auth0|{seq}"));
    match choice % 5 {
        0 | 1 => Outcome::created(id),
        2 => Outcome::failed(Code::UserRefused),
        3 => Outcome::conflict(Code::Ghost),
        _ => Outcome::adopted(id),
    }
}

pub fn discrepancy(seq: i64) -> Discrepancy {
    Discrepancy {
        seq: ItemSeq(seq),
        key: SourceKey(seq.to_string()),
        auth0_user_id: Auth0UserId(format!("auth0|{seq}")),
        fields: vec!["email".into()],
    }
}

pub fn new_run(id: RunId, settled_batch: BatchId) -> NewRun {
    NewRun {
        id,
        migration: "model".into(),
        source: SourceIdentity { kind: "csv".into(), location: format!("{id}.csv") },
        spec: RunSpec {
            tenant: "tenant".into(),
            connection: "db".into(),
            on_existing: OnExisting::Adopt,
            batch_size: SIZE as u32,
            max_attempts: 5,
            limits: "off".into(),
            write_back: None,
            source_digest: String::new(),
            stop_after: Default::default(),
        },
        settled_batch,
        requested_by: "ann".into(),
        reason: None,
        accepted: Vec::new(),
    }
}

/// The last one has no address, which a rule refuses.
pub fn new_item(seq: i64, batch: BatchId) -> NewItem {
    let key = SourceKey(seq.to_string());
    let email = Email::normalised(&format!("person-{seq}@example.com"));
    let record = (seq <= USERS).then(|| UserRecord::new(key.clone(), email, true));
    NewItem {
        seq: ItemSeq(seq),
        batch,
        key,
        origin: Origin { place: "people.csv".into(), line: seq as u64 + 1 },
        digest: record.as_ref().map(UserRecord::digest).unwrap_or_default(),
        settled: record.is_none().then(|| Outcome::failed(Code::EmailMissing)),
        record,
    }
}
