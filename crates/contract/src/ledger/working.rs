//! Cases of leases and of how jobs end.

use std::time::Duration;

use super::{
    LedgerWorld,
    scene::{ANN, LEASE, Scene, created, failed, jobs},
};
use ferry_domain::{
    code::Code,
    item::{ItemState, Outcome},
    job::{Attempt, JobKind, Verdict},
    ports::{BatchVerification, LedgerError, SealedRun},
    run::{RunMove, RunState},
};

/// Renewal keeps a lease; without it the lease ends.
pub async fn a_heartbeat_renews_what_the_process_holds(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running("a.csv", 2, 1).await;
    let (worker, stranger) = (scene.worker(), scene.worker());
    let lease = Duration::from_secs(6);
    // Both are known, so that only time takes their leases.
    scene.ledger.heartbeat(&worker, lease, &[]).await.unwrap();
    scene.ledger.heartbeat(&stranger, lease, &[]).await.unwrap();
    let sends = scene.ledger.take_ready(10).await.unwrap();
    let mine = scene.ledger.claim(sends[0].job, sends[0].send, worker.id, lease).await.unwrap().unwrap();
    let theirs = scene.ledger.claim(sends[1].job, sends[1].send, stranger.id, lease).await.unwrap().unwrap();
    assert_eq!((mine.lasts, mine.holder), (lease, worker.id));

    world.advance(Duration::from_secs(4)).await;
    assert_eq!(scene.ledger.heartbeat(&worker, lease, &[mine.of.id]).await.unwrap(), [mine.of.id]);
    world.advance(Duration::from_secs(4)).await;
    assert_eq!(scene.rescue_expired().await, [theirs.of.id], "mine was renewed");
    assert!(
        scene.ledger.heartbeat(&stranger, lease, &[theirs.of.id]).await.unwrap().is_empty(),
        "they hold nothing now"
    );
    world.advance(Duration::from_secs(3)).await;
    assert_eq!(scene.rescue_expired().await, [mine.of.id]);
    assert!(scene.ledger.heartbeat(&worker, lease, &[mine.of.id]).await.unwrap().is_empty());
}

/// The answer to a claim may be lost: no process works on such a job, so none may keep it.
pub async fn a_lease_that_its_holder_does_not_know_of_runs_out(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running("a.csv", 2, 1).await;
    let (worker, lease) = (scene.worker(), Duration::from_secs(6));
    scene.ledger.heartbeat(&worker, lease, &[]).await.unwrap();
    let sends = scene.ledger.take_ready(10).await.unwrap();
    let known = scene.ledger.claim(sends[0].job, sends[0].send, worker.id, lease).await.unwrap().unwrap();
    let unknown = scene.ledger.claim(sends[1].job, sends[1].send, worker.id, lease).await.unwrap().unwrap();
    for _ in 0..2 {
        world.advance(Duration::from_secs(4)).await;
        let renewed = scene.ledger.heartbeat(&worker, lease, &[known.of.id]).await.unwrap();
        assert_eq!(renewed, [known.of.id]);
    }
    assert_eq!(scene.rescue_expired().await, [unknown.of.id]);
}

/// A stop is no failure.
pub async fn a_retiring_worker_hands_back_without_an_attempt(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running("a.csv", 2, 1).await;
    let (leaving, staying) = (scene.worker(), scene.worker());
    scene.ledger.heartbeat(&leaving, LEASE, &[]).await.unwrap();
    let sends = scene.ledger.take_ready(10).await.unwrap();
    let gone = scene.claim(&sends[0], leaving.id).await;
    let kept = scene.claim(&sends[1], staying.id).await;

    assert_eq!(scene.ledger.retire(leaving.id).await.unwrap(), 1);
    assert_eq!(scene.ledger.retire(leaving.id).await.unwrap(), 0);
    assert_eq!(world.count("workers").await, 0);
    let late = scene.ledger.pending_items(&gone).await;
    assert!(matches!(late, Err(LedgerError::LeaseLost)), "{late:?}");
    let again = scene.take_one(JobKind::Provision).await;
    assert_eq!((again.of.id, again.of.attempts, again.of.rescues), (gone.of.id, 0, 0));
    assert!(again.token > gone.token);
    assert_eq!(scene.ledger.pending_items(&kept).await.unwrap().len(), 1, "the other lease is untouched");
    assert_eq!(world.count("attempts").await, 0);
}

/// Only time takes a lease away.
pub async fn a_rescue_takes_expired_leases_only_and_counts(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running("a.csv", 2, 1).await;
    let worker = scene.worker();
    scene.ledger.heartbeat(&worker, LEASE, &[]).await.unwrap();
    let worker = worker.id;
    let sends = scene.ledger.take_ready(10).await.unwrap();
    let short = Duration::from_secs(5);
    let dying = scene.ledger.claim(sends[0].job, sends[0].send, worker, short).await.unwrap().unwrap();
    let living = scene.claim(&sends[1], worker).await;
    assert!(scene.rescue_expired().await.is_empty());

    for rescues in 1..=2 {
        world.advance(Duration::from_secs(6)).await;
        assert_eq!(scene.rescue_expired().await, [dying.of.id]);
        assert!(scene.rescue_expired().await.is_empty(), "once for each loss");
        let send = scene.ledger.take_ready(10).await.unwrap().remove(0);
        let again = scene.ledger.claim(send.job, send.send, worker, short).await.unwrap().unwrap();
        assert_eq!((again.of.id, again.of.rescues, again.of.attempts), (dying.of.id, rescues, 0));
    }
    scene.provision(&living, created).await;
}

/// Waiting for the limit spends no attempt; failing does.
pub async fn a_retry_counts_and_a_snooze_does_not(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 1, 1).await;
    let wait = Duration::from_secs(30);
    let attempt = |number| Attempt { number, code: Code::ServerError, took: Duration::from_millis(250) };

    let lease = scene.take_one(JobKind::Provision).await;
    let snooze = Verdict::Snooze { after: wait, code: Code::RateLimited };
    scene.ledger.conclude(&lease, &snooze, None).await.unwrap();
    assert_eq!(world.count("attempts").await, 0);
    world.advance(wait).await;
    for tries in 0..3 {
        let lease = scene.take_one(JobKind::Provision).await;
        assert_eq!(lease.of.attempts, tries);
        let retry = Verdict::Retry { after: wait, code: Code::ServerError };
        scene.ledger.conclude(&lease, &retry, Some(&attempt(tries + 1))).await.unwrap();
        assert_eq!(world.count("attempts").await, i64::from(tries) + 1);
        assert!(scene.ledger.take_ready(1).await.unwrap().is_empty(), "it waits");
        world.advance(wait).await;
    }
    assert_eq!(scene.jobs(run).await, jobs([("provision ready", 1)]));
    assert_eq!(scene.view(run).await.tally.pending, 1, "a try that failed ends no item");
}

/// Giving a batch up fails what is left of it, and the run goes on to its end.
pub async fn a_discarded_batch_still_ends(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 3, 3).await;
    let lease = scene.take_one(JobKind::Provision).await;
    let results = scene.results(&lease, created).await;
    let written = scene.ledger.write_back(&lease, &results[..1], 1).await.unwrap();
    assert_eq!((written.pending, written.run, written.finished()), (2, RunState::Running, false));

    let discard = Verdict::Discard { code: Code::ServerError };
    let attempt = Attempt { number: 1, code: Code::ServerError, took: Duration::ZERO };
    scene.ledger.conclude(&lease, &discard, Some(&attempt)).await.unwrap();
    let tally = scene.view(run).await.tally;
    assert_eq!((tally.created, tally.failed, tally.pending), (1, 2, 0));
    assert_eq!(scene.item(run, 3).await.code, Some(Code::ServerError));
    assert_eq!(world.count("attempts").await, 1);
    assert_eq!(scene.jobs(run).await, jobs([("provision dead", 1), ("verify ready", 1)]));

    let lease = scene.take_one(JobKind::Verify).await;
    let read_back = scene.ledger.items_at_target(&lease).await.unwrap();
    assert_eq!(
        read_back.iter().map(|item| item.seq.0).collect::<Vec<_>>(),
        [1],
        "failed users are not there"
    );
    assert_eq!(read_back[0].state, ItemState::Created);
    assert!(read_back[0].auth0_user_id.is_some());
    scene.verify(&lease).await;
    scene.finish(created).await;
    assert_eq!(scene.view(run).await.state, RunState::Sealed);
}

/// A handler that forgets an item can't hide it.
pub async fn a_batch_is_not_done_while_items_are_pending(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 2, 2).await;
    let lease = scene.take_one(JobKind::Provision).await;
    let early = scene.ledger.conclude(&lease, &Verdict::Done, None).await;
    assert!(matches!(early, Err(LedgerError::Refused(_))), "{early:?}");
    assert_eq!(scene.jobs(run).await, jobs([("provision leased", 1)]));
    let endless = Outcome { state: ItemState::Pending, ..Outcome::cancelled() };
    let results = scene.results(&lease, |_| endless.clone()).await;
    let answer = scene.ledger.write_back(&lease, &results, 1).await;
    assert!(matches!(answer, Err(LedgerError::Refused(_))), "{answer:?}");
    assert_eq!(scene.view(run).await.requests, 0, "nothing of it is stored");
    scene.provision(&lease, failed).await;
}

/// Every leased write is fenced.
pub async fn without_the_lease_nothing_is_stored(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 1, 1).await;
    let old = scene.take_one(JobKind::Provision).await;
    let results = scene.results(&old, created).await;
    let held = scene.take_over(&old).await;
    let snooze = Verdict::Snooze { after: Duration::ZERO, code: Code::Interrupted };
    for verdict in [snooze.clone(), Verdict::Discard { code: Code::ServerError }, Verdict::Done] {
        let late = scene.ledger.conclude(&old, &verdict, None).await;
        assert!(matches!(late, Err(LedgerError::LeaseLost)), "{verdict:?}: {late:?}");
    }
    assert!(matches!(scene.ledger.write_back(&old, &results, 1).await, Err(LedgerError::LeaseLost)));
    scene.provision(&held, created).await;
    assert!(
        matches!(scene.ledger.write_back(&held, &results, 1).await, Err(LedgerError::LeaseLost)),
        "it ended"
    );

    let old = scene.take_one(JobKind::Verify).await;
    let held = scene.take_over(&old).await;
    let late = scene.ledger.record_verification(&old, &BatchVerification::default()).await;
    assert!(matches!(late, Err(LedgerError::LeaseLost)), "{late:?}");
    assert!(matches!(scene.ledger.items_at_target(&old).await, Err(LedgerError::LeaseLost)));
    scene.verify(&held).await;

    let old = scene.take_one(JobKind::Report).await;
    let held = scene.take_over(&old).await;
    let report = SealedRun { report: serde_json::json!({}) };
    assert!(matches!(scene.ledger.seal(&old, &report).await, Err(LedgerError::LeaseLost)));
    assert_eq!(scene.seal(&held).await, 1);
    assert_eq!(scene.view(run).await.requests, 1, "requests of refused writes don't count");
}

/// The case that a token checked in a subquery lets through.
pub async fn a_stale_owner_stores_nothing_after_the_new_one_has_read(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running_over_people(4, 4).await;
    let old = scene.take_one(JobKind::Provision).await;
    let stale = scene.results(&old, created).await;
    let new = scene.take_over(&old).await;
    let read = scene.ledger.pending_items(&new).await.unwrap();
    assert_eq!(read.len(), 4);

    let late = world.other().write_back(&old, &stale, 4).await;
    assert!(matches!(late, Err(LedgerError::LeaseLost)), "{late:?}");
    assert_eq!(scene.ledger.pending_items(&new).await.unwrap(), read, "nothing of it is stored");
    for key in ["1", "2", "3", "4"] {
        assert_eq!(world.auth0_user_id(key).await, None);
    }
    let view = scene.view(run).await;
    assert_eq!((view.tally.pending, view.requests), (4, 0));
    scene.provision(&new, created).await;
    assert_eq!(scene.view(run).await.tally.created, 4);
}

/// A holder that wants to stop a run which is being cancelled goes back, and is not due again
/// immediately: it would be sent and fail in a circle.
pub async fn a_stop_within_a_cancelled_run_waits(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 2, 2).await;
    let lease = scene.take_one(JobKind::Provision).await;
    scene.ledger.move_run(run, RunMove::Cancel, &ANN).await.unwrap();
    scene.ledger.conclude(&lease, &Verdict::Stop { code: Code::ScopeMissing }, None).await.unwrap();
    let view = scene.view(run).await;
    assert_eq!((view.state, view.tally.pending), (RunState::Cancelling, 2));
    assert!(scene.ledger.take_ready(10).await.unwrap().is_empty(), "not yet");
    world.advance(Duration::from_secs(5)).await;
    assert!(scene.ledger.take_ready(10).await.unwrap().is_empty(), "nor after 5 s");
    world.advance(Duration::from_secs(5)).await;
    assert_eq!(scene.ledger.take_ready(10).await.unwrap().len(), 1);
    assert_eq!(world.count("attempts").await, 0);
}
