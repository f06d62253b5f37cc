//! Cases of which processes live, and of what others may take from them.

use std::time::Duration;

use super::{
    LedgerWorld,
    scene::{ANN, LEASE, Scene},
};
use ferry_domain::{
    code::Code,
    ids::JobId,
    job::{JobKind, Verdict},
    ports::Duty,
    run::RunMove,
};

const NOW: Duration = Duration::ZERO;

/// A process that only lost its registration killed nobody: what others took from it meanwhile
/// loses the rescue that counted its death, and no more.
pub async fn a_rescue_from_a_living_process_is_undone(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running("a.csv", 3, 1).await;
    for _ in 0..2 {
        assert_eq!(scene.take_all().await.len(), 3);
        world.advance(LEASE).await;
        assert_eq!(scene.rescue_expired().await.len(), 3);
    }
    let sends = scene.ledger.take_ready(10).await.unwrap();
    let jobs: Vec<JobId> = sends.iter().map(|send| send.job).collect();
    scene.ledger.undo_rescue(&jobs[..2]).await.unwrap();
    for _ in 0..2 {
        scene.ledger.undo_rescue(&jobs[1..2]).await.unwrap();
    }
    let mut rescues = Vec::new();
    for send in &sends {
        rescues.push(scene.claim(send, scene.worker().id).await.of.rescues);
    }
    assert_eq!(rescues, [1, 0, 2]);
}

/// From when it might run, so that a try again counts from its own time.
pub async fn a_lease_says_how_long_its_job_waited(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running("a.csv", 1, 1).await;
    world.advance(Duration::from_secs(90)).await;
    let lease = scene.take_one(JobKind::Provision).await;
    assert_eq!(lease.waited.as_secs() / 10, 9, "{:?}", lease.waited);
    let later = Verdict::Snooze { after: Duration::from_secs(60), code: Code::Interrupted };
    scene.ledger.conclude(&lease, &later, None).await.unwrap();
    world.advance(Duration::from_secs(80)).await;
    let lease = scene.take_one(JobKind::Provision).await;
    assert_eq!(lease.waited.as_secs() / 10, 2, "{:?}", lease.waited);
}

/// Both by one clock: the difference is how long a pause has lasted.
pub async fn the_ledger_tells_its_time_and_when_a_run_was_paused(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 1, 1).await;
    scene.ledger.move_run(run, RunMove::Pause, &ANN).await.unwrap();
    world.advance(Duration::from_secs(3_600)).await;
    let paused_for = scene.ledger.clock().await.unwrap() - scene.view(run).await.moved_at;
    assert!((3_600.0..3_660.0).contains(&paused_for.as_seconds_f64()), "{paused_for}");
    scene.ledger.move_run(run, RunMove::Resume, &ANN).await.unwrap();
    let moved_ago = scene.ledger.clock().await.unwrap() - scene.view(run).await.moved_at;
    assert!(moved_ago.as_seconds_f64() < 60.0, "{moved_ago}");
}

/// Who is not registered sees no death before a lease runs out, and is itself not taken for dead.
pub async fn only_the_registered_take_back_in_time(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running("a.csv", 2, 1).await;
    let (me, other, idle) = (scene.worker(), scene.worker(), scene.worker());
    scene.ledger.heartbeat(&other, LEASE, &[]).await.unwrap();
    let sends = scene.ledger.take_ready(10).await.unwrap();
    scene.claim(&sends[0], me.id).await;
    scene.claim(&sends[1], other.id).await;
    assert!(scene.ledger.rescue(me.id, false).await.unwrap().is_empty(), "it told nothing of itself yet");
    scene.ledger.heartbeat(&me, LEASE, &[]).await.unwrap();
    assert!(scene.ledger.rescue(me.id, false).await.unwrap().is_empty(), "nobody watches it");

    scene.ledger.heartbeat(&idle, LEASE, &[]).await.unwrap();
    world.advance(Duration::from_secs(61)).await;
    assert!(scene.ledger.rescue(idle.id, false).await.unwrap().is_empty(), "nobody asked for what ran out");
    assert_eq!(world.count("workers").await, 3, "who holds something or asks is there");
}

/// Who takes a role over while nobody is seen dying waits for its time; a registration is seen ending.
pub async fn a_role_is_followed_at_once_where_a_death_is_seen(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let ttl = Duration::from_secs(10);
    let (unknown, ann, bob, cyd) = (scene.worker(), scene.worker(), scene.worker(), scene.worker());
    let lead = async |who| scene.ledger.lead(Duty::Relay, who, ttl).await.unwrap();
    assert!(lead(unknown.id).await);
    for unwatched in [&ann, &bob] {
        scene.ledger.heartbeat(unwatched, LEASE, &[]).await.unwrap();
        assert!(!lead(unwatched.id).await, "the leader may live");
    }
    world.advance(ttl).await;
    assert!(lead(ann.id).await, "its time is over");
    assert!(!lead(bob.id).await, "this one may live, too");
    world.advance(ttl).await;
    let _bob = scene.ledger.register(&bob).await.unwrap();
    assert!(lead(bob.id).await);
    world.process_dies(bob.id).await;
    let _cyd = scene.ledger.register(&cyd).await.unwrap();
    assert!(lead(cyd.id).await, "it is seen to be dead");
}

/// Also one that was silent before.
pub async fn a_registration_is_a_sign_of_life(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let (worker, fresh) = (scene.worker(), Duration::from_secs(10));
    scene.ledger.heartbeat(&worker, NOW, &[]).await.unwrap();
    world.advance(Duration::from_secs(11)).await;
    assert_eq!(scene.ledger.live_slots(fresh).await.unwrap(), 0);
    let _presence = scene.ledger.register(&worker).await.unwrap();
    assert_eq!(scene.ledger.live_slots(fresh).await.unwrap(), i64::from(worker.slots));
}

/// Its holder may be dead, and others have to see it run out.
pub async fn nobody_renews_what_another_holds(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running("a.csv", 1, 1).await;
    let (holder, other, lease) = (scene.worker(), scene.worker(), Duration::from_secs(6));
    scene.ledger.heartbeat(&holder, lease, &[]).await.unwrap();
    let send = scene.ledger.take_ready(1).await.unwrap().remove(0);
    let held = scene.ledger.claim(send.job, send.send, holder.id, lease).await.unwrap().unwrap();
    world.advance(Duration::from_secs(4)).await;
    assert!(scene.ledger.heartbeat(&other, lease, &[held.of.id]).await.unwrap().is_empty());
    world.advance(Duration::from_secs(3)).await;
    assert_eq!(scene.rescue_expired().await, [held.of.id]);
}
