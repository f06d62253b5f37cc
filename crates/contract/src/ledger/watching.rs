//! Cases of what people see of processes, queues and rates.

use std::time::Duration;

use super::{
    LedgerWorld,
    scene::{ANN, LEASE, Scene, created},
};
use ferry_domain::{
    code::Code,
    job::{JobKind, Verdict},
    ports::{LedgerError, QueueState, WaitReason},
    run::RunMove,
};

const NOW: Duration = Duration::ZERO;

/// Also without any active run.
pub async fn controls_are_there_without_any_run(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    assert_eq!(scene.ledger.orders().await.unwrap(), ferry_domain::ports::Orders::default());
    scene.ledger.stop_all(true, &ANN).await.unwrap();
    let controls = scene.ledger.orders().await.unwrap();
    assert!(controls.stop_all() && controls.runs.is_empty());
}

/// The limit is the tenant's, so one plan holds: that of the newest run which has one.
pub async fn the_newest_active_runs_rate_counts(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let old = scene.running("a.csv", 1, 1).await;
    world.sleep(Duration::from_millis(5)).await;
    let new = scene.planned("b.csv", 1, 1).await;
    let rate = async || scene.ledger.orders().await.unwrap().rate;
    assert_eq!(rate().await, None);
    scene.ledger.set_rate(old, Some("free"), &ANN).await.unwrap();
    assert_eq!(rate().await.as_deref(), Some("free"));
    scene.ledger.set_rate(new, Some("public"), &ANN).await.unwrap();
    assert_eq!(rate().await.as_deref(), Some("public"));
    assert_eq!(scene.view(new).await.rate.as_deref(), Some("public"));
    scene.ledger.set_rate(new, None, &ANN).await.unwrap();
    assert_eq!(rate().await.as_deref(), Some("free"));
    scene.finish(created).await;
    assert_eq!(rate().await, None, "its run has ended");
    let late = scene.ledger.set_rate(old, Some("free"), &ANN).await;
    assert!(matches!(late, Err(LedgerError::Refused(_))), "{late:?}");
}

/// For people: who is there, what they hold and why they wait.
pub async fn workers_are_listed_with_what_they_hold(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running("a.csv", 2, 1).await;
    let (first, mut second) = (scene.worker(), scene.worker());
    second.waiting_for = Some(WaitReason("waiting for the limit".into()));
    scene.ledger.heartbeat(&first, NOW, &[]).await.unwrap();
    world.advance(Duration::from_secs(5)).await;
    world.sleep(Duration::from_millis(5)).await;
    for send in scene.ledger.take_ready(10).await.unwrap() {
        scene.take_as(&second, &send).await;
    }
    let workers = scene.ledger.workers().await.unwrap();
    let seen: Vec<_> = workers.iter().map(|view| (view.record.id, view.leases)).collect();
    assert_eq!(seen, [(first.id, 0), (second.id, 2)]);
    assert!(workers[0].silent_for >= Duration::from_secs(5) && workers[1].silent_for < workers[0].silent_for);
    assert_eq!(workers[1].record.waiting_for, second.waiting_for);
    second.waiting_for = None;
    scene.ledger.heartbeat(&second, NOW, &[]).await.unwrap();
    assert_eq!(scene.ledger.workers().await.unwrap()[1].record.waiting_for, None);
}

/// Only what waits for nothing but its turn has an age.
pub async fn queues_are_counted_with_the_age_of_what_is_due(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 3, 1).await;
    let lease = scene.claim(&scene.ledger.take_ready(1).await.unwrap()[0], scene.worker().id).await;
    let sent = scene.ledger.take_ready(1).await.unwrap();
    world.advance(Duration::from_secs(10)).await;
    let count = async |state: QueueState| {
        let counts = scene.ledger.queue_counts().await.unwrap();
        let found = counts.into_iter().find(|found| found.kind == JobKind::Provision && found.state == state);
        found.map(|found| (found.jobs, found.oldest.is_some_and(|age| age >= Duration::from_secs(10))))
    };
    assert_eq!(count(QueueState::Ready).await, Some((1, true)));
    assert_eq!(count(QueueState::Queued).await, Some((1, true)));
    assert_eq!(count(QueueState::Leased).await, Some((1, false)));
    let snooze = Verdict::Snooze { after: Duration::from_secs(60), code: Code::RateLimited };
    scene.ledger.conclude(&lease, &snooze, None).await.unwrap();
    assert_eq!(count(QueueState::Ready).await, Some((1, true)));
    assert_eq!(count(QueueState::Scheduled).await, Some((1, false)), "put off, and nothing failed");
    let lease = scene.claim(&sent[0], scene.worker().id).await;
    let retry = Verdict::Retry { after: Duration::from_secs(60), code: Code::ServerError };
    scene.ledger.conclude(&lease, &retry, None).await.unwrap();
    assert_eq!(count(QueueState::Retrying).await, Some((1, false)));
    assert_eq!(count(QueueState::Queued).await, None);
    scene.ledger.stop_all(true, &ANN).await.unwrap();
    assert_eq!(count(QueueState::Ready).await, Some((1, false)), "all sending is stopped by a person");
    scene.ledger.stop_all(false, &ANN).await.unwrap();
    assert_eq!(count(QueueState::Ready).await, Some((1, true)));
    scene.ledger.move_run(run, RunMove::Pause, &ANN).await.unwrap();
    assert_eq!(count(QueueState::Ready).await, Some((1, false)), "a paused run's jobs wait for a person");
}

/// How long the next of a queue has waited, and what nobody works on any more.
pub async fn the_oldest_of_a_queue_tells_its_age(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running("a.csv", 2, 1).await;
    let sends = scene.ledger.take_ready(1).await.unwrap();
    world.advance(Duration::from_secs(10)).await;
    scene.running("b.csv", 2, 1).await;
    assert!(scene.ledger.give_up(sends[0].job, Code::CrashedWorker, scene.worker().id).await.unwrap());
    let counts = scene.ledger.queue_counts().await.unwrap();
    let seen: Vec<_> = counts
        .into_iter()
        .map(|found| (found.kind, found.state, found.jobs, found.oldest.map(|age| age.as_secs() / 10)))
        .collect();
    let expected = [
        (JobKind::Provision, QueueState::Dead, 1, None),
        (JobKind::Provision, QueueState::Ready, 3, Some(1)),
        (JobKind::Verify, QueueState::Ready, 1, Some(0)),
    ];
    assert_eq!(seen, expected);
}

/// Since they were due: sending a job, or sending it again after Redis was lost, hides no backlog.
pub async fn sent_jobs_are_as_old_as_they_wait(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running("a.csv", 2, 1).await;
    let oldest = async || {
        let counts = scene.ledger.queue_counts().await.unwrap();
        let ages: Vec<_> = counts.iter().map(|found| found.oldest.map(|age| age.as_secs() / 10)).collect();
        (counts.iter().map(|found| (found.state, found.jobs)).collect::<Vec<_>>(), ages)
    };
    world.advance(Duration::from_secs(40)).await;
    let sends = scene.ledger.take_ready(2).await.unwrap();
    assert_eq!(oldest().await, (vec![(QueueState::Queued, 2)], vec![Some(4)]));
    scene.ledger.unsend(&sends).await.unwrap();
    world.advance(Duration::from_secs(20)).await;
    scene.ledger.take_ready(2).await.unwrap();
    assert_eq!(oldest().await, (vec![(QueueState::Queued, 2)], vec![Some(6)]));
}

/// A process that was seen before it registered is then as it registers.
pub async fn a_registration_replaces_what_was_told_before(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let mut worker = scene.worker();
    worker.waiting_for = Some(WaitReason("waiting for the limit".into()));
    scene.ledger.heartbeat(&worker, NOW, &[]).await.unwrap();
    assert!(!scene.ledger.workers().await.unwrap()[0].watched);
    worker.waiting_for = None;
    worker.slots = 9;
    let _presence = scene.ledger.register(&worker).await.unwrap();
    let workers = scene.ledger.workers().await.unwrap();
    assert_eq!((workers.len(), workers[0].record.slots), (1, 9));
    assert_eq!((workers[0].watched, &workers[0].record.waiting_for), (true, &None));
}

/// A job that came back waits from then on, and not since it was first due; what is done waits for
/// nothing.
pub async fn a_job_that_came_back_waits_from_then_on(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running("a.csv", 3, 1).await;
    let leaving = scene.worker().id;
    let sends = scene.ledger.take_ready(10).await.unwrap();
    let done = scene.claim(&sends[0], scene.worker().id).await;
    scene.provision(&done, created).await;
    scene.claim(&sends[1], scene.worker().id).await;
    world.advance(LEASE).await;
    assert_eq!(scene.rescue_expired().await.len(), 1);
    scene.claim(&sends[2], leaving).await;
    assert_eq!(scene.ledger.retire(leaving).await.unwrap(), 1);

    let seen = async || {
        let counts = scene.ledger.queue_counts().await.unwrap();
        let seen = counts.into_iter().map(|found| {
            let waited = found.oldest.map(|age| age >= Duration::from_secs(30));
            (found.kind, found.state, found.jobs, waited)
        });
        seen.collect::<Vec<_>>()
    };
    let expected = [
        (JobKind::Provision, QueueState::Ready, 2, Some(false)),
        (JobKind::Verify, QueueState::Ready, 1, Some(true)),
    ];
    assert_eq!(seen().await, expected);

    let later = Verdict::Snooze { after: LEASE, code: Code::RateLimited };
    for lease in scene.take_all().await {
        scene.ledger.conclude(&lease, &later, None).await.unwrap();
    }
    let expected = [
        (JobKind::Provision, QueueState::Scheduled, 2, None),
        (JobKind::Verify, QueueState::Scheduled, 1, None),
    ];
    assert_eq!(seen().await, expected, "what is not due yet has no age");
}
