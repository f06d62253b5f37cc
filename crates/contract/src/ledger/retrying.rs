//! Cases of failed items that a person takes up again.

use super::{
    LedgerWorld,
    scene::{ANN, Scene, created, failed, id, jobs, pending, settled, user},
};
use ferry_domain::{
    code::Code,
    ids::RunId,
    item::{ItemState, Outcome},
    job::JobKind,
    ports::{LedgerError, Retried, Retryable, UserFilter},
    run::{RunMove, RunState},
    tally::Tally,
};

/// A second round in new batches, and a second report.
pub async fn failed_items_of_a_sealed_run_go_into_a_new_round(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running_over_people(26, 13).await;
    let decide = |seq| match seq {
        1 => Outcome::conflict(Code::Ghost),
        2..=12 => failed(seq).at_field("email"),
        _ => created(seq),
    };
    assert_eq!(scene.finish(decide).await, 1);
    assert_eq!(
        scene.ledger.count_retryable(run, &UserFilter::default()).await.unwrap(),
        Retryable { take: 12, left: 0 }
    );
    assert!(
        matches!(
            scene.ledger.retry(run, &UserFilter::default(), &scene.batches(1), &ANN).await,
            Err(LedgerError::Refused(_))
        ),
        "12 items need two batches of 10"
    );

    let spare = scene.batches(3);
    let retried = scene.ledger.retry(run, &UserFilter::default(), &spare, &ANN).await.unwrap();
    assert_eq!(retried, Retried { items: 12, batches: 2, left: 0, round: 2 });
    let view = scene.view(run).await;
    assert_eq!((view.state, view.round, view.revision, view.open_batches), (RunState::Running, 2, 1, 2));
    assert_eq!(view.tally, Tally { source: 26, created: 14, pending: 12, ..Tally::default() });
    assert_eq!(view.verified, 14, "what was verified stays so");
    let again = scene.item(run, 5).await;
    assert_eq!(
        (again.state, again.code, again.field, again.auth0_user_id),
        (ItemState::Pending, None, None, None)
    );

    let leases = scene.take_all().await;
    let mut sizes = Vec::new();
    for lease in &leases {
        let items = scene.ledger.pending_items(lease).await.unwrap();
        sizes.push((items[0].seq.0, items.len()));
        assert!(lease.of.batch.is_some_and(|batch| spare.contains(&batch)));
    }
    assert_eq!(sizes, [(1, 10), (11, 2)], "in source order");
    for lease in &leases {
        scene.provision(lease, created).await;
    }
    assert_eq!(scene.finish(created).await, 2);
    let view = scene.view(run).await;
    assert_eq!((view.state, view.revision, view.verified), (RunState::Sealed, 2, 26));
    assert_eq!(view.tally, Tally { source: 26, created: 26, ..Tally::default() });
    assert_eq!(world.auth0_user_id("1").await, Some(id(1).0));
}

/// A rule would refuse the record again; other codes were not asked for.
pub async fn rejected_records_and_other_codes_are_left(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let new = scene.new_run("a.csv");
    let batch = scene.batch();
    scene.ledger.open_run(&new).await.unwrap();
    let items = [
        pending(1, batch),
        pending(2, batch),
        pending(3, batch),
        settled(4, new.settled_batch, Outcome::failed(Code::EmailMissing)),
        settled(5, new.settled_batch, Outcome::skipped(Code::Disabled, None)),
        user(6, batch, "double", "person-1@example.com"),
    ];
    scene.ledger.add_items(new.id, &items).await.unwrap();
    scene.ledger.finish_planning(new.id, &[]).await.unwrap();
    scene.ledger.start(new.id, &ANN).await.unwrap();
    let decide = |seq| match seq {
        1 => Outcome::failed(Code::ServerError),
        2 => Outcome::conflict(Code::Ghost),
        _ => created(seq),
    };
    scene.finish(decide).await;

    assert_eq!(
        scene.ledger.count_retryable(new.id, &UserFilter::default()).await.unwrap(),
        Retryable { take: 2, left: 2 }
    );
    let codes = [Code::Ghost, Code::EmailMissing, Code::DuplicateEmail, Code::Disabled];
    let codes = UserFilter::with_codes(&codes);
    assert_eq!(scene.ledger.count_retryable(new.id, &codes).await.unwrap(), Retryable { take: 1, left: 3 });
    let retried = scene.ledger.retry(new.id, &codes, &scene.batches(1), &ANN).await.unwrap();
    assert_eq!(retried, Retried { items: 1, batches: 1, left: 3, round: 2 });
    let view = scene.view(new.id).await;
    let expected = Tally { source: 6, created: 1, skipped: 1, failed: 3, pending: 1, ..Tally::default() };
    assert_eq!(view.tally, expected);
    let lease = scene.take_one(JobKind::Provision).await;
    let items = scene.ledger.pending_items(&lease).await.unwrap();
    assert_eq!(items.iter().map(|item| item.seq.0).collect::<Vec<_>>(), [2]);
}

/// Not an error, and no empty round.
pub async fn with_nothing_to_retry_nothing_changes(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 2, 2).await;
    scene.finish(|seq| if seq == 1 { failed(seq) } else { created(seq) }).await;
    for code in [Code::Ghost, Code::EmailMissing] {
        let codes = UserFilter::with_codes(&[code]);
        let retried = scene.ledger.retry(run, &codes, &scene.batches(1), &ANN).await.unwrap();
        assert_eq!(retried, Retried { items: 0, batches: 0, left: 1, round: 1 });
        let view = scene.view(run).await;
        assert_eq!((view.state, view.round, view.revision), (RunState::Sealed, 1, 1));
    }
    assert_eq!(scene.jobs(run).await, jobs([("provision done", 1), ("verify done", 1), ("report done", 1)]));
}

/// Items of an ended batch are retried while others are still to come.
pub async fn a_running_run_is_retried_beside_its_open_batches(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 4, 2).await;
    let leases = scene.take_all().await;
    scene.provision(&leases[0], failed).await;
    let retried = scene.ledger.retry(run, &UserFilter::default(), &scene.batches(1), &ANN).await.unwrap();
    assert_eq!((retried.items, retried.round), (2, 2));
    assert_eq!(scene.view(run).await.tally, Tally { source: 4, pending: 4, ..Tally::default() });

    scene.provision(&leases[1], created).await;
    assert_eq!(scene.finish(created).await, 1);
    let view = scene.view(run).await;
    assert_eq!((view.tally.created, view.verified, view.open_batches), (4, 4, 0));
}

/// One active run of a source holds for retries as well.
pub async fn a_retry_waits_for_another_run_of_the_source(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let ended = scene.running("a.csv", 1, 1).await;
    scene.finish(failed).await;
    let active = scene.planned("a.csv", 1, 1).await;
    match scene.ledger.retry(ended, &UserFilter::default(), &scene.batches(1), &ANN).await {
        Err(LedgerError::AnotherRunActive { run, state }) => {
            assert_eq!((run, state), (active, RunState::Planned))
        }
        other => panic!("{other:?}"),
    }
    scene.ledger.abandon(active, &ANN).await.unwrap();
    assert_eq!(
        scene.ledger.retry(ended, &UserFilter::default(), &scene.batches(1), &ANN).await.unwrap().items,
        1
    );
}

/// Planned, sealing and unknown runs.
pub async fn a_run_without_that_move_is_not_retried(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let refused = async |run: RunId| {
        let answer = scene.ledger.retry(run, &UserFilter::default(), &scene.batches(1), &ANN).await;
        assert!(matches!(answer, Err(LedgerError::Refused(_))), "{answer:?}");
    };
    let run = scene.planned("a.csv", 1, 1).await;
    refused(run).await;
    refused(scene.new_run("b.csv").id).await;
    scene.ledger.start(run, &ANN).await.unwrap();
    let lease = scene.take_one(JobKind::Provision).await;
    scene.provision(&lease, failed).await;
    let lease = scene.take_one(JobKind::Verify).await;
    scene.verify(&lease).await;
    assert_eq!(scene.view(run).await.state, RunState::Sealing);
    refused(run).await;
}

/// Nothing of the last round is left on a user, also not the id that its row did not take.
pub async fn a_retried_user_forgets_how_it_ended(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running_over_people(2, 2).await;
    world.set_auth0_user_id("1", "auth0|somebody").await;
    scene.finish(|seq| if seq == 2 { failed(seq).at_field("email") } else { created(seq) }).await;
    let conflict = scene.item(run, 1).await;
    assert_eq!((conflict.state, conflict.auth0_user_id), (ItemState::Conflict, Some(id(1))));
    assert_eq!(
        scene.ledger.retry(run, &UserFilter::default(), &scene.batches(1), &ANN).await.unwrap().items,
        2
    );
    for item in scene.items(run).await {
        assert_eq!(
            (item.state, item.code, item.field, item.auth0_user_id),
            (ItemState::Pending, None, None, None)
        );
    }
}

/// There is nothing to send, whatever the code.
pub async fn a_user_without_a_record_is_never_retried(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let new = scene.new_run("a.csv");
    scene.ledger.open_run(&new).await.unwrap();
    let items = [
        settled(1, new.settled_batch, Outcome::failed(Code::ServerError)),
        settled(2, new.settled_batch, Outcome::skipped(Code::Disabled, None)),
        pending(3, scene.batch()),
    ];
    scene.ledger.add_items(new.id, &items).await.unwrap();
    scene.ledger.finish_planning(new.id, &[]).await.unwrap();
    scene.ledger.start(new.id, &ANN).await.unwrap();
    scene.finish(created).await;
    assert_eq!(
        scene.ledger.count_retryable(new.id, &UserFilter::default()).await.unwrap(),
        Retryable { take: 0, left: 1 }
    );
    let retried = scene.ledger.retry(new.id, &UserFilter::default(), &scene.batches(1), &ANN).await.unwrap();
    assert_eq!(retried, Retried { items: 0, batches: 0, left: 1, round: 1 });
}

/// Only an active run of the source is in the way.
pub async fn ended_runs_of_the_source_hinder_no_retry(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 1, 1).await;
    scene.finish(failed).await;
    scene.running("a.csv", 1, 1).await;
    scene.finish(created).await;
    let cancelled = scene.planned("a.csv", 1, 1).await;
    scene.ledger.move_run(cancelled, RunMove::Cancel, &ANN).await.unwrap();
    assert_eq!(
        scene.ledger.retry(run, &UserFilter::default(), &scene.batches(1), &ANN).await.unwrap().items,
        1
    );
}
