//! Cases of the planner.

use std::time::Duration;

use super::{
    LedgerWorld,
    scene::{ANN, Scene, created, jobs, pending, settled, user},
    together::both,
};
use ferry_domain::{
    code::Code,
    ids::SourceKey,
    item::{ItemState, NewItem, Outcome},
    job::JobKind,
    ports::{ABANDONED, LedgerError, SettledGroup},
    run::RunState,
    tally::Tally,
};

/// Two processes start at the same time over a new store.
pub async fn migrating_twice_at_once_is_harmless(world: impl LedgerWorld) {
    let (one, other) = (world.ledger(), world.other());
    let (first, second) = both(one.migrate(), other.migrate()).await;
    first.unwrap();
    second.unwrap();
    one.migrate().await.unwrap();
    assert!(one.runs(10).await.unwrap().is_empty());
}

/// Tally, batches and jobs after planning.
pub async fn a_plan_adds_up(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let new = scene.new_run("a.csv");
    let (one, two, three) = (scene.batch(), scene.batch(), scene.batch());
    scene.ledger.open_run(&new).await.unwrap();
    assert_eq!(scene.ledger.run(new.id).await.unwrap().unwrap().state, RunState::Planning);
    let first = [
        pending(1, one),
        settled(2, new.settled_batch, Outcome::failed(Code::EmailMissing).at_field("email")),
        pending(3, one),
    ];
    let second = [
        pending(4, two),
        settled(5, new.settled_batch, Outcome::skipped(Code::Federated, None)),
        pending(6, three),
        settled(7, new.settled_batch, Outcome::failed(Code::EmailMissing)),
    ];
    scene.ledger.add_items(new.id, &first).await.unwrap();
    scene.ledger.add_items(new.id, &second).await.unwrap();
    let planned = scene.ledger.finish_planning(new.id, &[]).await.unwrap();

    let tally = Tally { source: 7, pending: 4, failed: 2, skipped: 1, ..Tally::default() };
    assert_eq!((planned.tally, planned.batches), (tally, 3));
    let group = |state, code, count| SettledGroup { state, code, count };
    let expected =
        [group(ItemState::Failed, Code::EmailMissing, 2), group(ItemState::Skipped, Code::Federated, 1)];
    assert_eq!(planned.settled, expected);

    let view = scene.view(new.id).await;
    assert_eq!((view.state, view.tally, view.open_batches), (RunState::Planned, tally, 3));
    assert_eq!((view.round, view.revision, view.verified, view.requests), (1, 0, 0, 0));
    assert_eq!((&view.source, &view.spec, &view.migration), (&new.source, &new.spec, &new.migration));
    assert!(view.started_at.is_none() && view.sealed_at.is_none());
    assert_eq!(scene.jobs(new.id).await, jobs([("provision ready", 3)]));
    let refused = scene.item(new.id, 2).await;
    assert_eq!((refused.code, refused.field.as_deref()), (Some(Code::EmailMissing), Some("email")));
    assert_eq!((refused.origin.place.as_str(), refused.origin.line), ("people.csv", 3));
}

/// What a rule settled is in the sums and on no job.
pub async fn settled_items_are_counted_and_never_sent(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let new = scene.new_run("a.csv");
    let batch = scene.batch();
    scene.ledger.open_run(&new).await.unwrap();
    let items = [
        settled(1, new.settled_batch, Outcome::failed(Code::EmailInvalid)),
        pending(2, batch),
        settled(3, new.settled_batch, Outcome::skipped(Code::Disabled, None)),
    ];
    scene.ledger.add_items(new.id, &items).await.unwrap();
    scene.ledger.finish_planning(new.id, &[]).await.unwrap();
    scene.ledger.start(new.id, &ANN).await.unwrap();

    let lease = scene.take_one(JobKind::Provision).await;
    assert_eq!(lease.of.batch, Some(batch));
    let sent = scene.ledger.pending_items(&lease).await.unwrap();
    assert_eq!(sent.iter().map(|item| item.seq.0).collect::<Vec<_>>(), [2]);
    assert_eq!(Some(&sent[0].record), items[1].record.as_ref());
    scene.provision(&lease, created).await;
    scene.finish(created).await;
    let view = scene.view(new.id).await;
    assert_eq!(view.tally, Tally { source: 3, created: 1, failed: 1, skipped: 1, ..Tally::default() });
    assert_eq!((view.verified, view.open_batches), (1, 0));
}

/// Nothing to send must not mean never sealed.
pub async fn a_run_of_settled_items_only_is_sealed_by_the_sweep(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let new = scene.new_run("a.csv");
    scene.ledger.open_run(&new).await.unwrap();
    let items = [settled(1, new.settled_batch, Outcome::failed(Code::EmailMissing))];
    scene.ledger.add_items(new.id, &items).await.unwrap();
    assert_eq!(scene.ledger.finish_planning(new.id, &[]).await.unwrap().batches, 0);
    assert_eq!(scene.ledger.seal_finished().await.unwrap(), 0, "it is not started");
    scene.ledger.start(new.id, &ANN).await.unwrap();

    assert_eq!(scene.ledger.seal_finished().await.unwrap(), 1);
    assert_eq!(scene.ledger.seal_finished().await.unwrap(), 0, "it has its report job");
    let lease = scene.take_one(JobKind::Report).await;
    assert_eq!(scene.ledger.seal_finished().await.unwrap(), 0, "it has its report job");
    assert_eq!(scene.seal(&lease).await, 1);
    let view = scene.view(new.id).await;
    assert_eq!((view.state, view.tally.failed), (RunState::Sealed, 1));
    assert_eq!(scene.ledger.seal_finished().await.unwrap(), 0, "a sealed run stays sealed");
}

/// One active run for each source; an ended one is none.
pub async fn a_second_run_of_a_source_is_refused_by_name(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let first = scene.running("a.csv", 2, 2).await;
    match scene.ledger.open_run(&scene.new_run("a.csv")).await {
        Err(LedgerError::AnotherRunActive { run, state }) => {
            assert_eq!((run, state), (first, RunState::Running));
        }
        other => panic!("{other:?}"),
    }
    scene.ledger.open_run(&scene.new_run("b.csv")).await.unwrap();
    scene.finish(created).await;
    scene.ledger.open_run(&scene.new_run("a.csv")).await.unwrap();
}

/// Two people start the same source in the same moment.
pub async fn of_two_openings_at_once_one_is_refused(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let other = world.other();
    let (mine, theirs) = (scene.new_run("a.csv"), scene.new_run("a.csv"));
    let (first, second) = both(scene.ledger.open_run(&mine), other.open_run(&theirs)).await;
    let refused = [&first, &second].map(|opened| match opened {
        Ok(()) => false,
        Err(LedgerError::AnotherRunActive { .. }) => true,
        Err(other) => panic!("{other:?}"),
    });
    assert!(refused[0] != refused[1], "{refused:?}");
    assert_eq!(scene.ledger.runs(10).await.unwrap().len(), 1);
}

/// Its process writes chunks, or shows otherwise that it is at work, for as long as it lives.
pub async fn an_abandoned_planning_makes_room(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let (dead, next) = (scene.new_run("a.csv"), scene.new_run("a.csv"));
    let batch = scene.batch();
    let almost = ABANDONED - Duration::from_secs(2);
    scene.ledger.open_run(&dead).await.unwrap();
    scene.ledger.add_items(dead.id, &[pending(1, batch)]).await.unwrap();
    world.advance(almost).await;
    scene.ledger.add_items(dead.id, &[pending(2, batch)]).await.unwrap();
    world.advance(almost).await;
    scene.ledger.keep(dead.id).await.unwrap();
    world.advance(almost).await;
    match scene.ledger.open_run(&next).await {
        Err(LedgerError::AnotherRunActive { run, state }) => {
            assert_eq!((run, state), (dead.id, RunState::Planning), "it was kept a moment ago");
        }
        other => panic!("{other:?}"),
    }
    assert!(!scene.ledger.run(dead.id).await.unwrap().unwrap().abandoned);
    world.advance(Duration::from_secs(3)).await;
    assert!(
        scene.ledger.run(dead.id).await.unwrap().unwrap().abandoned,
        "people see it before anybody starts anew"
    );
    scene.ledger.open_run(&next).await.unwrap();
    assert!(scene.ledger.run(dead.id).await.unwrap().is_none());
    assert_eq!(world.count("items").await, 0);
    let late = scene.ledger.add_items(dead.id, &[pending(3, batch)]).await;
    assert!(matches!(late, Err(LedgerError::Refused(_))), "{late:?}");
    assert!(matches!(scene.ledger.finish_planning(dead.id, &[]).await, Err(LedgerError::Refused(_))));
    scene.ledger.keep(dead.id).await.unwrap();
}

/// A process that died while a person was asked leaves nothing in the way.
pub async fn a_plan_that_nobody_answered_makes_room(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let asked = scene.planned("a.csv", 5, 2).await;
    let elsewhere = scene.new_run("c.csv");
    scene.ledger.open_run(&elsewhere).await.unwrap();
    world.advance(ABANDONED + Duration::from_secs(1)).await;
    scene.ledger.keep(asked).await.unwrap();
    let next = scene.new_run("a.csv");
    match scene.ledger.open_run(&next).await {
        Err(LedgerError::AnotherRunActive { run, state }) => {
            assert_eq!((run, state), (asked, RunState::Planned), "somebody thinks about it");
        }
        other => panic!("{other:?}"),
    }
    world.advance(ABANDONED + Duration::from_secs(1)).await;
    scene.ledger.open_run(&next).await.unwrap();
    assert!(scene.ledger.run(asked).await.unwrap().is_none());
    assert!(scene.ledger.run(elsewhere.id).await.unwrap().is_some(), "nobody opened its source");
    for (table, left) in [("runs", 2), ("batches", 0), ("items", 0), ("jobs", 0)] {
        assert_eq!(world.count(table).await, left, "{table}");
    }
    assert!(matches!(scene.ledger.start(asked, &ANN).await, Err(LedgerError::Refused(_))), "it is gone");
    assert_eq!(scene.ordered(asked).await, ["not_started", "open_run"]);

    let started = scene.running("b.csv", 2, 2).await;
    world.advance(ABANDONED + Duration::from_secs(1)).await;
    let second = scene.ledger.open_run(&scene.new_run("b.csv")).await;
    assert!(matches!(second, Err(LedgerError::AnotherRunActive { run, .. }) if run == started), "{second:?}");
}

/// A plan that was not wanted goes with all its rows.
pub async fn a_plan_can_be_abandoned_until_it_starts(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let planned = scene.planned("a.csv", 5, 2).await;
    scene.ledger.abandon(planned, &ANN).await.unwrap();
    assert!(scene.ledger.run(planned).await.unwrap().is_none());
    for table in ["runs", "batches", "items", "jobs"] {
        assert_eq!(world.count(table).await, 0, "{table}");
    }
    let started = scene.running("a.csv", 5, 2).await;
    assert!(matches!(scene.ledger.abandon(started, &ANN).await, Err(LedgerError::Refused(_))));
    assert_eq!(scene.view(started).await.tally.pending, 5);
    assert_eq!(scene.ordered(planned).await, ["not_started", "open_run"], "what was asked for stays");
    assert_eq!(scene.ordered(started).await, ["start", "open_run"]);
}

/// Planning ends once, and starts once.
pub async fn moves_a_run_does_not_have_are_refused(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let new = scene.new_run("a.csv");
    scene.ledger.open_run(&new).await.unwrap();
    assert!(matches!(scene.ledger.start(new.id, &ANN).await, Err(LedgerError::Refused(_))));
    scene.ledger.add_items(new.id, &[pending(1, scene.batch())]).await.unwrap();
    scene.ledger.finish_planning(new.id, &[]).await.unwrap();
    assert!(matches!(scene.ledger.finish_planning(new.id, &[]).await, Err(LedgerError::Refused(_))));
    let late = scene.ledger.add_items(new.id, &[pending(2, scene.batch())]).await;
    assert!(matches!(late, Err(LedgerError::Refused(_))), "{late:?}");
    assert!(scene.ledger.take_ready(10).await.unwrap().is_empty(), "a planned run sends nothing");
    scene.ledger.start(new.id, &ANN).await.unwrap();
    assert!(matches!(scene.ledger.start(new.id, &ANN).await, Err(LedgerError::Refused(_))));
    let nobody = scene.new_run("b.csv").id;
    assert!(matches!(scene.ledger.start(nobody, &ANN).await, Err(LedgerError::Refused(_))));
    assert!(scene.ledger.run(nobody).await.unwrap().is_none());
}

/// A key names one person, also where a rule settled its row; the rule's reason stays.
pub async fn a_settled_row_keeps_its_reason_and_takes_its_key(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let new = scene.new_run("a.csv");
    let keyed = |seq, code| NewItem {
        key: SourceKey("k".into()),
        ..settled(seq, new.settled_batch, Outcome::failed(code))
    };
    let items = [
        keyed(1, Code::EmailMissing),
        user(2, scene.batch(), "k", "two@example.com"),
        keyed(3, Code::EmailInvalid),
    ];
    scene.ledger.open_run(&new).await.unwrap();
    scene.ledger.add_items(new.id, &items).await.unwrap();
    scene.ledger.finish_planning(new.id, &[]).await.unwrap();
    let codes: Vec<_> = scene.items(new.id).await.into_iter().map(|item| item.code).collect();
    assert_eq!(codes, [Code::EmailMissing, Code::DuplicateKey, Code::EmailInvalid].map(Some));
}
