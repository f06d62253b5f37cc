//! Cases of what people look at.

use super::{
    LedgerWorld,
    scene::{Scene, created, id},
};
use ferry_domain::{
    code::Code,
    ids::{ItemSeq, SourceKey},
    item::{ItemState, Outcome},
    job::{JobKind, JobState},
    ports::{BatchVerification, Discrepancy, ItemFilter},
};

async fn mixed(scene: &Scene<'_>) -> ferry_domain::ids::RunId {
    let run = scene.running("a.csv", 12, 12).await;
    let lease = scene.take_one(JobKind::Provision).await;
    let decide = |seq| match seq {
        1..=5 => Outcome::failed(Code::ServerError),
        6 | 7 => Outcome::conflict(Code::Ghost),
        8 => Outcome::skipped(Code::ExistsByPolicy, None),
        _ => created(seq),
    };
    scene.provision(&lease, decide).await;
    run
}

/// Largest group first, with where to look.
pub async fn failures_are_grouped_with_examples(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = mixed(&scene).await;
    let groups = scene.ledger.failures(run).await.unwrap();
    let found: Vec<_> = groups.iter().map(|group| (group.state, group.code, group.count)).collect();
    let expected = [
        (ItemState::Failed, Code::ServerError, 5),
        (ItemState::Conflict, Code::Ghost, 2),
        (ItemState::Skipped, Code::ExistsByPolicy, 1),
    ];
    assert_eq!(found, expected);
    assert_eq!(groups.iter().map(|group| group.examples.len()).collect::<Vec<_>>(), [3, 2, 1]);
    let example = &groups[1].examples[0];
    assert_eq!((example.key.0.as_str(), example.origin.to_string().as_str()), ("6", "people.csv:7"));
}

/// Pages follow the source; filters add up.
pub async fn items_are_paged_and_filtered(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = mixed(&scene).await;
    let seqs = async |filter: &ItemFilter, after, most| {
        let page = scene.ledger.items(run, filter, ItemSeq(after), most).await.unwrap();
        page.iter().map(|item| item.seq.0).collect::<Vec<_>>()
    };
    let all = ItemFilter::default();
    assert_eq!(seqs(&all, 0, 5).await, [1, 2, 3, 4, 5]);
    assert_eq!(seqs(&all, 5, 5).await, [6, 7, 8, 9, 10]);
    assert_eq!(seqs(&all, 10, 5).await, [11, 12]);
    assert_eq!(seqs(&all, 12, 5).await, [0; 0]);
    let states = ItemFilter { states: vec![ItemState::Conflict, ItemState::Skipped], codes: vec![] };
    assert_eq!(seqs(&states, 6, 5).await, [7, 8]);
    let codes = ItemFilter { states: vec![], codes: vec![Code::ServerError, Code::ExistsByPolicy] };
    assert_eq!(seqs(&codes, 3, 9).await, [4, 5, 8]);
    let neither = ItemFilter { states: vec![ItemState::Conflict], codes: vec![Code::ServerError] };
    assert_eq!(seqs(&neither, 0, 9).await, [0; 0]);
}

/// The run one is looking for is mostly the last.
pub async fn runs_are_listed_newest_first(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let mut opened = Vec::new();
    for name in ["a.csv", "b.csv", "c.csv"] {
        opened.push(scene.planned(name, 2, 1).await);
        world.sleep(std::time::Duration::from_millis(5)).await; // stores count time in milliseconds at worst
    }
    opened.reverse();
    let runs = scene.ledger.runs(10).await.unwrap();
    assert_eq!(runs.iter().map(|run| run.id).collect::<Vec<_>>(), opened);
    assert!(runs.iter().all(|run| run.tally.pending == 2 && run.open_batches == 2));
    assert_eq!(scene.ledger.runs(2).await.unwrap().len(), 2);
}

/// Equally many of each: by code.
pub async fn failures_of_equal_number_are_in_order_of_their_codes(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 3, 3).await;
    let lease = scene.take_one(JobKind::Provision).await;
    let codes = [Code::ServerError, Code::UserRefused, Code::Ghost];
    scene.provision(&lease, |seq| Outcome::failed(codes[usize::try_from(seq).unwrap() - 1])).await;
    let groups = scene.ledger.failures(run).await.unwrap();
    let found: Vec<_> = groups.iter().map(|group| group.code).collect();
    assert_eq!(found, [Code::Ghost, Code::ServerError, Code::UserRefused]);
}

/// When the last user of the newest batch ended, which is when sending was done.
pub async fn a_run_says_when_its_newest_batch_ended(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 2, 1).await;
    assert_eq!(scene.view(run).await.provisioned_at, None);
    let mut last = None;
    for lease in scene.take_all().await {
        world.sleep(std::time::Duration::from_millis(5)).await; // stores count time in milliseconds at worst
        scene.provision(&lease, created).await;
        let now = scene.view(run).await.provisioned_at;
        assert!(now > last, "{now:?} after {last:?}");
        last = now;
    }
}

/// What a person asks about one user, in one run and not in another.
pub async fn a_user_is_found_by_its_key_with_all_that_is_known(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 3, 3).await;
    let key = |seq: i64| SourceKey(seq.to_string());
    let of = async |seq| scene.ledger.users(run, &key(seq)).await.unwrap();
    let before = &of(2).await[0];
    assert_eq!((before.item.seq, before.item.state), (ItemSeq(2), ItemState::Pending));
    assert_eq!(before.record.as_ref().map(|record| record.key.clone()), Some(key(2)));
    assert_eq!(before.discrepancies, None);

    let decide = |seq| if seq == 3 { Outcome::failed(Code::UserRefused) } else { created(seq) };
    let lease = scene.take_one(JobKind::Provision).await;
    scene.provision(&lease, decide).await;
    let lease = scene.take_one(JobKind::Verify).await;
    let differs =
        Discrepancy { seq: ItemSeq(2), key: key(2), auth0_user_id: id(2), fields: vec!["blocked".into()] };
    let found = BatchVerification { matched: 1, discrepancies: vec![differs], requests: 2 };
    scene.ledger.record_verification(&lease, &found).await.unwrap();

    let second = &of(2).await[0];
    assert_eq!((second.item.state, &second.item.auth0_user_id), (ItemState::Created, &Some(id(2))));
    assert_eq!(second.discrepancies, Some(vec!["blocked".to_owned()]));
    assert_eq!(second.batch, before.batch);
    let jobs: Vec<_> = second.jobs.iter().map(|job| (job.kind, job.state, job.attempts)).collect();
    assert_eq!(jobs, [(JobKind::Provision, JobState::Done, 0), (JobKind::Verify, JobState::Done, 0)]);
    let third = &of(3).await[0];
    assert_eq!((third.item.state, third.item.code), (ItemState::Failed, Some(Code::UserRefused)));
    assert_eq!((of(4).await.len(), of(1).await.len()), (0, 1));
    let other = scene.planned("b.csv", 1, 1).await;
    assert_eq!(scene.ledger.users(other, &key(2)).await.unwrap().len(), 0, "each run by itself");
}
