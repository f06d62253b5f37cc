//! Cases of users and batches that a person chooses by a filter: listed, counted, and tried again.

use super::{
    LedgerWorld,
    scene::{ANN, Scene, created, pending, settled},
};
use ferry_domain::{
    code::Code,
    ids::{BatchId, ItemSeq, RunId, SourceKey},
    item::{ItemState, NewItem, Outcome},
    job::{JobKind, JobState},
    ports::{BatchFilter, BatchIds, Lines, Property, Retried, Retryable, UserFilter},
    run::BatchState,
    tally::Tally,
};
use serde_json::json;

/// Twelve users in three batches, of two hospitals, from two files; the last has no record.
struct Chosen {
    run: RunId,
    batches: Vec<BatchId>,
}

impl Chosen {
    async fn planned(scene: &Scene<'_>) -> Chosen {
        let new = scene.new_run("people");
        scene.ledger.open_run(&new).await.unwrap();
        let batches = scene.batches(3);
        let mut items: Vec<NewItem> =
            (1..=11).map(|seq| patient(seq, batches[usize::try_from(seq - 1).unwrap() / 4])).collect();
        items.push(settled(12, new.settled_batch, Outcome::failed(Code::EmailMissing)));
        scene.ledger.add_items(new.id, &items).await.unwrap();
        Chosen { run: new.id, batches }
    }

    async fn ended(scene: &Scene<'_>) -> Chosen {
        let chosen = Chosen::planned(scene).await;
        scene.ledger.finish_planning(chosen.run, &[]).await.unwrap();
        scene.ledger.start(chosen.run, &ANN).await.unwrap();
        let decide = |seq| match seq {
            1 | 2 | 5 | 6 => Outcome::failed(Code::ServerError),
            7 => Outcome::conflict(Code::Ghost),
            8 => Outcome::skipped(Code::ExistsByPolicy, None),
            _ => created(seq),
        };
        scene.finish(decide).await;
        chosen
    }
}

/// Even ones are of H-12, odd ones of H-7; the first six are of another file.
fn patient(seq: i64, batch: BatchId) -> NewItem {
    let mut item = pending(seq, batch);
    let known = &mut item.record.as_mut().unwrap().app_metadata;
    known.insert("hospital".into(), json!(if seq % 2 == 0 { "H-12" } else { "H-7" }));
    known.insert("bed".into(), json!(seq));
    known.insert("chief".into(), json!(seq == 1));
    known.insert("a \"name\"".into(), json!("$.x"));
    if seq <= 6 {
        item.origin.place = "first.csv".into();
    }
    item
}

async fn seqs(scene: &Scene<'_>, run: RunId, filter: &UserFilter) -> Vec<i64> {
    let users = scene.ledger.list_users(run, filter, ItemSeq(0), 100).await.unwrap();
    let seqs: Vec<i64> = users.iter().map(|user| user.item.seq.0).collect();
    assert_eq!(scene.ledger.count_users(run, filter).await.unwrap(), seqs.len() as i64, "{filter:?}");
    seqs
}

fn of(name: &str, values: &[&str]) -> UserFilter {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    UserFilter { properties: vec![Property { name: name.to_owned(), values }], ..UserFilter::default() }
}

/// Each term by itself, all together, and the whole run without any.
pub async fn users_are_chosen_by_all_that_a_filter_says(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let Chosen { run, batches } = Chosen::ended(&scene).await;
    let other = scene.running("b.csv", 2, 2).await;
    let all = UserFilter::default();
    assert_eq!(seqs(&scene, run, &all).await, (1..=12).collect::<Vec<_>>());
    assert_eq!(seqs(&scene, other, &all).await, [1, 2]);
    let states = |states: &[ItemState]| UserFilter { states: states.to_vec(), ..UserFilter::default() };
    assert_eq!(seqs(&scene, run, &states(&[ItemState::Failed])).await, [1, 2, 5, 6, 12]);
    assert_eq!(
        seqs(&scene, run, &states(&[ItemState::Conflict, ItemState::Created])).await,
        [3, 4, 7, 9, 10, 11]
    );
    assert_eq!(seqs(&scene, run, &states(&[ItemState::Pending])).await, [0; 0]);
    assert_eq!(
        seqs(&scene, run, &UserFilter::with_codes(&[Code::Ghost, Code::ExistsByPolicy])).await,
        [7, 8]
    );
    let keys = ["3", "10", "no such"].map(|key| SourceKey(key.into())).to_vec();
    assert_eq!(seqs(&scene, run, &UserFilter { keys, ..all.clone() }).await, [3, 10]);
    let places = vec!["first.csv".to_owned()];
    assert_eq!(seqs(&scene, run, &UserFilter { places, ..all.clone() }).await, [1, 2, 3, 4, 5, 6]);
    let lines = Lines { first: 4, last: 6 }; // a header is the first
    assert_eq!(seqs(&scene, run, &UserFilter { lines, ..all.clone() }).await, [3, 4, 5]);
    let batches = BatchIds { first: batches[1], last: batches[1] };
    assert_eq!(seqs(&scene, run, &UserFilter { batches, ..all.clone() }).await, [5, 6, 7, 8]);
    let together = UserFilter {
        lines,
        batches,
        ..UserFilter { codes: vec![Code::ServerError], ..of("hospital", &["H-7"]) }
    };
    assert_eq!(seqs(&scene, run, &together).await, [5]);
}

/// Texts, numbers and yes or no; a value is a value, whatever a database makes of such a text.
pub async fn users_are_chosen_by_what_the_application_knows(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let Chosen { run, .. } = Chosen::ended(&scene).await;
    assert_eq!(scene.ledger.properties(run).await.unwrap(), ["a \"name\"", "bed", "chief", "hospital"]);
    assert_eq!(seqs(&scene, run, &of("hospital", &["H-12"])).await, [2, 4, 6, 8, 10]);
    assert_eq!(seqs(&scene, run, &of("hospital", &["H-12", "H-7"])).await, (1..=11).collect::<Vec<_>>());
    assert_eq!(seqs(&scene, run, &of("bed", &["3", "11"])).await, [3, 11]);
    assert_eq!(seqs(&scene, run, &of("chief", &["true"])).await, [1]);
    assert_eq!(seqs(&scene, run, &of("a \"name\"", &["$.x"])).await.len(), 11);
    for (name, value) in
        [("hospital", "H-1' OR '1'='1"), ("$.hospital", "H-12"), ("ward", "H-12"), ("email", "x")]
    {
        assert_eq!(seqs(&scene, run, &of(name, &[value])).await, [0; 0], "{name}");
    }
    let mut both = of("hospital", &["H-12"]);
    both.properties.extend(of("bed", &["4", "5"]).properties);
    assert_eq!(seqs(&scene, run, &both).await, [4]);
}

/// A page begins after the last of the page before, and says in which batch each user is.
pub async fn chosen_users_come_in_pages(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let Chosen { run, batches } = Chosen::planned(&scene).await;
    let pending = UserFilter { states: vec![ItemState::Pending], ..UserFilter::default() };
    assert_eq!(seqs(&scene, run, &pending).await.len(), 11, "also while the run is planned");
    let page =
        async |after, most| scene.ledger.list_users(run, &pending, ItemSeq(after), most).await.unwrap();
    let (first, second, last) = (page(0, 5).await, page(5, 5).await, page(10, 5).await);
    assert_eq!([first.len(), second.len(), last.len()], [5, 5, 1]);
    assert_eq!((first[4].batch, second[0].item.seq.0), (batches[1], 6));
    assert_eq!(second[0].item.origin.to_string(), "first.csv:7");
    assert!(page(11, 5).await.is_empty());
}

/// A retry takes those whom the filter means, and nobody else.
pub async fn those_who_are_chosen_are_tried_again(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let Chosen { run, .. } = Chosen::ended(&scene).await;
    let even = UserFilter { states: vec![ItemState::Failed], ..of("hospital", &["H-12"]) };
    assert_eq!(scene.ledger.count_retryable(run, &even).await.unwrap(), Retryable { take: 2, left: 4 });
    let lines = UserFilter { lines: Lines { first: 1, last: 5 }, ..even };
    assert_eq!(scene.ledger.count_retryable(run, &lines).await.unwrap(), Retryable { take: 1, left: 5 });
    let retried = scene.ledger.retry(run, &lines, &scene.batches(1), &ANN).await.unwrap();
    assert_eq!(retried, Retried { items: 1, batches: 1, left: 5, round: 2 });
    scene.view(run).await;
    let lease = scene.take_one(JobKind::Provision).await;
    let items = scene.ledger.pending_items(&lease).await.unwrap();
    assert_eq!(items.iter().map(|item| item.seq.0).collect::<Vec<_>>(), [2]);
    let moved = UserFilter { states: vec![ItemState::Created], ..UserFilter::default() };
    assert_eq!(scene.ledger.count_retryable(run, &moved).await.unwrap(), Retryable { take: 0, left: 5 });
}

/// With their users in numbers, their jobs, and who holds those.
pub async fn batches_are_listed_with_their_jobs_and_holders(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 6, 2).await;
    let worker = scene.worker();
    let sends = scene.ledger.take_ready(2).await.unwrap();
    let lease = scene.take_as(&worker, &sends[0]).await;
    assert!(scene.ledger.give_up(sends[1].job, Code::CrashedWorker, worker.id).await.unwrap());

    let list = async |filter: &BatchFilter, after, most| {
        let found = scene.ledger.list_batches(run, filter, after, most).await.unwrap();
        found.into_iter().map(|batch| batch.ordinal).collect::<Vec<_>>()
    };
    let all = BatchFilter::default();
    assert_eq!(list(&all, -1, 9).await, [0, 1, 2, 3], "0 is for those whom a rule settled");
    assert_eq!((list(&all, -1, 2).await, list(&all, 1, 2).await), (vec![0, 1], vec![2, 3]));
    assert_eq!(scene.ledger.count_batches(run, &all).await.unwrap(), 4);
    let leased = BatchFilter { jobs: vec![JobState::Leased], ..all.clone() };
    let given_up = BatchFilter { codes: vec![Code::CrashedWorker], ..all.clone() };
    let both = BatchFilter { jobs: vec![JobState::Leased], ..given_up.clone() };
    let open = BatchFilter { states: vec![BatchState::Open], ..all };
    for (filter, found) in [(&leased, vec![1]), (&given_up, vec![2]), (&both, vec![]), (&open, vec![1, 3])] {
        assert_eq!(list(filter, -1, 9).await, found, "{filter:?}");
        assert_eq!(scene.ledger.count_batches(run, filter).await.unwrap(), found.len() as i64);
    }

    let id = lease.of.batch.unwrap();
    let found = scene.ledger.batches(BatchIds { first: id, last: id }, 9).await.unwrap().remove(0);
    assert_eq!((found.id, found.run, found.state, found.round), (id, run, BatchState::Open, 1));
    assert_eq!(found.tally, Tally { source: 2, pending: 2, ..Tally::default() });
    let [held] = &found.jobs[..] else { panic!("one job was expected: {:?}", found.jobs) };
    assert_eq!((held.job.kind, held.job.state), (JobKind::Provision, JobState::Leased));
    assert_eq!(held.holder.as_deref(), Some("host/1"));
    assert!(scene.ledger.batches(BatchIds::default(), 9).await.unwrap().len() >= 4);
}

/// Of the runs that are asked for and of no other, each for itself. One batch is for those whom a
/// rule settled.
pub async fn batches_of_each_run_are_counted_by_state(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let first = scene.running("a.csv", 6, 2).await;
    scene.provision(&scene.take_all().await[0], created).await;
    let second = scene.running("b.csv", 2, 2).await;
    let counted = async |runs: &[RunId]| {
        let found = scene.ledger.batch_counts(runs).await.unwrap();
        found.into_iter().map(|found| (found.run, found.state, found.batches)).collect::<Vec<_>>()
    };
    let of_first =
        [(BatchState::Open, 2), (BatchState::Provisioned, 1), (BatchState::Verified, 1)].map(of_run(first));
    let of_second = [(BatchState::Open, 1), (BatchState::Verified, 1)].map(of_run(second));
    assert_eq!(counted(&[first]).await, of_first);
    assert_eq!(counted(&[second]).await, of_second);
    let mut of_both = [&of_first[..], &of_second].concat();
    of_both.sort_by_key(|(run, ..)| *run);
    assert_eq!(counted(&[second, first]).await, of_both);
    assert_eq!(counted(&[]).await, []);

    let leases = scene.take_all().await;
    let verify = leases.iter().find(|lease| lease.of.kind == JobKind::Verify).unwrap();
    scene.verify(verify).await;
    assert_eq!(
        counted(&[first]).await,
        [(BatchState::Open, 2), (BatchState::Verified, 2)].map(of_run(first)),
        "none has no row"
    );
}

fn of_run(run: RunId) -> impl Fn((BatchState, i64)) -> (RunId, BatchState, i64) {
    move |(state, batches)| (run, state, batches)
}
