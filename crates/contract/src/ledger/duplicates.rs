//! Cases of rows that carry the same key or address: nobody gets another's account.

use super::{
    LedgerWorld,
    scene::{Scene, created, id, user},
};
use ferry_domain::{
    code::Code,
    ids::RunId,
    item::{ItemState, NewItem, Outcome},
    ports::UserFilter,
    tally::Tally,
};

/// What became of an item: its state, code, field and which other record that speaks of.
type Told = (i64, ItemState, Option<Code>, Option<String>, Option<String>);

async fn plan(scene: &Scene<'_>, chunks: &[&[NewItem]]) -> (RunId, Tally, i64) {
    let new = scene.new_run("a.csv");
    scene.ledger.open_run(&new).await.unwrap();
    for chunk in chunks {
        scene.ledger.add_items(new.id, chunk).await.unwrap();
    }
    let planned = scene.ledger.finish_planning(new.id, &[]).await.unwrap();
    (new.id, planned.tally, planned.batches)
}

async fn told(scene: &Scene<'_>, run: RunId) -> Vec<Told> {
    let items = scene.items(run).await;
    items.into_iter().map(|item| (item.seq.0, item.state, item.code, item.field, item.other)).collect()
}

fn sent(seq: i64) -> Told {
    (seq, ItemState::Pending, None, None, None)
}

fn same_key(seq: i64, other: &str) -> Told {
    (seq, ItemState::Failed, Some(Code::DuplicateKey), Some("key".into()), Some(other.into()))
}

fn same_address(seq: i64, winner: &str) -> Told {
    (seq, ItemState::Failed, Some(Code::DuplicateEmail), Some("email".into()), Some(winner.into()))
}

fn blocked(item: NewItem) -> NewItem {
    let record = item.record.map(|record| ferry_domain::UserRecord { blocked: true, ..record });
    NewItem { record, ..item }
}

/// Source order decides, whatever the order in which rows were written.
pub async fn the_first_of_equal_addresses_wins(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let (one, two, three) = (scene.batch(), scene.batch(), scene.batch());
    let later = [user(4, two, "k4", "other@example.com"), user(5, two, "k5", "Ann@Example.com")];
    let earlier = [user(2, one, "k2", "ann@example.com")];
    let doubles_only = [user(6, three, "k6", " ANN@example.com")];
    let (run, tally, batches) = plan(&scene, &[&later, &earlier, &doubles_only]).await;

    assert_eq!(tally, Tally { source: 4, pending: 2, failed: 2, ..Tally::default() });
    assert_eq!(batches, 2, "a batch of duplicates only is none");
    let first = "people.csv:3";
    let expected = [sent(2), sent(4), same_address(5, first), same_address(6, first)];
    assert_eq!(told(&scene, run).await, expected);
    assert_eq!(scene.view(run).await.open_batches, 2);
}

/// Of two rows with one key nobody can say whose account it would be.
pub async fn rows_that_share_a_key_are_all_refused(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let batch = scene.batch();
    let items = [
        user(1, batch, "k", "a@example.com"),
        user(2, batch, "l", "l@example.com"),
        user(3, batch, "k", "c@example.com"),
        user(4, batch, "k", "d@example.com"),
    ];
    let (run, tally, _) = plan(&scene, &[&items]).await;
    assert_eq!(tally, Tally { source: 4, pending: 1, failed: 3, ..Tally::default() });
    let first = "people.csv:2";
    let expected = [same_key(1, "people.csv:4"), sent(2), same_key(3, first), same_key(4, first)];
    assert_eq!(told(&scene, run).await, expected);
}

/// Keys go first: a row refused for its key leaves its address to the next.
pub async fn a_row_settled_for_its_key_does_not_take_an_address(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let batch = scene.batch();
    let items = [
        user(1, batch, "k", "a@example.com"),
        user(2, batch, "k", "b@example.com"),
        user(3, batch, "l", "b@example.com"),
    ];
    let (run, ..) = plan(&scene, &[&items]).await;
    assert_eq!(scene.item(run, 2).await.code, Some(Code::DuplicateKey));
    assert_eq!(scene.item(run, 3).await.state, ItemState::Pending);
}

/// A person who left and signed up again is not locked out by the closed account.
pub async fn a_row_that_may_sign_in_goes_before_its_blocked_twins(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let batch = scene.batch();
    let items = [
        blocked(user(1, batch, "1", "ann@example.com")),
        user(2, batch, "2", "ann@example.com"),
        user(3, batch, "3", "bob@example.com"),
        blocked(user(4, batch, "4", "bob@example.com")),
        blocked(user(5, batch, "5", "cyd@example.com")),
        blocked(user(6, batch, "6", "cyd@example.com")),
    ];
    let (run, ..) = plan(&scene, &[&items]).await;
    let expected = [
        same_address(1, "people.csv:3"),
        sent(2),
        sent(3),
        same_address(4, "people.csv:4"),
        sent(5),
        same_address(6, "people.csv:6"),
    ];
    assert_eq!(told(&scene, run).await, expected);
}

/// On a second run too, and although the row that was moved comes later.
pub async fn an_address_stays_with_the_row_that_was_moved(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let new = scene.new_run("a.csv");
    let moved = |seq: i64| NewItem {
        settled: Some(Outcome::skipped(Code::AlreadyMigrated, Some(id(seq)))),
        batch: new.settled_batch,
        ..user(seq, scene.batch(), &seq.to_string(), "ann@example.com")
    };
    scene.ledger.open_run(&new).await.unwrap();
    let items = [user(1, scene.batch(), "1", "Ann@example.com"), blocked(moved(2)), moved(3)];
    scene.ledger.add_items(new.id, &items).await.unwrap();
    let planned = scene.ledger.finish_planning(new.id, &[]).await.unwrap();
    assert_eq!(planned.tally, Tally { source: 3, failed: 1, skipped: 2, ..Tally::default() });
    let told = told(&scene, new.id).await;
    assert_eq!(told[0], same_address(1, "people.csv:4"));
    assert!(told[1..].iter().all(|item| item.2 == Some(Code::AlreadyMigrated)), "{told:?}");
}

/// Which account it was is told with the conflict, and forgotten when the user is tried again.
pub async fn a_conflict_names_the_other_user_until_it_is_settled(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 1, 1).await;
    let conflict = Outcome::conflict(Code::AccountOfAnotherUser).at_field("email").because_of("104");
    scene.finish(|_| conflict.clone()).await;
    assert_eq!(scene.item(run, 1).await.other.as_deref(), Some("104"));
    scene.ledger.retry(run, &UserFilter::default(), &scene.batches(1), &super::scene::ANN).await.unwrap();
    assert_eq!(scene.item(run, 1).await.other.as_deref(), Some("104"), "a worker may not adopt that account");
    scene.finish(created).await;
    assert_eq!(scene.item(run, 1).await.other, None);
    assert_eq!(scene.view(run).await.tally.created, 1);
}
