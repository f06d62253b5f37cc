//! A ledger with runs in it, and steps that cases are told in.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::LedgerWorld;
use crate::{ManualClock, SeededRandom};
use ferry_domain::{
    code::Code,
    ids::{Auth0UserId, BatchId, ItemSeq, JobId, RunId, SourceKey, WorkerId},
    item::{Item, ItemResult, NewItem, Origin, Outcome},
    job::{Envelope, Job, JobKind, Lease},
    ports::{BatchVerification, Command, ItemFilter, ItemView, Ledger, NewRun, SealedRun, WorkerRecord},
    record::{Email, UserRecord},
    run::{OnExisting, RunSpec, RunView, SourceIdentity, WriteBackTarget},
    tally::Tally,
};

/// A person who gives orders.
pub const ANN: Command<'static> = Command { by: "ann@host", reason: Some("maintenance") };

/// Longer than any case takes.
pub const LEASE: Duration = Duration::from_secs(60);

/// A migrated ledger, and ids that repeat from run to run.
pub struct Scene<'w> {
    world: &'w dyn LedgerWorld,
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    clock: ManualClock,
    random: SeededRandom,
}

impl<'w> Scene<'w> {
    /// Migrates the world's ledger.
    pub async fn new(world: &'w impl LedgerWorld) -> Self {
        let ledger = world.ledger();
        ledger.migrate().await.unwrap();
        Scene { world, ledger, clock: ManualClock::at(1_800_000_000), random: SeededRandom::new(7) }
    }

    /// A new batch id; later ones are not always greater.
    pub fn batch(&self) -> BatchId {
        BatchId::new(&self.clock, &self.random)
    }

    /// Enough batch ids for a retry.
    pub fn batches(&self, count: usize) -> Vec<BatchId> {
        (0..count).map(|_| self.batch()).collect()
    }

    /// A new worker.
    pub fn worker(&self) -> WorkerRecord {
        WorkerRecord {
            id: WorkerId::new(&self.clock, &self.random),
            host: "host".into(),
            pid: 1,
            slots: 4,
            waiting_for: None,
        }
    }

    /// A run to be opened over a source of this name.
    pub fn new_run(&self, location: &str) -> NewRun {
        NewRun {
            id: RunId::new(&self.clock, &self.random),
            migration: "suite".into(),
            source: SourceIdentity { kind: "csv".into(), location: location.into() },
            spec: spec(),
            settled_batch: self.batch(),
            requested_by: "ann".into(),
            reason: Some("a test".into()),
            accepted: Vec::new(),
        }
    }

    /// A run with users 1 to `users` in batches of `size`, planned and not started.
    pub async fn planned(&self, location: &str, users: i64, size: i64) -> RunId {
        self.plan(self.new_run(location), users, size).await
    }

    /// Plans a given run over users 1 to `users` in batches of `size`.
    pub async fn plan(&self, run: NewRun, users: i64, size: i64) -> RunId {
        self.ledger.open_run(&run).await.unwrap();
        let mut items = Vec::new();
        let mut batch = self.batch();
        for seq in 1..=users {
            items.push(pending(seq, batch));
            if seq % size == 0 {
                batch = self.batch();
            }
        }
        for chunk in items.chunks(700) {
            self.ledger.add_items(run.id, chunk).await.unwrap();
        }
        self.ledger.finish_planning(run.id, &[]).await.unwrap();
        run.id
    }

    /// The same, started.
    pub async fn running(&self, location: &str, users: i64, size: i64) -> RunId {
        let run = self.planned(location, users, size).await;
        self.ledger.start(run, &ANN).await.unwrap();
        run
    }

    /// A started run over the application's people, whose ids are written back.
    pub async fn running_over_people(&self, users: i64, size: i64) -> RunId {
        self.world.create_people(users).await;
        let target: WriteBackTarget = self.world.write_back_target();
        self.ledger.prepare_application(&target).await.unwrap();
        let mut run = self.new_run("people");
        run.spec.write_back = Some(target);
        let run = self.plan(run, users, size).await;
        self.ledger.start(run, &ANN).await.unwrap();
        run
    }

    /// Sends what is ready and takes all of it, with a worker of its own.
    pub async fn take_all(&self) -> Vec<Lease<Job>> {
        let worker = self.worker();
        let mut leases = Vec::new();
        for send in self.ledger.take_ready(1_000).await.unwrap() {
            leases.push(self.claim(&send, worker.id).await);
        }
        leases
    }

    /// A worker that says that it lives, and takes one send.
    pub async fn take_as(&self, worker: &WorkerRecord, send: &Envelope) -> Lease<Job> {
        self.ledger.heartbeat(worker, LEASE, &[]).await.unwrap();
        self.claim(send, worker.id).await
    }

    /// Sends the one job that is ready, and takes it.
    pub async fn take_one(&self, kind: JobKind) -> Lease<Job> {
        let mut leases = self.take_all().await;
        assert_eq!(leases.iter().map(|lease| lease.of.kind).collect::<Vec<_>>(), [kind]);
        leases.remove(0)
    }

    /// Takes a send.
    pub async fn claim(&self, send: &Envelope, worker: WorkerId) -> Lease<Job> {
        self.ledger.claim(send.job, send.send, worker, LEASE).await.unwrap().unwrap()
    }

    /// All of a leased batch, each with the outcome that `decide` has for its position.
    pub async fn results(&self, lease: &Lease<Job>, decide: impl Fn(i64) -> Outcome) -> Vec<ItemResult> {
        let items = self.ledger.pending_items(lease).await.unwrap();
        items.iter().map(|item| result(item, decide(item.seq.0))).collect()
    }

    /// Ends a leased batch.
    pub async fn provision(&self, lease: &Lease<Job>, decide: impl Fn(i64) -> Outcome) {
        let results = self.results(lease, decide).await;
        let written = self.ledger.write_back(lease, &results, 0).await.unwrap();
        assert!(written.finished(), "{} items are left", written.pending);
    }

    /// Reads a leased batch back and finds all as written.
    pub async fn verify(&self, lease: &Lease<Job>) {
        let items = self.ledger.items_at_target(lease).await.unwrap();
        let matched = i64::try_from(items.len()).unwrap();
        let found = BatchVerification { matched, discrepancies: Vec::new(), requests: matched };
        self.ledger.record_verification(lease, &found).await.unwrap();
    }

    /// Brings a started run to its end; says the report's revision.
    pub async fn finish(&self, decide: impl Fn(i64) -> Outcome) -> i32 {
        loop {
            let leases = self.take_all().await;
            assert!(!leases.is_empty(), "nothing is ready and the run is not sealed");
            for lease in leases {
                match lease.of.kind {
                    JobKind::Provision => self.provision(&lease, &decide).await,
                    JobKind::Verify => self.verify(&lease).await,
                    JobKind::Report => return self.seal(&lease).await,
                }
            }
        }
    }

    /// Ends a report job.
    pub async fn seal(&self, lease: &Lease<Job>) -> i32 {
        let report = serde_json::json!({ "run": lease.of.run.to_string() });
        self.ledger.seal(lease, &SealedRun { report }).await.unwrap()
    }

    /// Takes the lease from a holder that is gone, and gives the job to another.
    pub async fn take_over(&self, lease: &Lease<Job>) -> Lease<Job> {
        self.world.advance(LEASE).await;
        assert!(self.rescue_expired().await.contains(&lease.of.id));
        let again = self.take_all().await.into_iter().find(|other| other.of.id == lease.of.id).unwrap();
        assert!(again.token > lease.token);
        again
    }

    /// A process that holds nothing takes back what ran out; says which jobs.
    pub async fn rescue_expired(&self) -> Vec<JobId> {
        let rescued = self.ledger.rescue(self.worker().id, true).await.unwrap();
        rescued.into_iter().map(|rescued| rescued.job).collect()
    }

    /// What was ordered of a run, the newest first.
    pub async fn ordered(&self, run: RunId) -> Vec<String> {
        self.ledger.audit(Some(run), 100).await.unwrap().into_iter().map(|line| line.action).collect()
    }

    /// The run, after checking that every item is counted once: on the batches and on the items.
    pub async fn view(&self, run: RunId) -> RunView {
        let view = self.ledger.run(run).await.unwrap().unwrap();
        assert!(view.tally.adds_up(), "{:?}", view.tally);
        let mut recount = Tally::default();
        for item in self.items(run).await {
            recount.add(item.state);
        }
        assert_eq!(view.tally, recount, "the tallies of the batches differ from the states of the items");
        view
    }

    /// All items, read in pages.
    pub async fn items(&self, run: RunId) -> Vec<ItemView> {
        let mut items: Vec<ItemView> = Vec::new();
        loop {
            let after = items.last().map_or(ItemSeq(0), |item| item.seq);
            let page = self.ledger.items(run, &ItemFilter::default(), after, 400).await.unwrap();
            if page.is_empty() {
                return items;
            }
            items.extend(page);
        }
    }

    /// One item.
    pub async fn item(&self, run: RunId, seq: i64) -> ItemView {
        self.ledger.items(run, &ItemFilter::default(), ItemSeq(seq - 1), 1).await.unwrap().remove(0)
    }

    /// Jobs of a run, as `provision ready` to count.
    pub async fn jobs(&self, run: RunId) -> BTreeMap<String, i64> {
        let counts = self.ledger.job_counts(run).await.unwrap();
        counts
            .into_iter()
            .map(|found| (format!("{} {}", found.kind, found.state.as_str()), found.jobs))
            .collect()
    }
}

/// Jobs as [`Scene::jobs`] gives them.
pub fn jobs<const N: usize>(expected: [(&str, i64); N]) -> BTreeMap<String, i64> {
    expected.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

/// Ids of jobs, in order.
pub fn job_ids(sends: &[Envelope]) -> Vec<JobId> {
    let mut ids: Vec<JobId> = sends.iter().map(|send| send.job).collect();
    ids.sort();
    ids
}

fn spec() -> RunSpec {
    RunSpec {
        tenant: "tenant".into(),
        connection: "db".into(),
        on_existing: OnExisting::Adopt,
        batch_size: 10,
        max_attempts: 5,
        limits: "off".into(),
        write_back: None,
        source_digest: String::new(),
        stop_after: Default::default(),
    }
}

/// User `seq` with key `seq`, pending.
pub fn pending(seq: i64, batch: BatchId) -> NewItem {
    user(seq, batch, &seq.to_string(), &format!("person-{seq}@example.com"))
}

/// A pending user with a given key and address.
pub fn user(seq: i64, batch: BatchId, key: &str, email: &str) -> NewItem {
    let record = UserRecord::new(SourceKey(key.into()), Email::normalised(email), true);
    NewItem {
        seq: ItemSeq(seq),
        batch,
        key: SourceKey(key.into()),
        origin: origin(seq),
        digest: record.digest(),
        record: Some(record),
        settled: None,
    }
}

/// An item that a rule settled, without a record.
pub fn settled(seq: i64, batch: BatchId, outcome: Outcome) -> NewItem {
    NewItem {
        seq: ItemSeq(seq),
        batch,
        key: SourceKey(format!("people.csv:{seq}")),
        origin: origin(seq),
        record: None,
        digest: String::new(),
        settled: Some(outcome),
    }
}

fn origin(seq: i64) -> Origin {
    Origin { place: "people.csv".into(), line: u64::try_from(seq).unwrap() + 1 }
}

/// The id a user gets in these cases.
pub fn id(seq: i64) -> Auth0UserId {
    Auth0UserId(format!("auth0|user-{seq}"))
}

/// Every user is created.
pub fn created(seq: i64) -> Outcome {
    Outcome::created(id(seq))
}

/// Every user fails, as after an outage.
pub fn failed(_seq: i64) -> Outcome {
    Outcome::failed(Code::ServerError)
}

/// What became of an item.
pub fn result(item: &Item, outcome: Outcome) -> ItemResult {
    ItemResult::of(item.clone(), outcome)
}
