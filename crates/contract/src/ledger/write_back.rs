//! Cases of results and the application's rows.

use super::{
    LedgerWorld,
    scene::{ANN, Scene, created, id, jobs},
    together::both,
};
use ferry_domain::{
    application::RowId,
    code::Code,
    ids::{ItemSeq, SourceKey},
    item::{ItemState, Outcome},
    job::JobKind,
    ports::{LedgerError, RefusedRow},
    run::{RunState, WriteBackTarget},
    tally::Tally,
};

fn refused(seq: i64, code: Code) -> (i64, Code) {
    (seq, code)
}

/// Rows and their reasons, in order; what a database says of its own differs.
fn reasons(rows: &[RefusedRow]) -> Vec<(i64, Code)> {
    let mut reasons: Vec<_> = rows.iter().map(|row| (row.seq.0, row.code)).collect();
    reasons.sort_unstable();
    reasons
}

/// Items, tally and the application's rows move in one transaction.
pub async fn results_and_ids_are_stored_together(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running_over_people(6, 6).await;
    let lease = scene.take_one(JobKind::Provision).await;
    let decide = |seq| match seq {
        1 => created(seq),
        2 => Outcome::adopted(id(seq)),
        3 => Outcome::skipped(Code::AlreadyMigrated, Some(id(seq))),
        4 => Outcome::conflict(Code::AdoptUnverified),
        _ => Outcome::failed(Code::UserRefused).at_field("email"),
    };
    let results = scene.results(&lease, decide).await;
    let written = scene.ledger.write_back(&lease, &results[..3], 7).await.unwrap();
    assert_eq!((written.pending, written.run, written.refused_rows), (3, RunState::Running, vec![]));
    let written = scene.ledger.write_back(&lease, &results[3..5], 2).await.unwrap();
    assert_eq!(written.pending, 1);

    let view = scene.view(run).await;
    let one =
        Tally { source: 6, created: 1, adopted: 1, skipped: 1, conflict: 1, failed: 1, ..Tally::default() };
    assert_eq!(view.tally, Tally { pending: 1, ..one });
    assert_eq!(view.requests, 9);
    for (key, expected) in
        [("1", Some(id(1))), ("2", Some(id(2))), ("3", Some(id(3))), ("4", None), ("5", None)]
    {
        assert_eq!(world.auth0_user_id(key).await, expected.map(|id| id.0), "person {key}");
    }
    let left = scene.ledger.pending_items(&lease).await.unwrap();
    assert_eq!(left.iter().map(|item| item.seq).collect::<Vec<_>>(), [ItemSeq(6)]);
    let refused = scene.item(run, 5).await;
    assert_eq!((refused.code, refused.field.as_deref()), (Some(Code::UserRefused), Some("email")));
}

/// The completion event is written with the last item, once.
pub async fn the_last_item_ends_the_batch_once(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 3, 3).await;
    let lease = scene.take_one(JobKind::Provision).await;
    let results = scene.results(&lease, created).await;
    for (at, result) in results.iter().enumerate() {
        assert_eq!(scene.jobs(run).await, jobs([("provision leased", 1)]), "before item {at}");
        scene.ledger.write_back(&lease, std::slice::from_ref(result), 1).await.unwrap();
        scene.view(run).await;
    }
    assert_eq!(scene.jobs(run).await, jobs([("provision done", 1), ("verify ready", 1)]));
    let view = scene.view(run).await;
    assert!(view.provisioned_at.is_some());
    assert_eq!((view.open_batches, view.requests, view.state), (1, 3, RunState::Running));
}

/// Last items of two batches in the same moment, over two connections.
pub async fn two_batches_end_at_once(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running_over_people(20, 10).await;
    let other = world.other();
    let leases = scene.take_all().await;
    let (a, b) = (scene.results(&leases[0], created).await, scene.results(&leases[1], created).await);
    let (first, second) =
        both(scene.ledger.write_back(&leases[0], &a, 10), other.write_back(&leases[1], &b, 10)).await;
    assert!(first.unwrap().finished() && second.unwrap().finished());
    assert_eq!(scene.jobs(run).await, jobs([("provision done", 2), ("verify ready", 2)]));
    let view = scene.view(run).await;
    assert_eq!((view.tally.created, view.requests), (20, 20));
}

/// A holder that did not hear the answer says it again.
pub async fn a_result_told_twice_counts_once(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running_over_people(3, 3).await;
    let lease = scene.take_one(JobKind::Provision).await;
    let results = scene.results(&lease, created).await;
    for _ in 0..2 {
        let written = scene.ledger.write_back(&lease, &results[..2], 2).await.unwrap();
        assert_eq!((written.pending, written.refused_rows), (1, vec![]));
        assert_eq!(scene.view(run).await.tally.created, 2);
    }
    assert_eq!(world.auth0_user_id("2").await, Some(id(2).0));
}

/// Another Auth0 id in the row is the application's word against ours.
pub async fn a_row_the_application_changed_is_a_conflict(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running_over_people(3, 3).await;
    world.set_auth0_user_id("1", &id(1).0).await;
    world.set_auth0_user_id("2", "auth0|somebody-else").await;
    let lease = scene.take_one(JobKind::Provision).await;
    let results = scene.results(&lease, created).await;
    let written = scene.ledger.write_back(&lease, &results, 3).await.unwrap();

    assert_eq!(
        reasons(&written.refused_rows),
        [refused(2, Code::AppRowChanged)],
        "its own id in row 1 is fine"
    );
    assert!(written.finished());
    assert_eq!(world.auth0_user_id("2").await.as_deref(), Some("auth0|somebody-else"));
    let item = scene.item(run, 2).await;
    assert_eq!((item.state, item.code), (ItemState::Conflict, Some(Code::AppRowChanged)));
    assert_eq!(item.auth0_user_id, Some(id(2)), "the user exists at Auth0: its id is kept");
    assert_eq!(scene.view(run).await.tally.created, 2);
}

/// A person removed while the run went on.
pub async fn a_vanished_row_is_a_conflict(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running_over_people(3, 3).await;
    world.remove_person("3").await;
    let lease = scene.take_one(JobKind::Provision).await;
    let results = scene.results(&lease, |seq| Outcome::adopted(id(seq))).await;
    let written = scene.ledger.write_back(&lease, &results, 3).await.unwrap();
    assert_eq!(reasons(&written.refused_rows), [refused(3, Code::AppRowChanged)]);
    let tally = scene.view(run).await.tally;
    assert_eq!((tally.adopted, tally.conflict), (2, 1));
}

/// One bad row never costs the others.
pub async fn one_taken_id_costs_one_row(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running_over_people(65, 64).await;
    world.set_auth0_user_id("65", &id(40).0).await;
    let lease = scene.take_all().await.remove(0);
    let results = scene.results(&lease, created).await;
    assert_eq!(results.len(), 64);
    let written = scene.ledger.write_back(&lease, &results, 64).await.unwrap();

    assert_eq!(reasons(&written.refused_rows), [refused(40, Code::AppIdTaken)]);
    assert!(written.finished());
    for seq in 1..=64 {
        let expected = (seq != 40).then(|| id(seq).0);
        assert_eq!(world.auth0_user_id(&seq.to_string()).await, expected, "person {seq}");
    }
    let tally = scene.view(run).await.tally;
    assert_eq!((tally.created, tally.conflict, tally.pending), (63, 1, 1));
    assert_eq!(scene.item(run, 40).await.auth0_user_id, Some(id(40)));
}

/// A constraint or trigger of the application against two rows, and one row changed.
pub async fn one_refused_row_costs_one_row(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running_over_people(20, 20).await;
    world.set_auth0_user_id("7", "auth0|somebody-else").await;
    world.make_unwritable("6").await;
    world.make_unwritable("20").await;
    let lease = scene.take_one(JobKind::Provision).await;
    let results = scene.results(&lease, created).await;
    let written = scene.ledger.write_back(&lease, &results, 20).await.unwrap();
    let expected =
        [refused(6, Code::AppRowRefused), refused(7, Code::AppRowChanged), refused(20, Code::AppRowRefused)];
    assert_eq!(reasons(&written.refused_rows), expected);
    assert_eq!(scene.view(run).await.tally.created, 17);
    assert_eq!(world.auth0_user_id("19").await, Some(id(19).0));
}

/// Triggers end the transaction, or refuse at its end, with codes of their own.
pub async fn the_hardest_refusal_costs_one_row(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running_over_people(20, 20).await;
    world.make_harsh("7").await;
    world.make_harsh("8").await;
    world.make_unwritable("19").await;
    let lease = scene.take_one(JobKind::Provision).await;
    let results = scene.results(&lease, created).await;
    let written = scene.ledger.write_back(&lease, &results, 20).await.unwrap();
    let expected =
        [refused(7, Code::AppRowRefused), refused(8, Code::AppRowRefused), refused(19, Code::AppRowRefused)];
    assert_eq!(reasons(&written.refused_rows), expected);
    assert!(written.refused_rows.iter().all(|row| row.said.is_some()), "the database's code is kept");
    assert!(written.finished());
    assert_eq!(world.people_with_ids().await, 17);
    let view = scene.view(run).await;
    assert_eq!((view.tally.created, view.tally.conflict, view.requests), (17, 3, 20));
    let item = scene.item(run, 7).await;
    assert_eq!((item.state, item.auth0_user_id), (ItemState::Conflict, Some(id(7))));
    assert!(item.field.is_some_and(|said| said.contains("code") || said.contains("SQLSTATE APP01")));
}

/// One of the rows is somebody else's, so none gets the id.
pub async fn a_key_that_two_rows_share_is_written_to_neither(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running_over_people(5, 5).await;
    world.double_person("2").await;
    world.double_person("4").await;
    world.set_auth0_user_id("4", "auth0|moved-earlier").await;
    let lease = scene.take_one(JobKind::Provision).await;
    let results = scene.results(&lease, created).await;
    let written = scene.ledger.write_back(&lease, &results, 5).await.unwrap();
    let expected = [refused(2, Code::AppKeyShared), refused(4, Code::AppKeyShared)];
    assert_eq!(reasons(&written.refused_rows), expected);
    assert_eq!(world.people_with_ids().await, 3 + 2, "the two of person 4 are as they were");
    let view = scene.view(run).await;
    assert_eq!((view.tally.created, view.tally.conflict), (3, 2));
}

/// Afterwards, each row is known by what it carries of its user's id.
pub async fn each_row_says_what_became_of_its_id(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running_over_people(6, 6).await;
    let lease = scene.take_one(JobKind::Provision).await;
    scene.provision(&lease, created).await;
    world.set_auth0_user_id("1", " ").await;
    world.set_auth0_user_id("2", "auth0|another").await;
    world.remove_person("3").await;
    world.double_person("4").await;
    let users: Vec<_> =
        (1..=7).map(|seq: i64| (SourceKey(seq.to_string()), id(if seq == 6 { 60 } else { seq }))).collect();
    let found = scene.ledger.row_ids(&world.write_back_target(), &users).await.unwrap();
    use RowId::{Another, Carried, Lacking, NoRow, Several};
    assert_eq!(found, [Lacking, Another, NoRow, Several, Carried, Another, NoRow]);
    let none = scene.ledger.row_ids(&world.write_back_target(), &[]).await.unwrap();
    assert_eq!(none, []);
    let table = WriteBackTarget { id_column: "nosuch".into(), ..world.write_back_target() };
    let refused = scene.ledger.row_ids(&table, &users).await;
    assert!(matches!(refused, Err(LedgerError::WriteBackTarget(_))), "{refused:?}");
}

/// A column of the application's own says "none" by an empty text.
pub async fn a_blank_is_written_over_like_no_id(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running_over_people(3, 3).await;
    world.set_auth0_user_id("1", "").await;
    world.set_auth0_user_id("2", "").await;
    let lease = scene.take_one(JobKind::Provision).await;
    scene.provision(&lease, created).await;
    for seq in 1..=3 {
        assert_eq!(world.auth0_user_id(&seq.to_string()).await, Some(id(seq).0), "person {seq}");
    }
}

/// Preparing again changes nothing.
pub async fn the_application_is_prepared_once(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    world.create_people(2).await;
    let target = world.write_back_target();
    let before = scene.ledger.check_application(&target).await;
    assert!(matches!(before, Err(LedgerError::WriteBackTarget(_))), "{before:?}");
    assert!(scene.ledger.prepare_application(&target).await.unwrap());
    assert!(!scene.ledger.prepare_application(&target).await.unwrap(), "nothing was missing");
    scene.ledger.check_application(&target).await.unwrap();
    assert_eq!(world.auth0_user_id("1").await, None, "the column is empty");
}

/// Names that are not there are said before anything is sent.
pub async fn a_table_without_the_columns_is_refused(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    world.create_people(1).await;
    let good = world.write_back_target();
    scene.ledger.prepare_application(&good).await.unwrap();
    let mut no_table = good.clone();
    no_table.table = "persons".into();
    let mut no_key = good.clone();
    no_key.key_column = "number".into();
    for (target, name) in [(no_table, "persons"), (no_key, "number")] {
        for answer in [
            scene.ledger.check_application(&target).await,
            scene.ledger.prepare_application(&target).await.map(drop),
        ] {
            match answer {
                Err(LedgerError::WriteBackTarget(text)) => assert!(text.contains(name), "{text}"),
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}

/// The answer to the first telling was lost, and the application changed its row meanwhile: no
/// warning about a user that is there, and the application's word stays.
pub async fn a_result_told_twice_leaves_the_applications_row_alone(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running_over_people(3, 3).await;
    let lease = scene.take_one(JobKind::Provision).await;
    let results = scene.results(&lease, created).await;
    scene.ledger.write_back(&lease, &results[..2], 2).await.unwrap();
    world.set_auth0_user_id("1", "auth0|by-the-application").await;
    world.remove_person("2").await;
    let written = scene.ledger.write_back(&lease, &results[..2], 2).await.unwrap();
    assert_eq!((written.pending, written.refused_rows), (1, vec![]));
    assert_eq!(world.auth0_user_id("1").await.as_deref(), Some("auth0|by-the-application"));
    let view = scene.view(run).await;
    assert_eq!((view.tally.created, view.tally.conflict, view.tally.pending), (2, 0, 1));
}

/// A lease is for its own batch: neither the item nor the application's row takes the result.
pub async fn a_result_for_a_user_of_another_batch_is_not_taken(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running_over_people(4, 2).await;
    let leases = scene.take_all().await;
    let theirs = scene.results(&leases[1], created).await;
    let written = scene.ledger.write_back(&leases[0], &theirs, 2).await.unwrap();
    assert_eq!((written.pending, written.refused_rows), (2, vec![]));
    for key in ["3", "4"] {
        assert_eq!(world.auth0_user_id(key).await, None);
    }
    assert_eq!(scene.view(run).await.tally, Tally { source: 4, pending: 4, ..Tally::default() });
}

/// An address that changes while a run waits: the account has the old one, which may be another
/// person's mailbox by now. The account stays on record, to be removed.
pub async fn a_row_with_another_address_than_planned_gets_no_id(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    world.create_people(3).await;
    let target = WriteBackTarget { email_column: Some("email".into()), ..world.write_back_target() };
    scene.ledger.prepare_application(&target).await.unwrap();
    let mut run = scene.new_run("people");
    run.spec.write_back = Some(target);
    let run = scene.plan(run, 3, 3).await;
    scene.ledger.start(run, &ANN).await.unwrap();
    world.set_email("2", "new-2@example.com").await;
    world.set_email("3", " Person-3@Example.com ").await;

    let lease = scene.take_one(JobKind::Provision).await;
    scene.provision(&lease, created).await;
    assert_eq!(world.auth0_user_id("1").await, Some(id(1).0));
    assert_eq!(world.auth0_user_id("2").await, None, "it belongs to the old address");
    assert_eq!(world.auth0_user_id("3").await, Some(id(3).0), "the same, otherwise written");
    let changed = scene.item(run, 2).await;
    assert_eq!((changed.state, changed.code), (ItemState::Conflict, Some(Code::AppRowChanged)));
    assert_eq!((changed.field.as_deref(), changed.auth0_user_id), (Some("email"), Some(id(2))));
}
