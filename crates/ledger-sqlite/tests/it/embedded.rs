//! One process has the file: who registers knows that all others are dead.

use std::time::Duration;

use ferry_contract::ledger::{
    LedgerWorld,
    scene::{LEASE, Scene, created},
};
use ferry_domain::{
    Code, JobKind, Verdict,
    ports::{Command, Duty, Items, Jobs, Leases, LedgerError, Loss, Processes},
    run::RunMove,
};
use ferry_ledger_sqlite::{EmbeddedLock, SqliteLedger};

use crate::world::world;

const TTL: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_a_dead_process_held_is_taken_back_when_the_next_one_starts() {
    let world = world().await.unwrap();
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 6, 2).await;
    let (first, second) = (scene.worker(), scene.worker());

    let lock = EmbeddedLock::take(&world.path()).unwrap();
    let dying = SqliteLedger::open_existing(&world.path()).await.unwrap();
    let presence = dying.register(&first).await.unwrap();
    assert_eq!(presence.unwatched, None);
    assert!(dying.lead(Duty::Relay, first.id, TTL).await.unwrap());
    let mut leases = Vec::new();
    for send in dying.take_ready(2).await.unwrap() {
        leases.push(dying.claim(send.job, send.send, first.id, LEASE).await.unwrap().unwrap());
    }
    let results = scene.results(&leases[0], created).await;
    dying.write_back(&leases[0], &results[..1], 1).await.unwrap();
    assert!(dying.rescue(first.id, true).await.unwrap().is_empty(), "what one holds oneself is not taken");
    drop((presence, dying, lock)); // nothing is handed back

    let looking = scene.worker();
    assert!(
        scene.ledger.rescue(looking.id, true).await.unwrap().is_empty(),
        "a look from outside knows no death"
    );
    assert!(!scene.ledger.lead(Duty::Relay, looking.id, TTL).await.unwrap());

    let _lock = EmbeddedLock::take(&world.path()).unwrap();
    let next = SqliteLedger::open_existing(&world.path()).await.unwrap();
    let _presence = next.register(&second).await.unwrap();
    assert!(next.lead(Duty::Relay, second.id, TTL).await.unwrap(), "a dead leader is followed immediately");
    let rescued = next.rescue(second.id, false).await.unwrap();
    let facts: Vec<_> =
        rescued.iter().map(|it| (it.job, it.kind, it.holder, it.rescues, it.pending, it.because)).collect();
    let dead = |at: usize, pending| (leases[at].of.id, JobKind::Provision, first.id, 1, pending, Loss::Dead);
    assert_eq!(facts, [dead(0, 1), dead(1, 2)]);
    assert!(next.rescue(second.id, true).await.unwrap().is_empty(), "once for each loss");
    let workers = next.workers().await.unwrap();
    assert_eq!(
        workers.iter().map(|view| (view.record.id, view.watched)).collect::<Vec<_>>(),
        [(second.id, true)]
    );

    let snooze = Verdict::Snooze { after: Duration::ZERO, code: Code::Interrupted };
    let late = next.conclude(&leases[1], &snooze, None).await;
    assert!(matches!(late, Err(LedgerError::LeaseLost)), "{late:?}");
    scene.finish(created).await;
    assert_eq!(scene.view(run).await.tally.created, 6);
}

#[tokio::test]
async fn a_cancelled_run_that_cannot_be_stopped_does_not_spin() {
    let world = world().await.unwrap();
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 1, 1).await;
    let lease = scene.take_one(JobKind::Provision).await;
    let command = Command { by: "ann", reason: None };
    scene.ledger.move_run(run, RunMove::Cancel, &command).await.unwrap();
    let stop = Verdict::Stop { code: Code::TokenRefused };
    scene.ledger.conclude(&lease, &stop, None).await.unwrap();
    assert!(scene.ledger.take_ready(1).await.unwrap().is_empty(), "Auth0 would refuse again at once");
    world.advance(Duration::from_secs(10)).await;
    assert_eq!(scene.ledger.take_ready(1).await.unwrap().len(), 1);
}
