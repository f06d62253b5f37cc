//! Cases of cancelled runs.

use std::time::Duration;

use super::{
    LedgerWorld,
    scene::{ANN, Scene, created, failed, jobs, pending, settled, user},
    together::both,
};
use ferry_domain::{
    code::Code,
    item::Outcome,
    job::{JobKind, Verdict},
    ports::{Cancellable, Command, DeadFilter, LedgerError, Moved, SealedRun, UserFilter},
    run::{RunMove, RunState},
    tally::Tally,
};

const FERRY: Command<'static> = Command { by: "ferry", reason: Some(Code::TooManyFailures.as_str()) };
const NOW: Duration = Duration::ZERO;

/// Nothing was sent, so nothing is asked; its rows stay on record.
pub async fn a_run_that_was_not_started_is_cancelled_at_once(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let planning = scene.new_run("a.csv");
    scene.ledger.open_run(&planning).await.unwrap();
    scene.ledger.add_items(planning.id, &[pending(1, scene.batch())]).await.unwrap();
    let moved = scene.ledger.move_run(planning.id, RunMove::Cancel, &ANN).await.unwrap();
    assert_eq!((moved.before, moved.after, moved.to_ask), (RunState::Planning, RunState::Cancelled, 0));
    assert!(scene.ledger.add_items(planning.id, &[pending(2, scene.batch())]).await.is_err());

    let run = scene.planned("a.csv", 5, 2).await;
    assert_eq!(scene.ledger.count_cancellable(run).await.unwrap(), Cancellable { at_once: 5, to_ask: 0 });
    let moved = scene.ledger.move_run(run, RunMove::Cancel, &ANN).await.unwrap();
    let expected = Moved { before: RunState::Planned, after: RunState::Cancelled, cancelled: 5, to_ask: 0 };
    assert_eq!(moved, expected);
    let view = scene.view(run).await;
    assert_eq!(view.tally, Tally { source: 5, cancelled: 5, ..Tally::default() });
    assert_eq!((view.state, view.open_batches, view.revision), (RunState::Cancelled, 0, 0));
    assert_eq!(scene.jobs(run).await, jobs([("provision done", 3)]));
    assert!(!scene.ledger.move_run(run, RunMove::Cancel, &ANN).await.unwrap().changed());
    assert!(scene.ledger.start(run, &ANN).await.is_err());
    assert!(scene.ledger.take_ready(10).await.unwrap().is_empty());
    assert_eq!(scene.ledger.orders().await.unwrap().state_of(run), None, "it has ended");
    scene.planned("a.csv", 1, 1).await;
}

/// Users of a batch that a worker has held may be at Auth0, so a worker asks for them there.
pub async fn a_cancel_settles_what_nobody_held_and_leaves_the_rest_to_workers(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 8, 2).await;
    let worker = scene.worker();
    let sends = scene.ledger.take_ready(3).await.unwrap();
    let held = scene.take_as(&worker, &sends[0]).await;
    let results = scene.results(&held, created).await;
    scene.ledger.write_back(&held, &results[..1], 1).await.unwrap();
    let handed_back = scene.take_as(&worker, &sends[1]).await;
    let snooze = Verdict::Snooze { after: NOW, code: Code::RateLimited };
    scene.ledger.conclude(&handed_back, &snooze, None).await.unwrap();

    assert_eq!(
        scene.ledger.count_cancellable(run).await.unwrap(),
        Cancellable { at_once: 4, to_ask: 3 },
        "one batch is queued, one ready"
    );
    let moved = scene.ledger.move_run(run, RunMove::Cancel, &ANN).await.unwrap();
    let expected = Moved { before: RunState::Running, after: RunState::Cancelling, cancelled: 4, to_ask: 3 };
    assert_eq!(moved, expected);
    let again = scene.ledger.move_run(run, RunMove::Cancel, &ANN).await.unwrap();
    assert_eq!((again.changed(), again.cancelled), (false, 0));
    let expected = Tally { source: 8, created: 1, cancelled: 4, pending: 3, ..Tally::default() };
    assert_eq!(scene.view(run).await.tally, expected);
    assert!(
        scene.ledger.claim(sends[2].job, sends[2].send, worker.id, NOW).await.unwrap().is_none(),
        "its users are cancelled"
    );
    assert!(matches!(
        scene.ledger.open_run(&scene.new_run("a.csv")).await,
        Err(LedgerError::AnotherRunActive { state: RunState::Cancelling, .. })
    ));
    for step in [RunMove::Pause, RunMove::Resume, RunMove::Stop] {
        assert!(matches!(scene.ledger.move_run(run, step, &ANN).await, Err(LedgerError::Refused(_))));
    }
    let retried = scene.ledger.retry(run, &UserFilter::default(), &scene.batches(1), &ANN).await;
    assert!(matches!(retried, Err(LedgerError::Refused(_))), "{retried:?}");

    let results = scene.results(&held, |_| Outcome::cancelled()).await;
    let written = scene.ledger.write_back(&held, &results, 1).await.unwrap();
    assert_eq!((written.run, written.pending), (RunState::Cancelling, 0));
    let late = |seq| if seq == 3 { created(seq) } else { Outcome::cancelled() };
    for lease in scene.take_all().await {
        match lease.of.kind {
            JobKind::Provision => scene.provision(&lease, late).await,
            _ => scene.verify(&lease).await,
        }
    }
    assert_eq!(scene.view(run).await.state, RunState::Cancelling);
    let lease = scene.take_one(JobKind::Verify).await;
    scene.verify(&lease).await;
    let lease = scene.take_one(JobKind::Report).await;
    assert_eq!(scene.view(run).await.state, RunState::Cancelling, "until its report is there");
    assert_eq!(scene.seal(&lease).await, 1);

    let view = scene.view(run).await;
    assert_eq!((view.state, view.revision, view.verified), (RunState::Cancelled, 1, 2));
    assert_eq!(view.why.as_deref(), ANN.reason, "its reason stays");
    assert_eq!(view.tally, Tally { source: 8, created: 2, cancelled: 6, ..Tally::default() });
    assert!(view.sealed_at.is_some() && scene.ledger.report(run, None).await.unwrap().is_some());
    assert!(!scene.ledger.move_run(run, RunMove::Cancel, &ANN).await.unwrap().changed());
    scene.planned("a.csv", 1, 1).await;
}

/// Also a paused or stopped run; a report is made all the same, and made again when it dies.
pub async fn a_cancelled_run_with_nothing_to_ask_is_sealed_by_the_sweep(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    for (source, step) in [("a.csv", RunMove::Pause), ("b.csv", RunMove::Stop)] {
        let run = scene.running(source, 3, 2).await;
        scene.ledger.move_run(run, step, &FERRY).await.unwrap();
        let moved = scene.ledger.move_run(run, RunMove::Cancel, &ANN).await.unwrap();
        assert_eq!((moved.after, moved.cancelled, moved.to_ask), (RunState::Cancelling, 3, 0));
        assert_eq!(scene.ledger.seal_finished().await.unwrap(), 1);
        assert_eq!(scene.ledger.seal_finished().await.unwrap(), 0);
        let lease = scene.take_one(JobKind::Report).await;
        let discard = Verdict::Discard { code: Code::HandlerPanicked };
        scene.ledger.conclude(&lease, &discard, None).await.unwrap();
        world.advance(Duration::from_secs(31)).await;
        assert_eq!(scene.ledger.seal_finished().await.unwrap(), 1);
        let lease = scene.take_one(JobKind::Report).await;
        scene.seal(&lease).await;
        let view = scene.view(run).await;
        assert_eq!((view.state, view.tally.cancelled), (RunState::Cancelled, 3));
    }
}

/// Nobody has to start a worker only for the report: `run cancel` writes it.
pub async fn a_cancelled_run_with_nothing_left_ends_without_a_worker(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let sealed = SealedRun { report: serde_json::json!({ "made": "by a person" }) };
    for (source, swept) in [("a.csv", false), ("b.csv", true)] {
        let run = scene.running(source, 3, 2).await;
        assert_eq!(scene.ledger.end_cancelled(run, &sealed).await.unwrap(), None, "it is running");
        scene.ledger.move_run(run, RunMove::Cancel, &ANN).await.unwrap();
        if swept {
            assert_eq!(scene.ledger.seal_finished().await.unwrap(), 1, "a relay was there for a moment");
        }
        assert_eq!(scene.ledger.end_cancelled(run, &sealed).await.unwrap(), Some(1));
        let view = scene.view(run).await;
        assert_eq!((view.state, view.revision, view.tally.cancelled), (RunState::Cancelled, 1, 3));
        assert!(view.sealed_at.is_some());
        assert_eq!(scene.ledger.report(run, None).await.unwrap().unwrap().report, sealed.report);
        assert_eq!(scene.ledger.end_cancelled(run, &sealed).await.unwrap(), None, "it has ended");
        assert!(scene.ledger.take_ready(10).await.unwrap().is_empty(), "no job is left");
        assert_eq!(scene.ledger.seal_finished().await.unwrap(), 0);
        scene.planned(source, 1, 1).await;
    }
}

/// Users in a worker's hands, users to be read back, a report that a worker writes: it does the rest.
pub async fn a_cancelled_run_with_work_left_is_ended_by_workers_only(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let sealed = SealedRun { report: serde_json::json!({}) };
    let run = scene.running("a.csv", 2, 2).await;
    let lease = scene.take_one(JobKind::Provision).await;
    scene.ledger.move_run(run, RunMove::Cancel, &ANN).await.unwrap();
    assert_eq!(scene.ledger.end_cancelled(run, &sealed).await.unwrap(), None, "users may be at Auth0");
    scene.provision(&lease, created).await;
    assert_eq!(scene.ledger.end_cancelled(run, &sealed).await.unwrap(), None, "nobody read them back");
    let lease = scene.take_one(JobKind::Verify).await;
    scene.verify(&lease).await;
    let lease = scene.take_one(JobKind::Report).await;
    assert_eq!(scene.ledger.end_cancelled(run, &sealed).await.unwrap(), None, "a worker writes it");
    assert_eq!(scene.seal(&lease).await, 1);
    assert_eq!(scene.view(run).await.state, RunState::Cancelled);
}

/// A half of a batch, and a batch of a later round: its own job was never leased, its users were tried.
pub async fn users_tried_before_are_never_cancelled_unasked(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let halved = scene.running("a.csv", 4, 4).await;
    let lease = scene.take_one(JobKind::Provision).await;
    let snooze = Verdict::Snooze { after: NOW, code: Code::RateLimited };
    scene.ledger.conclude(&lease, &snooze, None).await.unwrap();
    assert_eq!(scene.ledger.halve(lease.of.id, scene.batch()).await.unwrap(), 2);
    let moved = scene.ledger.move_run(halved, RunMove::Cancel, &ANN).await.unwrap();
    assert_eq!((moved.cancelled, moved.to_ask), (0, 4));
    scene.finish(|_| Outcome::cancelled()).await;
    assert_eq!(scene.view(halved).await.tally.cancelled, 4);

    let retried = scene.running("b.csv", 2, 2).await;
    scene.finish(failed).await;
    scene.ledger.retry(retried, &UserFilter::default(), &scene.batches(1), &ANN).await.unwrap();
    assert_eq!(scene.ledger.count_cancellable(retried).await.unwrap(), Cancellable { at_once: 0, to_ask: 2 });
    let moved = scene.ledger.move_run(retried, RunMove::Cancel, &ANN).await.unwrap();
    assert_eq!((moved.cancelled, moved.to_ask), (0, 2));
    assert_eq!(scene.finish(|_| Outcome::cancelled()).await, 2);
    assert_eq!(scene.view(retried).await.state, RunState::Cancelled);
}

/// A `run start` that died left a run in `planning`. What it had read is cancelled with it, and
/// counted like any other plan: also the records that a rule or a duplicate settled.
pub async fn a_run_left_in_planning_is_cancelled_with_all_its_users(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let new = scene.new_run("a.csv");
    scene.ledger.open_run(&new).await.unwrap();
    let batch = scene.batch();
    let items = [
        pending(1, batch),
        pending(2, batch),
        user(3, batch, "double", "person-1@example.com"),
        settled(4, new.settled_batch, Outcome::failed(Code::EmailMissing)),
        pending(5, scene.batch()),
    ];
    scene.ledger.add_items(new.id, &items).await.unwrap();
    let counted = scene.ledger.count_cancellable(new.id).await.unwrap();
    assert_eq!((counted.at_once, counted.to_ask), (4, 0), "one of them will turn out to be a duplicate");

    let moved = scene.ledger.move_run(new.id, RunMove::Cancel, &ANN).await.unwrap();
    let expected = Moved { before: RunState::Planning, after: RunState::Cancelled, cancelled: 3, to_ask: 0 };
    assert_eq!(moved, expected);
    let view = scene.view(new.id).await;
    assert_eq!(view.state, RunState::Cancelled);
    assert_eq!(view.tally, Tally { source: 5, cancelled: 3, failed: 2, ..Tally::default() });
    assert_eq!(scene.jobs(new.id).await, jobs([("provision done", 2)]));
    let late = scene.ledger.add_items(new.id, &[pending(6, batch)]).await;
    assert!(matches!(late, Err(LedgerError::Refused(_))), "its planner may still be there: {late:?}");
    scene.planned("a.csv", 1, 1).await;
}

/// A batch that ended before the cancel is read back like any other, also when no worker ever
/// held it.
pub async fn what_was_given_up_before_a_cancel_is_still_read_back(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 4, 2).await;
    let send = scene.ledger.take_ready(1).await.unwrap().remove(0);
    assert!(scene.ledger.give_up(send.job, Code::CrashedWorker, scene.worker().id).await.unwrap());
    let moved = scene.ledger.move_run(run, RunMove::Cancel, &ANN).await.unwrap();
    assert_eq!((moved.cancelled, moved.to_ask), (2, 0));
    let view = scene.view(run).await;
    assert_eq!((view.state, view.open_batches), (RunState::Cancelling, 1));
    assert_eq!(
        scene.jobs(run).await,
        jobs([("provision dead", 1), ("provision done", 1), ("verify ready", 1)])
    );
}

/// The job that was given up may have sent them, and the new one was never held.
pub async fn redriven_users_are_never_cancelled_unasked(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 2, 2).await;
    let lease = scene.take_one(JobKind::Provision).await;
    scene.ledger.conclude(&lease, &Verdict::Discard { code: Code::ServerError }, None).await.unwrap();
    let done = scene.ledger.redrive(&DeadFilter::default(), &scene.batches(1), &ANN).await.unwrap();
    assert_eq!(done.users, 2);
    assert_eq!(scene.ledger.count_cancellable(run).await.unwrap(), Cancellable { at_once: 0, to_ask: 2 });
    let moved = scene.ledger.move_run(run, RunMove::Cancel, &ANN).await.unwrap();
    assert_eq!((moved.cancelled, moved.to_ask), (0, 2));
    scene.finish(|_| Outcome::cancelled()).await;
    assert_eq!(scene.view(run).await.tally.cancelled, 2);
}

/// A worker finds out that nothing will pass while a person cancels: whatever comes first, the
/// run is cancelled, and the worker's job goes back.
pub async fn a_cancel_and_a_stop_at_once_both_hold(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let other = world.other();
    for round in 0..8 {
        let run = scene.running(&format!("{round}.csv"), 2, 2).await;
        let lease = scene.take_one(JobKind::Provision).await;
        let stop = Verdict::Stop { code: Code::ScopeMissing };
        let (cancelled, stopped) =
            both(scene.ledger.move_run(run, RunMove::Cancel, &ANN), other.conclude(&lease, &stop, None))
                .await;
        assert_eq!(cancelled.unwrap().after, RunState::Cancelling);
        stopped.unwrap();
        assert_eq!(scene.view(run).await.state, RunState::Cancelling);
        assert_eq!(scene.jobs(run).await, jobs([("provision ready", 1)]));
        world.advance(Duration::from_secs(10)).await; // the worker may have been told to wait
        scene.finish(|_| Outcome::cancelled()).await;
    }
}
