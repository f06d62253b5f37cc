//! Many workers on two handles, with crashes, lost and doubled deliveries.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{
    LedgerWorld,
    scene::{LEASE, Scene, created, id, jobs, result},
    together::all,
};
use crate::SeededRandom;
use ferry_domain::{
    code::Code,
    ids::RunId,
    item::{ItemState, Outcome},
    job::{Envelope, Job, JobKind, Lease, Verdict},
    ports::{BatchVerification, Ledger, LedgerError, Random, SealedRun},
    run::RunState,
};

const USERS: i64 = 3_000;
const WORKERS: u64 = 8;

struct Storm<'w, W> {
    world: &'w W,
    run: RunId,
    /// Workers inside a delivery: while there are any, waiting may help.
    busy: AtomicUsize,
    /// Every result that the ledger took, by position.
    taken: Mutex<BTreeMap<i64, ItemState>>,
}

/// What a crash is: the holder goes on with nothing, and its lease runs out.
enum End {
    Through,
    Crashed,
}

/// Every item is settled once, whatever dies in between.
pub async fn crashing_workers_settle_every_item_once(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running_over_people(USERS, 50).await;
    let storm = Storm { world: &world, run, busy: AtomicUsize::new(0), taken: Mutex::new(BTreeMap::new()) };
    let mut workers: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
    for number in 0..WORKERS {
        workers.push(Box::pin(storm.work(number, scene.worker().id)));
    }
    all(workers).await;

    let view = scene.view(run).await;
    assert_eq!((view.state, view.revision, view.open_batches), (RunState::Sealed, 1, 0));
    assert_eq!((view.tally.source, view.tally.pending), (USERS, 0));
    assert_eq!(view.verified, view.tally.created + view.tally.adopted);
    let taken = storm.taken.into_inner().unwrap();
    for item in scene.items(run).await {
        assert_eq!(taken.get(&item.seq.0), Some(&item.state), "item {}", item.seq.0);
        let written = world.auth0_user_id(&item.key.0).await;
        assert_eq!(written, item.auth0_user_id.map(|id| id.0), "person {}", item.key.0);
    }
    let batches = USERS / 50;
    let expected = jobs([("provision done", batches), ("verify done", batches), ("report done", 1)]);
    assert_eq!(scene.jobs(run).await, expected, "no job is left");
}

impl<W: LedgerWorld> Storm<'_, W> {
    async fn work(&self, number: u64, worker: ferry_domain::ids::WorkerId) {
        let ledger = if number.is_multiple_of(2) { self.world.ledger() } else { self.world.other() };
        let chance = SeededRandom::new(number);
        while calm(|| ledger.run(self.run)).await.is_some_and(|run| run.state != RunState::Sealed) {
            self.busy.fetch_add(1, Ordering::SeqCst);
            let sends = calm(|| ledger.take_ready(2)).await;
            for send in &sends {
                // Some are lost on the way, some arrive twice.
                for _ in 0..[0, 1, 1, 1, 1, 1, 1, 2][usize::try_from(chance.below(8)).unwrap()] {
                    self.deliver(ledger.as_ref(), worker, send, &chance).await;
                }
            }
            let others = self.busy.fetch_sub(1, Ordering::SeqCst) - 1;
            if sends.is_empty() {
                self.recover(ledger.as_ref(), worker, others, &chance).await;
            }
        }
    }

    /// Mostly when no process works; now and then while some do.
    async fn recover(
        &self,
        ledger: &dyn Ledger,
        worker: ferry_domain::ids::WorkerId,
        others: usize,
        chance: &SeededRandom,
    ) {
        if others > 0 && chance.below(20) > 0 {
            return self.world.sleep(Duration::from_millis(2)).await;
        }
        self.world.advance(LEASE).await;
        calm(|| ledger.rescue(worker, true)).await;
        let lost = calm(|| ledger.queued_longer_than(LEASE, 100)).await;
        calm(|| ledger.unsend(&lost)).await;
        calm(|| ledger.seal_finished()).await;
    }

    async fn deliver(
        &self,
        ledger: &dyn Ledger,
        worker: ferry_domain::ids::WorkerId,
        send: &Envelope,
        chance: &SeededRandom,
    ) {
        let Some(lease) = calm(|| ledger.claim(send.job, send.send, worker, LEASE)).await else { return };
        let done = match lease.of.kind {
            JobKind::Provision => self.provision(ledger, &lease, chance).await,
            JobKind::Verify => verify(ledger, &lease, chance).await,
            JobKind::Report => {
                let report = SealedRun { report: serde_json::json!({}) };
                ledger.seal(&lease, &report).await.map(|_| End::Through)
            }
        };
        match done {
            Ok(End::Through | End::Crashed) | Err(LedgerError::LeaseLost | LedgerError::Busy) => {}
            Err(error) => panic!("{error}"),
        }
    }

    async fn provision(
        &self,
        ledger: &dyn Ledger,
        lease: &Lease<Job>,
        chance: &SeededRandom,
    ) -> Result<End, LedgerError> {
        let items = ledger.pending_items(lease).await?;
        for group in items.chunks(16) {
            match chance.below(25) {
                0 => return Ok(End::Crashed),
                1 => {
                    let snooze = Verdict::Snooze { after: Duration::ZERO, code: Code::RateLimited };
                    return ledger.conclude(lease, &snooze, None).await.map(|()| End::Through);
                }
                _ => {}
            }
            let results: Vec<_> = group.iter().map(|item| result(item, decide(item.seq.0))).collect();
            let written = ledger.write_back(lease, &results, 1).await?;
            let mut taken = self.taken.lock().unwrap();
            // A late owner's row is locked until the fence has refused it.
            for stored in results.iter().filter(|result| !written.locked.contains(&result.seq)) {
                let before = taken.insert(stored.seq.0, stored.outcome.state);
                assert_eq!(before, None, "item {} was settled twice", stored.seq.0);
            }
        }
        Ok(End::Through)
    }
}

async fn verify(ledger: &dyn Ledger, lease: &Lease<Job>, chance: &SeededRandom) -> Result<End, LedgerError> {
    let items = ledger.items_at_target(lease).await?;
    if chance.below(8) == 0 {
        return Ok(End::Crashed);
    }
    let matched = i64::try_from(items.len()).unwrap();
    let found = BatchVerification { matched, ..BatchVerification::default() };
    ledger.record_verification(lease, &found).await.map(|()| End::Through)
}

fn decide(seq: i64) -> Outcome {
    match seq % 11 {
        0 => Outcome::failed(Code::UserRefused),
        1 => Outcome::conflict(Code::AdoptUnverified),
        2 => Outcome::skipped(Code::ExistsByPolicy, None),
        3 => Outcome::adopted(id(seq)),
        _ => created(seq),
    }
}

/// Asks again while rows are locked, as every loop of Ferry does.
async fn calm<T, F: Future<Output = Result<T, LedgerError>>>(ask: impl Fn() -> F) -> T {
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(LedgerError::Busy) => {}
            Err(error) => panic!("{error}"),
        }
    }
}
