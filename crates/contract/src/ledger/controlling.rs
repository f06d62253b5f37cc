//! Cases of what operators say to runs and to all processes.

use std::time::Duration;

use super::{
    LedgerWorld,
    scene::{ANN, Scene, created, failed, jobs, pending, settled},
};
use ferry_domain::{
    application::RowIds,
    code::Code,
    ids::RunId,
    item::Outcome,
    job::{JobKind, Verdict},
    ports::{Command, Ended, LedgerError, Migration, Moved, Restored, UserFilter, WatchedRun},
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
    scene.ledger.start(run, &ANN).await.unwrap();
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
    scene.ledger.finish_planning(run, &[]).await.unwrap();
    assert!(scene.ledger.watched_runs().await.unwrap().is_empty(), "it is not running");
    scene.ledger.start(run, &ANN).await.unwrap();
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
    scene
        .ledger
        .retry(run, &UserFilter::with_codes(&[Code::ServerError]), &scene.batches(1), &ANN)
        .await
        .unwrap();
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
    assert!(!scene.ledger.orders().await.unwrap().stop_all());
    let sends = scene.ledger.take_ready(1).await.unwrap();
    let lease = scene.claim(&sends[0], scene.worker().id).await;

    assert!(scene.ledger.stop_all(true, &ANN).await.unwrap());
    assert!(!scene.ledger.stop_all(true, &ANN).await.unwrap());
    let controls = world.other().orders().await.unwrap();
    assert_eq!((controls.stop_all(), controls.state_of(run)), (true, Some(RunState::Running)));
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
    scene.ledger.start(planned, &ANN).await.unwrap();
    scene.finish(created).await;
    for step in [RunMove::Pause, RunMove::Resume, RunMove::Stop, RunMove::Cancel] {
        refused(planned, step).await;
    }
    let rate = scene.ledger.set_rate(planned, Some("free"), &ANN).await.unwrap_err().to_string();
    assert!(rate.contains("sealed"), "{rate}");
    assert!(scene.ledger.start(planned, &ANN).await.is_err());
    assert!(scene.ledger.abandon(planned, &ANN).await.is_err());
    assert!(scene.ledger.finish_planning(planned, &[]).await.is_err());
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

/// A person has seen the conflicts as well as the failures.
pub async fn conflicts_before_a_resume_do_not_count_after_it(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let mut new = scene.new_run("a.csv");
    new.spec.stop_after = StopAfter { failures: Some(1), rate: None };
    let run = scene.plan(new, 4, 2).await;
    scene.ledger.start(run, &ANN).await.unwrap();
    let leases = scene.take_all().await;
    scene.provision(&leases[0], |_| Outcome::conflict(Code::Ghost)).await;
    scene.ledger.move_run(run, RunMove::Pause, &ANN).await.unwrap();
    scene.ledger.move_run(run, RunMove::Resume, &ANN).await.unwrap();
    scene.provision(&leases[1], created).await;
    let tally = scene.ledger.watched_runs().await.unwrap()[0].tally;
    assert_eq!((tally.failed + tally.conflict, tally.finished()), (0, 2));
}

/// Orders are read as they were given: of one run with those about all, or every one.
pub async fn orders_are_read_back_newest_first(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let (run, other) = (scene.running("a.csv", 1, 1).await, scene.running("b.csv", 1, 1).await);
    scene.ledger.move_run(run, RunMove::Pause, &ANN).await.unwrap();
    scene.ledger.stop_all(true, &ANN).await.unwrap();
    scene.ledger.move_run(other, RunMove::Cancel, &ANN).await.unwrap();
    let rows = RowIds { lacking: 3, carried: 2, ..RowIds::default() };
    scene.ledger.note_restoring(other, &rows, &ANN).await.unwrap();
    let restored = Restored { rows, restored: 1, gone: 1, refused: 1, ended: Ended::Interrupted };
    scene.ledger.note_restored(other, &restored, &ANN).await.unwrap();
    let read = async |run, most| {
        let lines = scene.ledger.audit(run, most).await.unwrap();
        lines.into_iter().map(|line| (line.action, line.run)).collect::<Vec<_>>()
    };
    let line = |action: &str, run| (action.to_owned(), run);
    let [pause, start, open] = ["pause", "start", "open_run"].map(|action| line(action, Some(run)));
    assert_eq!(read(Some(run), 10).await, [line("stop_all", None), pause, start, open]);
    let of_other = ["ids_restored", "restore_ids", "cancel"].map(|action| line(action, Some(other)));
    assert_eq!(read(None, 3).await, of_other);
    let lines = scene.ledger.audit(None, 2).await.unwrap();
    assert_eq!((&lines[0].detail["lacking"], &lines[0].detail["gone"]), (&3.into(), &1.into()));
    assert_eq!(lines[0].detail["ended"], "interrupted");
    assert_eq!(
        (&lines[1].detail["lacking"], &lines[1].detail["restored"]),
        (&3.into(), &serde_json::Value::Null)
    );
    let what = Migration::Prepared { table: "people".into(), column: "auth0_user_id".into() };
    scene.ledger.note_migrated(&what, &ANN).await.unwrap();
    let migrated = scene.ledger.audit(Some(run), 1).await.unwrap().remove(0);
    assert_eq!((migrated.action.as_str(), migrated.run), ("migrate", None));
    assert_eq!(migrated.detail, serde_json::json!({ "table": "people", "column": "auth0_user_id" }));
    let pause = scene.ledger.audit(Some(run), 10).await.unwrap().remove(2);
    assert_eq!((pause.actor.as_str(), pause.reason.as_deref()), (ANN.by, ANN.reason));
    assert_eq!(pause.detail["after"], "paused");
}
