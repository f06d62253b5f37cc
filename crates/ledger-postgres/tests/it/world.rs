//! A database for each test, and a run in it.

use std::{sync::Arc, time::Duration};

use ferry_domain::{
    Auth0UserId, BatchId, Email, Envelope, ItemResult, ItemSeq, Job, JobKind, Lease, NewItem, OnExisting,
    Origin, Outcome, RunId, RunSpec, SourceIdentity, SourceKey, UserRecord, WorkerId, WriteBackTarget,
    ports::{Items, Jobs, Leases, NewRun, Planned, Planning},
};
use ferry_ledger_postgres::{Options, PostgresLedger};
use ferry_testbed::until;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

pub const LEASE: Duration = Duration::from_secs(30);

/// A ledger's view of the database.
#[derive(Clone)]
pub struct Database(Arc<ferry_testbed::Database>);

impl std::ops::Deref for Database {
    type Target = ferry_testbed::Database;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// Runs a test in a database of its own, or says that it was skipped.
pub async fn in_database<F: Future<Output = ()>>(test: impl FnOnce(Database) -> F) {
    if let Some(database) = Database::new().await {
        test(database).await;
    }
}

pub async fn execute(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap();
}

impl Database {
    pub async fn new() -> Option<Database> {
        Some(Database(Arc::new(ferry_testbed::Database::new().await?)))
    }

    /// The one value a query gives, as text.
    pub async fn ask(&self, sql: &str) -> String {
        let wrapped = format!("SELECT coalesce(value::text, 'NULL') FROM ({sql}) AS answer (value)");
        sqlx::query_scalar(AssertSqlSafe(wrapped)).fetch_one(&mut self.connect().await).await.unwrap()
    }

    /// A ledger as a process of its own would have it.
    pub async fn ledger(&self) -> PostgresLedger {
        PostgresLedger::connect(&self.url, Options::default()).await.unwrap()
    }

    /// A ledger with its tables.
    pub async fn migrated(&self) -> PostgresLedger {
        let ledger = self.ledger().await;
        ledger.migrate().await.unwrap();
        ledger
    }

    /// Ends the session that holds a worker's lock, as the death of its process does,
    /// and waits until the lock is free.
    pub async fn end_presence(&self, worker: WorkerId) {
        let holder = format!(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted \
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
             AND (classid::bigint << 32) + objid::bigint = ferry.presence_key('{worker}')"
        );
        self.execute(&format!("SELECT pg_terminate_backend(pid) FROM ({holder}) AS dying")).await;
        for _ in 0..1000 {
            if self.ask(&format!("SELECT count(*) FROM ({holder}) AS left_over")).await == "0" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("the session does not end");
    }

    /// Waits until a session waits for a lock, and so stands where the test wants it.
    pub async fn until_blocked(&self) {
        let waiting = "SELECT count(*) FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        until("somebody waits for a lock", async || self.ask(waiting).await != "0").await;
    }
}

pub fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub fn worker(number: u128) -> WorkerId {
    WorkerId(id(number))
}

pub fn users_table() -> WriteBackTarget {
    WriteBackTarget::new(None, "users", "id", "auth0_user_id")
}

pub fn new_run(number: u128, target: Option<WriteBackTarget>) -> NewRun {
    NewRun {
        id: RunId(id(number)),
        migration: "test".into(),
        source: SourceIdentity { kind: "csv".into(), location: format!("/users-{number}.csv") },
        spec: RunSpec {
            tenant: "t".into(),
            connection: "c".into(),
            on_existing: OnExisting::Adopt,
            batch_size: 100,
            max_attempts: 3,
            limits: "off".into(),
            write_back: target,
            source_digest: String::new(),
            stop_after: Default::default(),
        },
        settled_batch: BatchId(id(number * 1000)),
        requested_by: "tester".into(),
        reason: None,
        accepted: Vec::new(),
    }
}

pub fn item(seq: i64, batch: u128, key: &str) -> NewItem {
    let record =
        UserRecord::new(SourceKey(key.into()), Email::normalised(&format!("u{seq}@example.com")), true);
    NewItem {
        seq: ItemSeq(seq),
        batch: BatchId(id(batch)),
        key: record.key.clone(),
        origin: Origin { place: "users.csv".into(), line: seq as u64 + 1 },
        digest: record.digest(),
        record: Some(record),
        settled: None,
    }
}

/// A started run with one batch per slice of keys; batch n has the id `run·1000 + n`.
pub async fn running(
    ledger: &PostgresLedger,
    run: u128,
    target: Option<WriteBackTarget>,
    batches: &[Vec<String>],
) -> Planned {
    let new = new_run(run, target);
    ledger.open_run(&new).await.unwrap();
    let mut items = Vec::new();
    for (number, keys) in batches.iter().enumerate() {
        for key in keys {
            items.push(item(items.len() as i64 + 1, run * 1000 + 1 + number as u128, key));
        }
    }
    ledger.add_items(new.id, &items).await.unwrap();
    let planned = ledger.finish_planning(new.id, &[]).await.unwrap();
    ledger.start(new.id, &new.command()).await.unwrap();
    planned
}

pub fn keys(numbers: std::ops::RangeInclusive<i64>) -> Vec<String> {
    numbers.map(|n| n.to_string()).collect()
}

/// Leases all that is ready, in order.
pub async fn lease_all(ledger: &PostgresLedger, holder: WorkerId, lasts: Duration) -> Vec<Lease<Job>> {
    let mut leases = Vec::new();
    for envelope in ledger.take_ready(1000).await.unwrap() {
        leases.push(lease(ledger, &envelope, holder, lasts).await);
    }
    leases
}

pub async fn lease(
    ledger: &PostgresLedger,
    envelope: &Envelope,
    holder: WorkerId,
    lasts: Duration,
) -> Lease<Job> {
    ledger.claim(envelope.job, envelope.send, holder, lasts).await.unwrap().expect("the send is fresh")
}

/// All pending items of a batch as created users, `auth0|<key>`.
pub async fn created(ledger: &PostgresLedger, lease: &Lease<Job>) -> Vec<ItemResult> {
    assert_eq!(lease.of.kind, JobKind::Provision);
    let items = ledger.pending_items(lease).await.unwrap();
    items
        .into_iter()
        .map(|item| ItemResult {
            seq: item.seq,
            outcome: Outcome::created(Auth0UserId(format!("auth0|{}", item.record.key.0))),
            key: item.record.key,
            email: item.record.email,
        })
        .collect()
}
