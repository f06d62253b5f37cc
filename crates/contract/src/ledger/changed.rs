//! Cases of users whose rows have an id already and who are not as an earlier run moved them.

use super::{
    LedgerWorld,
    scene::{ANN, Scene, created, id, settled, user},
};
use ferry_domain::{
    Verdict,
    code::Code,
    ids::{Auth0UserId, ItemSeq, RunId, SourceKey},
    item::{ItemState, NewItem, Outcome},
    job::JobKind,
    migration::people::{self, Overlap},
    ports::{Addressed, NewRun, SettledGroup, UserFilter},
    record::UserRecord,
    tally::Tally,
};

const PEOPLE: &str = "people.csv";

/// The row of a person who has an id by now, with today's record.
fn moved(run: &NewRun, seq: i64, account: Auth0UserId, change: impl Fn(&mut UserRecord)) -> NewItem {
    let mut item = user(seq, run.settled_batch, &seq.to_string(), &format!("person-{seq}@example.com"));
    let mut record = item.record.take().unwrap();
    change(&mut record);
    NewItem {
        digest: record.digest(),
        record: Some(record),
        settled: Some(Outcome::skipped(Code::AlreadyMigrated, Some(account))),
        ..item
    }
}

/// The same row where a rule refuses its record now.
fn refused(run: &NewRun, seq: i64, field: &str) -> NewItem {
    let outcome = Outcome::skipped(Code::AlreadyMigrated, Some(id(seq))).at_field(field);
    let item = moved(run, seq, id(seq), |_| ());
    NewItem { record: None, digest: String::new(), settled: Some(outcome), ..item }
}

async fn planned(scene: &Scene<'_>, rows: impl Fn(&NewRun) -> Vec<NewItem>) -> (RunId, Vec<SettledGroup>) {
    let run = scene.new_run(PEOPLE);
    scene.ledger.open_run(&run).await.unwrap();
    scene.ledger.add_items(run.id, &rows(&run)).await.unwrap();
    let planned = scene.ledger.finish_planning(run.id, &earlier(scene, &run).await).await.unwrap();
    (run.id, planned.settled)
}

async fn earlier(scene: &Scene<'_>, run: &NewRun) -> Vec<RunId> {
    people::Planned::of(run).earlier(&scene.ledger.runs(10).await.unwrap(), &[])
}

/// Plans, starts and ends a run in which nobody is sent; says what became of each row.
async fn ended(scene: &Scene<'_>, rows: impl Fn(&NewRun) -> Vec<NewItem>) -> Vec<(ItemState, String)> {
    let (run, _) = planned(scene, rows).await;
    scene.ledger.start(run, &ANN).await.unwrap();
    scene.ledger.seal_finished().await.unwrap();
    scene.finish(created).await;
    let items = scene.items(run).await;
    let why = |code: Option<Code>, field: Option<String>| {
        [code.map(|code| code.to_string()), field].into_iter().flatten().collect::<Vec<_>>().join(" ")
    };
    items.into_iter().map(|item| (item.state, why(item.code, item.field))).collect()
}

fn blocked(record: &mut UserRecord) {
    record.blocked = true;
}

/// A migration's name is compared with the people whom a run of another name moved.
pub async fn users_are_compared_with_those_of_an_earlier_run(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let earlier = scene.running(PEOPLE, 6, 10).await;
    scene.finish(created).await;
    let run = scene.new_run("another.csv");
    scene.ledger.open_run(&run).await.unwrap();
    let batch = run.settled_batch;
    let mut rows: Vec<NewItem> = [(1, "1", "person-1@example.com"), (2, "2", "other@example.com")]
        .into_iter()
        .chain([(3, "30", "person-3@example.com"), (4, "6", "person-6@example.com")])
        .map(|(seq, key, email)| user(seq, batch, key, email))
        .collect();
    rows.push(moved(&run, 5, id(5), |_| ()));
    scene.ledger.add_items(run.id, &rows).await.unwrap();
    let of = |item: &NewItem| Addressed {
        key: item.key.clone(),
        email: item.record.as_ref().unwrap().email.clone(),
    };
    let users: Vec<Addressed> = rows[..4].iter().map(of).collect();
    let overlap = scene.ledger.moved_of(earlier, &users).await.unwrap();
    assert_eq!(overlap, Overlap { looked_at: 4, keys: 3, same: 2 });
    let moved = scene.ledger.moved_keys(earlier, ItemSeq(2), 3).await.unwrap();
    let moved: Vec<_> = moved.iter().map(|(seq, key)| (seq.0, key.0.as_str())).collect();
    assert_eq!(moved, [(3, "3"), (4, "4"), (5, "5")]);
    assert_eq!(scene.ledger.moved_keys(run.id, ItemSeq(0), 10).await.unwrap().len(), 1, "with an id");
    let nobody = scene.ledger.moved_of(run.id, &users).await.unwrap();
    assert_eq!(nobody, Overlap { looked_at: 4, keys: 0, same: 0 }, "who is only planned was not moved");
}

/// Nobody is made a second account, or offered another's; and who is left out as disabled is not
/// forgotten.
pub async fn users_keep_the_accounts_that_earlier_runs_gave_them(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let first = scene.running(PEOPLE, 6, 10).await;
    scene.finish(created).await;
    let run = scene.new_run(PEOPLE);
    scene.ledger.open_run(&run).await.unwrap();
    let batch = scene.batch();
    let to_send = |seq, key: &str, email: &str| user(seq, batch, key, email);
    let disabled = |seq, key: &str| NewItem {
        key: SourceKey(key.into()),
        ..settled(seq, run.settled_batch, Outcome::skipped(Code::Disabled, None))
    };
    let rows = [
        to_send(1, "1", "person-1@example.com"),
        to_send(2, "2", "new@example.com"),
        to_send(3, "9", "person-3@example.com"),
        to_send(4, "10", "person-10@example.com"),
        disabled(5, "4"),
        disabled(6, "40"),
    ];
    scene.ledger.add_items(run.id, &rows).await.unwrap();
    let planned = scene.ledger.finish_planning(run.id, &earlier(&scene, &run).await).await.unwrap();
    assert_eq!((planned.tally.pending, planned.tally.conflict, planned.tally.skipped), (4, 1, 1));
    let known = async |seq| {
        let item = scene.item(run.id, seq).await;
        (item.auth0_user_id, item.other)
    };
    assert_eq!(known(1).await, (Some(id(1)), None));
    assert_eq!(known(2).await, (Some(id(2)), None), "whatever the address is now");
    assert_eq!(known(3).await, (None, Some("3".into())), "whose account it is");
    assert_eq!(known(4).await, (None, None));
    let left_out = scene.item(run.id, 5).await;
    assert_eq!((left_out.state, left_out.field.as_deref()), (ItemState::Conflict, Some("blocked")));
    assert_eq!(left_out.auth0_user_id, Some(id(4)));
    assert_eq!(scene.item(run.id, 6).await.code, Some(Code::Disabled), "nobody moved this one");

    // What a worker found is kept: the account where nothing is known of another, and that it is gone.
    scene.ledger.start(run.id, &ANN).await.unwrap();
    scene.finish(|_| Outcome::conflict(Code::ChangedSinceMoved).at_field("email")).await;
    assert_eq!(known(2).await, (Some(id(2)), None));
    let again = scene.new_run("again.csv");
    scene.ledger.open_run(&again).await.unwrap();
    let rows =
        [user(1, scene.batch(), "2", "new@example.com"), user(2, scene.batch(), "7", "new@example.com")];
    scene.ledger.add_items(again.id, &rows).await.unwrap();
    scene.ledger.finish_planning(again.id, &[run.id]).await.unwrap();
    let known_again = scene.item(again.id, 1).await.auth0_user_id;
    assert_eq!(known_again, Some(id(2)), "one run hands it on to the next");
    scene.ledger.retry(run.id, &UserFilter::default(), &scene.batches(1), &ANN).await.unwrap();
    assert_eq!(known(5).await.0, Some(id(4)), "a retry takes this one up too");
    assert_eq!(scene.view(run.id).await.tally.pending, 5);
    scene.finish(|_| Outcome::conflict(Code::MissingAtTarget)).await;

    // An account that was found to be gone is known no more: whoever wants it so has a new one made.
    let next = scene.new_run(PEOPLE);
    scene.ledger.open_run(&next).await.unwrap();
    scene.ledger.add_items(next.id, &[user(1, scene.batch(), "2", "new@example.com")]).await.unwrap();
    scene.ledger.finish_planning(next.id, &[run.id, first]).await.unwrap();
    assert_eq!(scene.item(next.id, 1).await.auth0_user_id, None);
}

/// "Nothing to do" would be wrong: the account at Auth0 is not as the source has it.
pub async fn a_moved_user_who_changed_is_a_conflict_with_the_fields(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running(PEOPLE, 6, 10).await;
    scene.finish(created).await;
    scene.running("another.csv", 7, 10).await;
    scene.finish(created).await;
    let (run, settled) = planned(&scene, |run| {
        vec![
            moved(run, 1, id(1), |_| ()),
            moved(run, 2, id(2), blocked),
            moved(run, 3, id(3), |record| {
                record.name = Some("Ann".into());
                drop(record.app_metadata.insert("role".into(), "nurse".into()));
            }),
            // Somebody gave this row another account, perhaps another person's.
            moved(run, 4, id(3), |_| ()),
            refused(run, 5, "active"),
            // Moved as the same migration from another place.
            moved(run, 7, id(7), blocked),
            // Moved by no run that is known.
            moved(run, 8, id(8), blocked),
        ]
    })
    .await;
    let group = |state, code, count| SettledGroup { state, code, count };
    let expected = [
        group(ItemState::Skipped, Code::AlreadyMigrated, 2),
        group(ItemState::Conflict, Code::ChangedSinceMoved, 5),
    ];
    assert_eq!(settled, expected);
    let view = scene.view(run).await;
    assert_eq!(view.tally, Tally { source: 7, skipped: 2, conflict: 5, ..Tally::default() });
    assert_eq!(scene.item(run, 4).await.field.as_deref(), Some("auth0_user_id"));
    let fields = [(2, "blocked"), (3, "name, app_metadata.role"), (5, "active"), (7, "blocked")];
    for (seq, fields) in fields {
        let item = scene.item(run, seq).await;
        assert_eq!((item.field.as_deref(), item.auth0_user_id), (Some(fields), Some(id(seq))));
    }
}

/// Until somebody acts each run says it again, against the record that was moved.
pub async fn a_change_is_told_by_each_run_until_it_is_settled(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running(PEOPLE, 3, 10).await;
    scene.finish(created).await;
    let today = |run: &NewRun| {
        vec![moved(run, 1, id(1), blocked), moved(run, 2, id(2), |_| ()), refused(run, 3, "email")]
    };
    let told = [
        (ItemState::Conflict, "CHANGED_SINCE_MOVED blocked".to_owned()),
        (ItemState::Skipped, "ALREADY_MIGRATED".to_owned()),
        (ItemState::Conflict, "CHANGED_SINCE_MOVED email".to_owned()),
    ];
    assert_eq!(ended(&scene, today).await, told);
    assert_eq!(ended(&scene, today).await, told);
    // Changed back.
    let back = |run: &NewRun| vec![moved(run, 1, id(1), |_| ()), moved(run, 2, id(2), blocked)];
    let told = ended(&scene, back).await;
    assert_eq!(told[0], (ItemState::Skipped, "ALREADY_MIGRATED".to_owned()));
    assert_eq!(told[1], (ItemState::Conflict, "CHANGED_SINCE_MOVED blocked".to_owned()));
}

/// A retry asks for the account that the row names, never for one of another id; what it found
/// to agree is what later runs compare with.
pub async fn a_retry_of_a_changed_user_knows_the_account(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running(PEOPLE, 2, 10).await;
    scene.finish(created).await;
    let today = |run: &NewRun| vec![moved(run, 1, id(1), blocked), refused(run, 2, "active")];
    let (run, _) = planned(&scene, today).await;
    scene.ledger.start(run, &ANN).await.unwrap();
    scene.ledger.seal_finished().await.unwrap();
    scene.finish(created).await;

    let retried = scene.ledger.retry(run, &UserFilter::default(), &scene.batches(1), &ANN).await.unwrap();
    assert_eq!((retried.items, retried.left), (1, 1), "who has no valid record is not sent");
    let lease = scene.take_one(JobKind::Provision).await;
    let items = scene.ledger.pending_items(&lease).await.unwrap();
    assert_eq!(items[0].auth0_user_id, Some(id(1)));
    // It was ill, and was given up; the account stays known.
    let code = Code::ServerError;
    scene.ledger.conclude(&lease, &Verdict::Discard { code }, None).await.unwrap();
    scene.finish(created).await;
    assert_eq!(scene.item(run, 1).await.code, Some(code));
    scene.ledger.retry(run, &UserFilter::default(), &scene.batches(1), &ANN).await.unwrap();
    assert_eq!(scene.item(run, 1).await.auth0_user_id, Some(id(1)));
    scene.finish(|seq| Outcome::skipped(Code::AlreadyMigrated, Some(id(seq)))).await;
    let again = ended(&scene, today).await;
    assert_eq!(again[0], (ItemState::Skipped, "ALREADY_MIGRATED".to_owned()));
    assert_eq!(again[1].0, ItemState::Conflict);
}

/// A plan is made in a ledger of its own, which is told by the other who was moved how.
pub async fn a_plan_is_told_who_changed_by_the_ledger_that_moved_them(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let first = scene.running("elsewhere.csv", 4, 10).await;
    scene.finish(created).await;
    let plan = scene.new_run(PEOPLE);
    scene.ledger.open_run(&plan).await.unwrap();
    let rows = [
        moved(&plan, 1, id(1), |_| ()),
        moved(&plan, 2, id(2), blocked),
        refused(&plan, 3, "active"),
        moved(&plan, 4, id(44), |_| ()),
        moved(&plan, 5, id(5), |_| ()),
        user(6, scene.batch(), "6", "person-2@example.com"),
        user(7, scene.batch(), "7", "person-7@example.com"),
        user(8, scene.batch(), "8", "person-8@example.com"),
    ];
    scene.ledger.add_items(plan.id, &rows).await.unwrap();
    let users = scene.ledger.moved_users(plan.id, ItemSeq(0), 3).await.unwrap();
    assert_eq!(users.iter().map(|user| user.seq.0).collect::<Vec<_>>(), [1, 2, 3]);
    let users = scene.ledger.moved_users(plan.id, ItemSeq(1), 10).await.unwrap();
    let found = scene.ledger.moved_otherwise(first, &users).await.unwrap();
    let told = |at: usize| (found[at].seq.0, found[at].then.as_ref().map(|then| then.record.key.0.clone()));
    assert_eq!(found.len(), 4);
    assert_eq!([told(0), told(1)], [(2, Some("2".into())), (3, Some("3".into()))]);
    assert_eq!([told(2), told(3)], [(4, Some("4".into())), (5, None)], "another account; not moved at all");

    let then = found.into_iter().filter_map(|user| Some((user.seq, user.then?))).collect::<Vec<_>>();
    scene.ledger.settle_changed(plan.id, &then).await.unwrap();
    let planned = scene.ledger.finish_planning(plan.id, &[]).await.unwrap();
    let sent = async |after, most| {
        let items = scene.ledger.to_send(plan.id, ItemSeq(after), most).await.unwrap();
        items.into_iter().map(|item| (item.seq.0, item.record.key.0)).collect::<Vec<_>>()
    };
    assert_eq!(sent(0, 10).await, [(7, "7".to_owned()), (8, "8".to_owned())]);
    assert_eq!((sent(0, 1).await, sent(8, 1).await), (vec![(7, "7".to_owned())], vec![]));
    let group = |state, code, count| SettledGroup { state, code, count };
    let expected = [
        group(ItemState::Skipped, Code::AlreadyMigrated, 2),
        group(ItemState::Conflict, Code::ChangedSinceMoved, 3),
        // The address stays with the row that was moved, whatever else changed there.
        group(ItemState::Failed, Code::DuplicateEmail, 1),
    ];
    assert_eq!(planned.settled, expected);
    assert_eq!(scene.item(plan.id, 2).await.field.as_deref(), Some("blocked"));
    assert!(scene.ledger.settle_changed(plan.id, &then).await.is_err(), "it is planned");
}
