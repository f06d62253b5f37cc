//! Cases of runs beside one another: what is asked of one leaves the others as they are.

use std::time::Duration;

use super::{
    LedgerWorld,
    scene::{ANN, Scene, created, failed, jobs, user},
};
use ferry_domain::{
    ports::{Cancellable, UserFilter},
    run::{RunMove, RunState},
    tally::Tally,
    threshold::StopAfter,
};

/// Neither counted nor withdrawn with the run that is given up.
pub async fn a_cancel_leaves_other_runs_alone(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let other = scene.running("b.csv", 4, 2).await;
    let send = scene.ledger.take_ready(1).await.unwrap().remove(0);
    scene.claim(&send, scene.worker().id).await;
    let run = scene.running("a.csv", 3, 2).await;

    assert_eq!(scene.ledger.count_cancellable(run).await.unwrap(), Cancellable { at_once: 3, to_ask: 0 });
    let moved = scene.ledger.move_run(run, RunMove::Cancel, &ANN).await.unwrap();
    assert_eq!((moved.cancelled, moved.to_ask), (3, 0));
    let view = scene.view(other).await;
    assert_eq!(view.tally, Tally { source: 4, pending: 4, ..Tally::default() });
    assert_eq!((view.state, view.open_batches), (RunState::Running, 2));
    assert_eq!(scene.jobs(other).await, jobs([("provision leased", 1), ("provision ready", 1)]));
}

/// A plan goes with its own rows only.
pub async fn an_abandoned_plan_takes_no_other_with_it(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let other = scene.planned("b.csv", 4, 2).await;
    let plan = scene.planned("a.csv", 3, 2).await;
    scene.ledger.abandon(plan, &ANN).await.unwrap();
    assert_eq!(scene.view(other).await.tally, Tally { source: 4, pending: 4, ..Tally::default() });
    assert_eq!(scene.jobs(other).await, jobs([("provision ready", 2)]));
    for (table, rows) in [("runs", 1), ("batches", 3), ("items", 4), ("jobs", 2)] {
        assert_eq!(world.count(table).await, rows, "{table}");
    }
}

/// A source is its kind and its place.
pub async fn the_same_place_of_another_kind_is_another_source(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let mut other = scene.new_run("a");
    other.source.kind = "json".into();
    scene.ledger.open_run(&other).await.unwrap();
    world.advance(Duration::from_secs(61)).await;
    let run = scene.running("a", 1, 1).await;
    let state = scene.ledger.run(other.id).await.unwrap().map(|run| run.state);
    assert_eq!(state, Some(RunState::Planning), "it does not make room for another source");
    scene.finish(failed).await;
    scene.planned("b", 1, 1).await;
    assert_eq!(
        scene.ledger.retry(run, &UserFilter::default(), &scene.batches(1), &ANN).await.unwrap().items,
        1
    );
}

/// A run's limits count its own failures, and its reports are its own.
pub async fn each_run_has_its_own_limits_and_reports(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let mut new = scene.new_run("a.csv");
    new.spec.stop_after = StopAfter { failures: Some(9), rate: None };
    let run = scene.plan(new, 2, 1).await;
    scene.ledger.start(run, &ANN).await.unwrap();
    let other = scene.running("b.csv", 3, 3).await;
    let (mine, theirs): (Vec<_>, Vec<_>) =
        scene.take_all().await.into_iter().partition(|lease| lease.of.run == run);
    scene.provision(&theirs[0], failed).await;
    scene.ledger.move_run(run, RunMove::Pause, &ANN).await.unwrap();
    scene.ledger.move_run(run, RunMove::Resume, &ANN).await.unwrap();
    scene.provision(&mine[0], failed).await;
    let watched = scene.ledger.watched_runs().await.unwrap();
    assert_eq!(
        watched.iter().map(|watched| (watched.run, watched.tally.failed)).collect::<Vec<_>>(),
        [(run, 1)]
    );

    scene.finish(created).await;
    assert!(scene.ledger.report(other, None).await.unwrap().is_some());
    assert!(scene.ledger.report(run, None).await.unwrap().is_none());
}

/// The same people, in another order, read by two runs.
pub async fn equal_keys_and_addresses_of_two_runs_are_no_duplicates(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.planned("a.csv", 2, 2).await;
    let new = scene.new_run("b.csv");
    let batch = scene.batch();
    scene.ledger.open_run(&new).await.unwrap();
    let items = [user(1, batch, "2", "person-2@example.com"), user(2, batch, "1", "person-1@example.com")];
    scene.ledger.add_items(new.id, &items).await.unwrap();
    let planned = scene.ledger.finish_planning(new.id, &[]).await.unwrap();
    assert_eq!(planned.tally, Tally { source: 2, pending: 2, ..Tally::default() });
}

/// A person who resumes a run has seen its failures, and not those of another.
pub async fn a_resume_forgets_the_failures_of_its_own_run_only(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let mut runs = Vec::new();
    for (source, users) in [("a.csv", 2), ("b.csv", 1)] {
        let mut new = scene.new_run(source);
        new.spec.stop_after = StopAfter { failures: Some(9), rate: None };
        runs.push(scene.plan(new, users, 2).await);
    }
    for run in &runs {
        scene.ledger.start(*run, &ANN).await.unwrap();
    }
    for lease in scene.take_all().await {
        scene.provision(&lease, failed).await;
    }
    scene.ledger.move_run(runs[1], RunMove::Pause, &ANN).await.unwrap();
    scene.ledger.move_run(runs[1], RunMove::Resume, &ANN).await.unwrap();
    let mut counted = Vec::new();
    for watched in scene.ledger.watched_runs().await.unwrap() {
        counted.push((watched.run, watched.tally.failed, watched.tally.finished()));
    }
    counted.sort_by_key(|(run, ..)| runs.iter().position(|other| other == run));
    assert_eq!(counted, [(runs[0], 2, 2), (runs[1], 0, 0)]);
}
