//! Cases of what operators say to runs and to all processes.

use std::time::Duration;

use super::{
    LedgerWorld,
    scene::{ANN, Scene, created, failed, jobs, pending, settled, user},
};
use ferry_domain::{
    code::Code,
    ids::RunId,
    item::Outcome,
    job::{JobKind, JobState, Verdict},
    ports::{Cancellable, Command, LedgerError, Moved, WaitReason, WatchedRun},
    run::{RunMove, RunState},
    tally::Tally,
    threshold::StopAfter,
};

const FERRY: Command<'static> = Command { by: "ferry", reason: Some(Code::TooManyFailures.as_str()) };
const NOW: Duration = Duration::ZERO;

/// What runs ends first, nothing new is sent, and all goes on where it was.
pub async fn a_run_is_paused_and_resumed_and_asking_twice_changes_nothing(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 4, 2).await;
    let sends = scene.ledger.take_ready(1).await.unwrap();
    let lease = scene.claim(&sends[0], scene.worker().id).await;
    let lines = world.count("audit").await;

    let moved = scene.ledger.move_run(run, RunMove::Pause, &ANN).await.unwrap();
    let expected = Moved { before: RunState::Running, after: RunState::Paused, cancelled: 0, to_ask: 0 };
    assert_eq!(moved, expected);
    let again = scene.ledger.move_run(run, RunMove::Pause, &ANN).await.unwrap();
    assert_eq!((again.changed(), again.after), (false, RunState::Paused));
    assert_eq!(world.count("audit").await, lines + 1, "asking twice is one line");
    let view = scene.view(run).await;
    assert_eq!((view.state, view.why.as_deref()), (RunState::Paused, Some("maintenance")));
    assert_eq!(scene.ledger.orders().await.unwrap().state_of(run), Some(RunState::Paused));
    assert!(scene.ledger.take_ready(10).await.unwrap().is_empty());

    let results = scene.results(&lease, created).await;
    let written = scene.ledger.write_back(&lease, &results[..1], 1).await.unwrap();
    assert_eq!((written.run, written.pending), (RunState::Paused, 1), "what was sent is kept");
    let snooze = Verdict::Snooze { after: NOW, code: Code::Interrupted };
    scene.ledger.conclude(&lease, &snooze, None).await.unwrap();

    let moved = scene.ledger.move_run(run, RunMove::Resume, &ANN).await.unwrap();
    assert_eq!((moved.before, moved.after), (RunState::Paused, RunState::Running));
    assert!(!scene.ledger.move_run(run, RunMove::Resume, &ANN).await.unwrap().changed());
    assert_eq!(scene.view(run).await.why, None);
    assert_eq!(world.count("audit").await, lines + 2);
    scene.finish(created).await;
    assert_eq!(scene.view(run).await.tally, Tally { source: 4, created: 4, ..Tally::default() });
    assert_eq!(scene.ledger.orders().await.unwrap().state_of(run), None, "it has ended");
}

/// The answer names the state, so that a person knows what to do instead.
pub async fn a_move_that_a_run_does_not_have_is_refused_naming_its_state(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let refused =
        async |run: RunId, step: RunMove, word: &str| match scene.ledger.move_run(run, step, &ANN).await {
            Err(LedgerError::Refused(text)) => assert!(text.contains(word), "{step:?}: {text}"),
            other => panic!("{step:?}: {other:?}"),
        };
    let run = scene.planned("a.csv", 1, 1).await;
    for step in [RunMove::Pause, RunMove::Resume, RunMove::Stop] {
        refused(run, step, "planned").await;
    }
    scene.ledger.start(run).await.unwrap();
    for step in [RunMove::BeginSealing, RunMove::Seal, RunMove::Retry, RunMove::Start] {
        refused(run, step, "").await;
    }
    let lease = scene.take_one(JobKind::Provision).await;
    scene.provision(&lease, created).await;
    let lease = scene.take_one(JobKind::Verify).await;
    scene.verify(&lease).await;
    for step in [RunMove::Pause, RunMove::Resume, RunMove::Cancel, RunMove::Stop] {
        refused(run, step, "sealing").await;
    }
    scene.finish(created).await;
    for step in [RunMove::Pause, RunMove::Resume, RunMove::Cancel] {
        refused(run, step, "sealed").await;
    }
    refused(scene.new_run("b.csv").id, RunMove::Pause, "no run").await;
    assert_eq!(scene.view(run).await.state, RunState::Sealed);
}

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
    assert!(scene.ledger.start(run).await.is_err());
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
    let retried = scene.ledger.retry(run, &[], &scene.batches(1), &ANN).await;
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
    scene.ledger.retry(retried, &[], &scene.batches(1), &ANN).await.unwrap();
    assert_eq!(scene.ledger.count_cancellable(retried).await.unwrap(), Cancellable { at_once: 0, to_ask: 2 });
    let moved = scene.ledger.move_run(retried, RunMove::Cancel, &ANN).await.unwrap();
    assert_eq!((moved.cancelled, moved.to_ask), (0, 2));
    assert_eq!(scene.finish(|_| Outcome::cancelled()).await, 2);
    assert_eq!(scene.view(retried).await.state, RunState::Cancelled);
}

/// A holder that finds out that nothing will pass stops the run; a threshold does the same from outside.
pub async fn a_stopped_run_says_why_and_can_be_resumed(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 4, 2).await;
    let leases = scene.take_all().await;
    let lines = world.count("audit").await;
    let stop = Verdict::Stop { code: Code::ScopeMissing };
    for lease in &leases {
        scene.ledger.conclude(lease, &stop, None).await.unwrap();
    }
    let view = scene.view(run).await;
    assert_eq!((view.state, view.why.as_deref()), (RunState::Stopped, Some("SCOPE_MISSING")));
    assert_eq!(world.count("audit").await, lines + 1, "the second holder found it stopped");
    assert_eq!(world.count("attempts").await, 0);
    assert_eq!(scene.jobs(run).await, jobs([("provision ready", 2)]));
    assert!(scene.ledger.take_ready(10).await.unwrap().is_empty());

    assert!(scene.ledger.move_run(run, RunMove::Resume, &ANN).await.unwrap().changed());
    assert_eq!(scene.view(run).await.why, None);
    let moved = scene.ledger.move_run(run, RunMove::Stop, &FERRY).await.unwrap();
    assert_eq!((moved.before, moved.after), (RunState::Running, RunState::Stopped));
    assert!(!scene.ledger.move_run(run, RunMove::Stop, &FERRY).await.unwrap().changed());
    assert_eq!(scene.view(run).await.why.as_deref(), Some("TOO_MANY_FAILURES"));
    scene.ledger.move_run(run, RunMove::Resume, &ANN).await.unwrap();
    scene.finish(created).await;
    assert_eq!(scene.view(run).await.tally.created, 4);
}

/// What rules settled, and what failed before a person resumed, is known already.
pub async fn limits_count_from_the_start_and_from_each_resume(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running("without-limits.csv", 1, 1).await;
    scene.take_one(JobKind::Provision).await;
    let mut new = scene.new_run("a.csv");
    let limits = StopAfter { failures: Some(1), rate: None };
    new.spec.stop_after = limits;
    let run = new.id;
    scene.ledger.open_run(&new).await.unwrap();
    let mut items = vec![settled(1, new.settled_batch, Outcome::failed(Code::EmailMissing))];
    for seq in [2, 4, 6, 8] {
        let batch = scene.batch();
        items.extend([pending(seq, batch), pending(seq + 1, batch)]);
    }
    scene.ledger.add_items(run, &items).await.unwrap();
    scene.ledger.finish_planning(run).await.unwrap();
    assert!(scene.ledger.watched_runs().await.unwrap().is_empty(), "it is not running");
    scene.ledger.start(run).await.unwrap();
    let counted = async || {
        let watched = scene.ledger.watched_runs().await.unwrap();
        let WatchedRun { run: id, limits, tally } = watched.first().copied()?;
        assert_eq!((id, watched.len()), (run, 1));
        assert_eq!(tally.pending, scene.view(run).await.tally.pending);
        assert!(tally.adds_up(), "{tally:?}");
        Some((tally.failed + tally.conflict, tally.finished(), limits.exceeded(&tally)))
    };

    assert_eq!(counted().await, Some((0, 0, None)), "the rule's failure was known");
    let leases = scene.take_all().await;
    let decide = |seq| if seq == 3 { Outcome::conflict(Code::Ghost) } else { created(seq) };
    scene.provision(&leases[0], decide).await;
    assert_eq!(counted().await, Some((1, 2, None)));
    scene.provision(&leases[1], failed).await;
    assert_eq!(counted().await, Some((3, 4, Some(Code::TooManyFailures))));
    scene.ledger.move_run(run, RunMove::Stop, &FERRY).await.unwrap();
    assert_eq!(counted().await, None);
    scene.ledger.move_run(run, RunMove::Resume, &ANN).await.unwrap();
    assert_eq!(counted().await, Some((0, 0, None)), "a person has seen them");
    scene.provision(&leases[2], failed).await;
    assert_eq!(counted().await, Some((2, 2, Some(Code::TooManyFailures))));
    scene.ledger.retry(run, &[Code::ServerError], &scene.batches(1), &ANN).await.unwrap();
    assert_eq!(counted().await, Some((0, 0, None)), "so has who retries");
    scene.provision(&leases[3], failed).await;
    assert_eq!(counted().await, Some((2, 2, Some(Code::TooManyFailures))));
}

/// One word for all, kept in the ledger.
pub async fn all_sending_is_stopped_and_released(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 4, 2).await;
    let lines = world.count("audit").await;
    assert!(!scene.ledger.stop_all(false, &ANN).await.unwrap(), "it was never stopped");
    assert!(!scene.ledger.orders().await.unwrap().stop_all);
    let sends = scene.ledger.take_ready(1).await.unwrap();
    let lease = scene.claim(&sends[0], scene.worker().id).await;

    assert!(scene.ledger.stop_all(true, &ANN).await.unwrap());
    assert!(!scene.ledger.stop_all(true, &ANN).await.unwrap());
    let controls = world.other().orders().await.unwrap();
    assert_eq!((controls.stop_all, controls.state_of(run)), (true, Some(RunState::Running)));
    assert!(scene.ledger.take_ready(10).await.unwrap().is_empty());
    let results = scene.results(&lease, created).await;
    let written = scene.ledger.write_back(&lease, &results[..1], 1).await.unwrap();
    assert_eq!(written.run, RunState::Paused, "a holder sends nothing more");
    assert_eq!(scene.view(run).await.state, RunState::Running, "the run itself is as it was");

    assert!(scene.ledger.stop_all(false, &ANN).await.unwrap());
    assert!(!scene.ledger.stop_all(false, &ANN).await.unwrap());
    let written = scene.ledger.write_back(&lease, &results[1..], 1).await.unwrap();
    assert_eq!(written.run, RunState::Running);
    assert_eq!(world.count("audit").await, lines + 2);
    scene.finish(created).await;
    assert_eq!(scene.view(run).await.tally.created, 4);
}

/// Also without any active run.
pub async fn controls_are_there_without_any_run(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    assert_eq!(scene.ledger.orders().await.unwrap(), ferry_domain::ports::Orders::default());
    scene.ledger.stop_all(true, &ANN).await.unwrap();
    let controls = scene.ledger.orders().await.unwrap();
    assert!(controls.stop_all && controls.runs.is_empty());
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
    scene.ledger.take_ready(1).await.unwrap();
    world.advance(Duration::from_secs(10)).await;
    let count = async |state: JobState| {
        let counts = scene.ledger.queue_counts().await.unwrap();
        let found = counts.into_iter().find(|found| found.kind == JobKind::Provision && found.state == state);
        found.map(|found| (found.jobs, found.oldest.is_some_and(|age| age >= Duration::from_secs(10))))
    };
    assert_eq!(count(JobState::Ready).await, Some((1, true)));
    assert_eq!(count(JobState::Queued).await, Some((1, true)));
    assert_eq!(count(JobState::Leased).await, Some((1, false)));
    let snooze = Verdict::Snooze { after: Duration::from_secs(60), code: Code::RateLimited };
    scene.ledger.conclude(&lease, &snooze, None).await.unwrap();
    assert_eq!(count(JobState::Ready).await, Some((2, true)));
    scene.ledger.move_run(run, RunMove::Pause, &ANN).await.unwrap();
    assert_eq!(count(JobState::Ready).await, Some((2, false)), "a paused run's jobs wait for a person");
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
        user(3, batch, "1", "double@example.com"),
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

/// Each says what state the run is in and what to do, whatever the database.
pub async fn a_refused_move_says_what_to_do_instead(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let refused = async |run, step| {
        let answer = scene.ledger.move_run(run, step, &ANN).await;
        let Err(LedgerError::Refused(text)) = answer else { panic!("{step}: {answer:?}") };
        assert!(text.contains("ferry run "), "{text}");
    };
    let planned = scene.planned("a.csv", 1, 1).await;
    for step in [RunMove::Pause, RunMove::Resume, RunMove::Stop] {
        refused(planned, step).await;
    }
    let unknown = scene.ledger.move_run(scene.new_run("b.csv").id, RunMove::Pause, &ANN).await;
    assert!(unknown.unwrap_err().to_string().contains("ferry run list"));
    for step in [RunMove::Plan, RunMove::Start, RunMove::BeginSealing, RunMove::Seal, RunMove::Retry] {
        let answer = scene.ledger.move_run(planned, step, &ANN).await.unwrap_err().to_string();
        assert!(answer.contains(step.as_str()), "{answer}");
    }
    scene.ledger.start(planned).await.unwrap();
    scene.finish(created).await;
    for step in [RunMove::Pause, RunMove::Resume, RunMove::Stop, RunMove::Cancel] {
        refused(planned, step).await;
    }
    let rate = scene.ledger.set_rate(planned, Some("free"), &ANN).await.unwrap_err().to_string();
    assert!(rate.contains("sealed"), "{rate}");
    assert!(scene.ledger.start(planned).await.is_err());
    assert!(scene.ledger.abandon(planned).await.is_err());
    assert!(scene.ledger.finish_planning(planned).await.is_err());
}

/// While all sending is stopped a running run looks paused to its holders, a stopped one stopped.
pub async fn a_holder_learns_that_its_run_is_stopped_also_while_all_are(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 2, 2).await;
    let lease = scene.take_one(JobKind::Provision).await;
    let results = scene.results(&lease, created).await;
    scene.ledger.stop_all(true, &ANN).await.unwrap();
    scene.ledger.move_run(run, RunMove::Stop, &FERRY).await.unwrap();
    let written = scene.ledger.write_back(&lease, &results[..1], 1).await.unwrap();
    assert_eq!(written.run, RunState::Stopped);
    scene.ledger.move_run(run, RunMove::Resume, &ANN).await.unwrap();
    let written = scene.ledger.write_back(&lease, &results[1..], 1).await.unwrap();
    assert_eq!(written.run, RunState::Paused);
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
        (JobKind::Provision, JobState::Dead, 1, None),
        (JobKind::Provision, JobState::Ready, 3, Some(1)),
        (JobKind::Verify, JobState::Ready, 1, Some(0)),
    ];
    assert_eq!(seen, expected);
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

/// A person has seen the conflicts as well as the failures.
pub async fn conflicts_before_a_resume_do_not_count_after_it(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let mut new = scene.new_run("a.csv");
    new.spec.stop_after = StopAfter { failures: Some(1), rate: None };
    let run = scene.plan(new, 4, 2).await;
    scene.ledger.start(run).await.unwrap();
    let leases = scene.take_all().await;
    scene.provision(&leases[0], |_| Outcome::conflict(Code::Ghost)).await;
    scene.ledger.move_run(run, RunMove::Pause, &ANN).await.unwrap();
    scene.ledger.move_run(run, RunMove::Resume, &ANN).await.unwrap();
    scene.provision(&leases[1], created).await;
    let tally = scene.ledger.watched_runs().await.unwrap()[0].tally;
    assert_eq!((tally.failed + tally.conflict, tally.finished()), (0, 2));
}
