//! Cases of dead letters: what was given up, kept until a person decides.

use std::time::Duration;

use super::{
    LedgerWorld,
    scene::{ANN, Scene, created, failed, id, jobs},
};
use ferry_domain::{
    code::Code,
    ids::{ItemSeq, RunId, SourceKey},
    item::{ItemState, Outcome},
    job::{Attempt, JobKind, Verdict},
    ports::{
        BatchVerification, DeadCount, DeadFilter, DeadKind, DeadLetter, DeadState, Discrepancy, LedgerError,
        QueueState, Redriven, UserFilter,
    },
    run::{RunMove, RunState},
    tally::Tally,
};

/// The letters that wait for a person.
fn kept() -> DeadFilter {
    DeadFilter { state: Some(DeadState::Kept), ..DeadFilter::default() }
}

/// Jobs that were given up, as the queue's counts have them.
async fn counted_dead(scene: &Scene<'_>) -> Vec<(JobKind, i64)> {
    let counts = scene.ledger.queue_counts().await.unwrap();
    let dead = counts.into_iter().filter(|found| found.state == QueueState::Dead);
    dead.map(|found| (found.kind, found.jobs)).collect()
}

/// Gives up a leased job for a server error.
async fn discard(scene: &Scene<'_>, lease: &ferry_domain::Lease<ferry_domain::Job>) {
    let discard = Verdict::Discard { code: Code::ServerError };
    scene.ledger.conclude(lease, &discard, None).await.unwrap();
}

async fn bury(scene: &Scene<'_>, code: Code) {
    let letter = DeadLetter {
        queue: "ferry:provision".into(),
        payload: b"not ours".to_vec(),
        code,
        reason: "no such job".into(),
        by: "host/1".into(),
    };
    scene.ledger.bury(&letter).await.unwrap();
}

/// What a person needs to decide.
pub async fn a_job_given_up_leaves_a_letter_that_says_all(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 3, 3).await;
    let worker = scene.worker();
    scene.ledger.heartbeat(&worker, super::scene::LEASE, &[]).await.unwrap();
    let lost = scene.take_one(JobKind::Provision).await;
    let results = scene.results(&lost, created).await;
    scene.ledger.write_back(&lost, &results[..1], 1).await.unwrap();
    let again = scene.take_over(&lost).await;
    let snooze = Verdict::Snooze { after: Duration::ZERO, code: Code::RateLimited };
    scene.ledger.conclude(&again, &snooze, None).await.unwrap();
    let send = scene.ledger.take_ready(1).await.unwrap().remove(0);
    let lease = scene.take_as(&worker, &send).await;
    let attempt = Attempt { number: 1, code: Code::TimedOut, took: Duration::from_millis(1_500) };
    let discard = Verdict::Discard { code: Code::TimedOut };
    scene.ledger.conclude(&lease, &discard, Some(&attempt)).await.unwrap();

    let letters = scene.ledger.dead(&kept(), 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!((letter.kind, letter.state, letter.code), (DeadKind::Job, DeadState::Kept, Code::TimedOut));
    assert_eq!((letter.job, letter.run, letter.batch), (Some(lease.of.id), Some(run), lease.of.batch));
    assert_eq!((letter.job_kind, letter.queue.as_str()), (Some(JobKind::Provision), "provision"));
    assert_eq!((letter.attempts, letter.rescues, letter.users), (1, 1, 2));
    assert_eq!(letter.given_up_by, "host/1");
    assert!(!letter.reason.is_empty());
    assert_eq!((letter.resolved_by.as_deref(), letter.resolved_at), (None, None));
    assert_eq!(scene.ledger.count_dead(&kept()).await.unwrap(), DeadCount { letters: 1, users: 2 });
    let seqs = async |most| {
        let users = scene.ledger.dead_users(letter.id, most).await.unwrap();
        users.into_iter().map(|user| (user.seq.0, user.state, user.code)).collect::<Vec<_>>()
    };
    let timed_out = |seq| (seq, ItemState::Failed, Some(Code::TimedOut));
    assert_eq!(seqs(10).await, [timed_out(2), timed_out(3)], "one was written back before");
    assert_eq!(seqs(1).await, [timed_out(2)]);
    let tries = scene.ledger.dead_tries(letter.id).await.unwrap();
    let tries: Vec<_> = tries.iter().map(|tried| (tried.number, tried.code, tried.took)).collect();
    assert_eq!(tries, [(1, Code::TimedOut, Duration::from_millis(1_500))]);
    assert_eq!(scene.ledger.dead_payload(letter.id).await.unwrap(), None, "a job has no payload");
    assert_eq!(scene.view(run).await.tally.failed, 2);
}

/// Payloads and jobs in one list, newest first.
pub async fn letters_are_found_by_what_they_are(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    bury(&scene, Code::Undecodable).await;
    bury(&scene, Code::JobUnknown).await;
    let run = scene.running("a.csv", 4, 2).await;
    for lease in scene.take_all().await {
        discard(&scene, &lease).await;
    }
    let all = scene.ledger.dead(&DeadFilter::default(), 10).await.unwrap();
    let codes: Vec<_> = all.iter().map(|letter| letter.code).collect();
    assert_eq!(codes, [Code::ServerError, Code::ServerError, Code::JobUnknown, Code::Undecodable]);
    assert!(all.windows(2).all(|pair| pair[0].id > pair[1].id));
    let payload = &all[2];
    assert_eq!((payload.kind, payload.queue.as_str()), (DeadKind::Payload, "ferry:provision"));
    assert_eq!((payload.job, payload.run, payload.given_up_by.as_str()), (None, None, "host/1"));
    assert_eq!(payload.reason, "no such job");
    assert_eq!(scene.ledger.dead_payload(payload.id).await.unwrap(), Some(b"not ours".to_vec()));
    assert_eq!(scene.ledger.dead_payload(0).await.unwrap(), None);
    assert_eq!(scene.ledger.dead_users(payload.id, 10).await.unwrap(), [], "it was no job");
    assert_eq!(scene.ledger.dead_tries(payload.id).await.unwrap(), []);

    let found = async |filter: DeadFilter| {
        let letters = scene.ledger.dead(&filter, 10).await.unwrap();
        let count = scene.ledger.count_dead(&filter).await.unwrap();
        assert_eq!(usize::try_from(count.letters).unwrap(), letters.len());
        assert_eq!(count.users, letters.iter().map(|letter| letter.users).sum::<i64>());
        letters.into_iter().map(|letter| letter.id).collect::<Vec<_>>()
    };
    let ids: Vec<_> = all.iter().map(|letter| letter.id).collect();
    let some = || DeadFilter::default();
    assert_eq!(found(DeadFilter { run: Some(run), ..some() }).await, ids[..2]);
    assert_eq!(found(DeadFilter { ids: vec![ids[3], ids[0]], ..some() }).await, [ids[0], ids[3]]);
    assert_eq!(found(DeadFilter { codes: vec![Code::JobUnknown, Code::Ghost], ..some() }).await, [ids[2]]);
    assert_eq!(found(DeadFilter { older_than: Some(Duration::ZERO), ..some() }).await, ids);
    assert!(found(DeadFilter { older_than: Some(Duration::from_secs(3600)), ..some() }).await.is_empty());
    assert!(found(DeadFilter { state: Some(DeadState::Discarded), ..some() }).await.is_empty());
    assert_eq!(scene.ledger.dead(&some(), 1).await.unwrap().len(), 1);
}

/// Users that failed with their job go again; those that failed by themselves are left to a retry.
pub async fn a_redrive_sends_the_users_of_given_up_jobs_again(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running_over_people(6, 3).await;
    for lease in scene.take_all().await {
        let results = scene.results(&lease, |_| Outcome::failed(Code::UserRefused)).await;
        scene.ledger.write_back(&lease, &results[..1], 1).await.unwrap();
        discard(&scene, &lease).await;
    }
    assert_eq!(scene.ledger.count_dead(&kept()).await.unwrap(), DeadCount { letters: 2, users: 4 });
    for letter in scene.ledger.dead(&kept(), 2).await.unwrap() {
        let users = scene.ledger.dead_users(letter.id, 10).await.unwrap();
        let codes: Vec<_> = users.iter().map(|user| user.code).collect();
        assert_eq!(codes, [Some(Code::ServerError); 2], "who failed alone is none of its users");
    }
    let short = scene.ledger.redrive(&kept(), &scene.batches(1), &ANN).await;
    assert!(matches!(short, Err(LedgerError::Refused(_))), "{short:?}");

    assert_eq!(counted_dead(&scene).await, [(JobKind::Provision, 2)]);
    let lines = world.count("audit").await;
    let spare = scene.batches(2);
    let done = scene.ledger.redrive(&kept(), &spare, &ANN).await.unwrap();
    assert_eq!(done, Redriven { letters: 2, users: 4, left: 0 });
    assert_eq!(counted_dead(&scene).await, [], "nobody has to decide on them any more");
    assert!(world.count("audit").await > lines);
    let view = scene.view(run).await;
    assert_eq!(view.tally, Tally { source: 6, failed: 2, pending: 4, ..Tally::default() });
    assert_eq!((view.state, view.round), (RunState::Running, 2));
    let letters = scene.ledger.dead(&DeadFilter::default(), 10).await.unwrap();
    for letter in &letters {
        assert_eq!((letter.state, letter.resolved_by.as_deref()), (DeadState::Redriven, Some("ann@host")));
        assert!(letter.resolved_at.is_some());
    }
    let again = scene.ledger.redrive(&DeadFilter::default(), &spare, &ANN).await.unwrap();
    assert_eq!(again, Redriven::default(), "each letter goes once");

    scene.finish(created).await;
    let view = scene.view(run).await;
    assert_eq!(view.tally, Tally { source: 6, created: 4, failed: 2, ..Tally::default() });
    assert_eq!((view.state, view.verified), (RunState::Sealed, 4));
    assert_eq!(world.auth0_user_id("2").await, Some(id(2).0));
}

/// A sealed run goes on, with a second report; unless another run of its source is active.
pub async fn a_sealed_run_is_redriven_unless_its_source_is_busy(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 2, 2).await;
    let lease = scene.take_one(JobKind::Provision).await;
    discard(&scene, &lease).await;
    assert_eq!(scene.finish(created).await, 1);
    let active = scene.planned("a.csv", 1, 1).await;
    match scene.ledger.redrive(&kept(), &scene.batches(1), &ANN).await {
        Err(LedgerError::AnotherRunActive { run, .. }) => assert_eq!(run, active),
        other => panic!("{other:?}"),
    }
    assert_eq!(scene.view(run).await.state, RunState::Sealed);
    scene.ledger.abandon(active, &ANN).await.unwrap();
    let done = scene.ledger.redrive(&kept(), &scene.batches(1), &ANN).await.unwrap();
    assert_eq!((done.letters, done.users), (1, 2));
    assert_eq!(scene.finish(created).await, 2);
    assert_eq!(scene.view(run).await.tally.created, 2);
}

/// A retry took the users already: the letter is answered, and nothing moves.
pub async fn a_letter_whose_users_were_retried_moves_nothing(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 2, 2).await;
    let lease = scene.take_one(JobKind::Provision).await;
    discard(&scene, &lease).await;
    scene.ledger.retry(run, &UserFilter::default(), &scene.batches(1), &ANN).await.unwrap();
    scene.finish(created).await;
    let done = scene.ledger.redrive(&kept(), &scene.batches(1), &ANN).await.unwrap();
    assert_eq!(done, Redriven { letters: 1, users: 0, left: 0 });
    let view = scene.view(run).await;
    assert_eq!((view.state, view.round, view.tally.created), (RunState::Sealed, 2, 2));
}

/// Users that nobody read back are read back after all.
pub async fn a_redriven_verification_starts_afresh(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 2, 2).await;
    let lease = scene.take_one(JobKind::Provision).await;
    scene.provision(&lease, created).await;
    let lease = scene.take_one(JobKind::Verify).await;
    let attempt = Attempt { number: 1, code: Code::ServerError, took: Duration::ZERO };
    let verdict = Verdict::Discard { code: Code::ServerError };
    scene.ledger.conclude(&lease, &verdict, Some(&attempt)).await.unwrap();
    scene.finish(created).await;
    assert_eq!(scene.view(run).await.discrepancies, 2);
    let letter = scene.ledger.dead(&kept(), 1).await.unwrap().remove(0).id;
    let users = scene.ledger.dead_users(letter, 10).await.unwrap();
    assert_eq!(users.iter().map(|user| user.seq.0).collect::<Vec<_>>(), [1, 2], "nobody was read back");
    assert_eq!(scene.ledger.dead_tries(letter).await.unwrap().len(), 1);

    let done = scene.ledger.redrive(&kept(), &scene.batches(1), &ANN).await.unwrap();
    assert_eq!(done, Redriven { letters: 1, users: 0, left: 0 });
    let view = scene.view(run).await;
    assert_eq!((view.state, view.open_batches, view.discrepancies), (RunState::Running, 1, 0));
    assert!(scene.ledger.discrepancies(run, ItemSeq(0), 10).await.unwrap().is_empty());
    assert_eq!(scene.ledger.dead_users(letter, 10).await.unwrap(), [], "they go again");
    let lease = scene.take_one(JobKind::Verify).await;
    assert_eq!((lease.of.attempts, lease.of.rescues), (0, 0));
    scene
        .ledger
        .conclude(&lease, &Verdict::Retry { after: Duration::ZERO, code: Code::ServerError }, None)
        .await
        .unwrap();
    assert_eq!(scene.finish(created).await, 2);
    let view = scene.view(run).await;
    assert_eq!((view.state, view.verified, view.discrepancies), (RunState::Sealed, 2, 0));
}

/// A report that was given up is made immediately, not after the sweep's pause.
pub async fn a_redriven_report_is_made_at_once_and_once(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 1, 1).await;
    let lease = scene.take_one(JobKind::Provision).await;
    scene.provision(&lease, created).await;
    let lease = scene.take_one(JobKind::Verify).await;
    scene.verify(&lease).await;
    for _ in 0..2 {
        let lease = scene.take_one(JobKind::Report).await;
        discard(&scene, &lease).await;
        assert_eq!(scene.ledger.seal_finished().await.unwrap(), 0);
        let done = scene.ledger.redrive(&kept(), &[], &ANN).await.unwrap();
        assert_eq!(done, Redriven { letters: 1, users: 0, left: 0 });
        assert_eq!(scene.ledger.seal_finished().await.unwrap(), 0);
    }
    assert_eq!(scene.finish(created).await, 1);
    assert_eq!(
        scene.jobs(run).await,
        jobs([("provision done", 1), ("verify done", 1), ("report dead", 2), ("report done", 1)])
    );
}

/// What was no job, or what a person has given up, can't be sent again.
pub async fn payloads_and_letters_of_cancelled_runs_are_left(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    bury(&scene, Code::Undecodable).await;
    let run: RunId = scene.running("a.csv", 2, 2).await;
    let lease = scene.take_one(JobKind::Provision).await;
    discard(&scene, &lease).await;
    scene.ledger.move_run(run, RunMove::Cancel, &ANN).await.unwrap();
    let left = Redriven { letters: 0, users: 0, left: 2 };
    assert_eq!(scene.ledger.redrive(&kept(), &scene.batches(2), &ANN).await.unwrap(), left);
    scene.finish(created).await;
    assert_eq!(scene.view(run).await.state, RunState::Cancelled);
    assert_eq!(scene.ledger.redrive(&kept(), &scene.batches(2), &ANN).await.unwrap(), left);
    assert_eq!(
        scene.ledger.count_dead(&kept()).await.unwrap(),
        DeadCount { letters: 2, users: 2 },
        "they wait as before"
    );
}

/// Discarding is a decision on record, not a removal; only what was decided on is ever removed.
pub async fn discarded_letters_stay_on_record_until_they_are_pruned(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 4, 2).await;
    for lease in scene.take_all().await {
        discard(&scene, &lease).await;
    }
    bury(&scene, Code::Undecodable).await;
    let lines = world.count("audit").await;
    let undecodable = DeadFilter { codes: vec![Code::Undecodable], ..DeadFilter::default() };
    assert_eq!(scene.ledger.discard(&undecodable, &ANN).await.unwrap(), 1);
    assert_eq!(scene.ledger.discard(&undecodable, &ANN).await.unwrap(), 0, "it was decided on before");
    assert_eq!(world.count("audit").await, lines + 1);
    let newest = scene.ledger.dead(&kept(), 1).await.unwrap().remove(0);
    let one = DeadFilter { ids: vec![newest.id], ..kept() };
    assert_eq!(scene.ledger.discard(&one, &ANN).await.unwrap(), 1);
    assert_eq!(counted_dead(&scene).await, [(JobKind::Provision, 1)], "that of the other letter");
    let letter = scene.ledger.dead(&DeadFilter { state: None, ..one }, 1).await.unwrap().remove(0);
    assert_eq!((letter.state, letter.resolved_by.as_deref()), (DeadState::Discarded, Some("ann@host")));

    let done = scene.ledger.redrive(&DeadFilter::default(), &scene.batches(3), &ANN).await.unwrap();
    assert_eq!((done.letters, done.users), (1, 2), "what was discarded is not sent again");
    assert_eq!(scene.ledger.prune_dead(Duration::from_secs(3600)).await.unwrap(), 0, "not so old yet");
    let lease = scene.take_all().await.into_iter().find(|lease| lease.of.kind == JobKind::Provision).unwrap();
    discard(&scene, &lease).await;
    assert_eq!(scene.ledger.prune_dead(Duration::ZERO).await.unwrap(), 3);
    let left = scene.ledger.dead(&DeadFilter::default(), 10).await.unwrap();
    assert_eq!(left.iter().map(|letter| letter.state).collect::<Vec<_>>(), [DeadState::Kept]);
    assert_eq!(scene.item(run, 1).await.state, ItemState::Failed);
}

/// "In the audit" means: under the run whose letters they were.
pub async fn each_run_of_a_redrive_or_discard_has_its_line_in_the_audit(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let runs = [scene.running("a.csv", 4, 2).await, scene.running("b.csv", 4, 2).await];
    for lease in scene.take_all().await {
        discard(&scene, &lease).await;
    }
    bury(&scene, Code::Undecodable).await;
    let lines_of = async |run: RunId, action: &str| {
        let lines = world.audit().await;
        lines.iter().filter(|line| line.contains(action) && line.contains(&run.to_string())).count()
    };
    let newest = scene.ledger.dead(&DeadFilter { run: Some(runs[0]), ..kept() }, 1).await.unwrap().remove(0);
    let oldest = scene.ledger.dead(&DeadFilter { run: Some(runs[1]), ..kept() }, 1).await.unwrap().remove(0);
    let two = DeadFilter { ids: vec![newest.id, oldest.id], ..kept() };
    assert_eq!(scene.ledger.redrive(&two, &scene.batches(2), &ANN).await.unwrap().letters, 2);
    assert_eq!((lines_of(runs[0], "redrive").await, lines_of(runs[1], "redrive").await), (1, 1));
    let lines = world.count("audit").await;
    assert_eq!(scene.ledger.discard(&kept(), &ANN).await.unwrap(), 3);
    assert_eq!((lines_of(runs[0], "discard").await, lines_of(runs[1], "discard").await), (1, 1));
    assert_eq!(world.count("audit").await, lines + 3, "one for the payload, which has no run");
}

/// Nothing goes again, so it does not matter that another run of the source is active.
pub async fn a_letter_with_nothing_left_is_answered_while_its_source_is_busy(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 2, 2).await;
    let lease = scene.take_one(JobKind::Provision).await;
    discard(&scene, &lease).await;
    scene.ledger.retry(run, &UserFilter::default(), &scene.batches(1), &ANN).await.unwrap();
    scene.finish(created).await;
    let active = scene.planned("a.csv", 1, 1).await;
    let done = scene.ledger.redrive(&kept(), &scene.batches(1), &ANN).await.unwrap();
    assert_eq!(done, Redriven { letters: 1, users: 0, left: 0 });
    assert_eq!(scene.view(run).await.state, RunState::Sealed);
    assert_eq!(scene.view(active).await.state, RunState::Planned);
}

/// What failed with the code of the job goes again as if it were new; a conflict is a person's.
pub async fn a_redriven_user_forgets_why_it_failed(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 3, 3).await;
    let lease = scene.take_one(JobKind::Provision).await;
    let decide = |seq| match seq {
        1 => Outcome { auth0_user_id: Some(id(1)), ..Outcome::failed(Code::ServerError).at_field("email") },
        _ => Outcome::conflict(Code::ServerError),
    };
    let results = scene.results(&lease, decide).await;
    scene.ledger.write_back(&lease, &results[..2], 2).await.unwrap();
    discard(&scene, &lease).await;
    let done = scene.ledger.redrive(&kept(), &scene.batches(1), &ANN).await.unwrap();
    assert_eq!(done, Redriven { letters: 1, users: 2, left: 0 });
    assert_eq!(scene.view(run).await.tally, Tally { source: 3, conflict: 1, pending: 2, ..Tally::default() });
    let again = scene.item(run, 1).await;
    assert_eq!(
        (again.state, again.code, again.field, again.auth0_user_id),
        (ItemState::Pending, None, None, Some(id(1))),
        "an account that was known stays so"
    );
    assert_eq!(scene.item(run, 2).await.state, ItemState::Conflict);
}

/// What other verifications of the run found stays on record.
pub async fn a_redriven_verification_forgets_its_own_discrepancies_only(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 4, 2).await;
    for lease in scene.take_all().await {
        scene.provision(&lease, created).await;
    }
    let leases = scene.take_all().await;
    let differs = Discrepancy {
        seq: ItemSeq(1),
        key: SourceKey("1".into()),
        auth0_user_id: id(1),
        fields: vec!["email".into()],
    };
    let found = BatchVerification { matched: 1, discrepancies: vec![differs.clone()], requests: 2 };
    scene.ledger.record_verification(&leases[0], &found).await.unwrap();
    discard(&scene, &leases[1]).await;
    assert_eq!(scene.finish(created).await, 1);
    assert_eq!(scene.view(run).await.discrepancies, 3);
    scene.ledger.redrive(&kept(), &scene.batches(1), &ANN).await.unwrap();
    assert_eq!(scene.view(run).await.discrepancies, 1);
    assert_eq!(scene.ledger.discrepancies(run, ItemSeq(0), 10).await.unwrap(), [differs]);
}

/// Its batch may hold users that failed for the same reason; they are not part of the letter.
pub async fn a_redriven_verification_leaves_the_users_that_failed(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 2, 2).await;
    let lease = scene.take_one(JobKind::Provision).await;
    scene.provision(&lease, |seq| if seq == 1 { failed(seq) } else { created(seq) }).await;
    let lease = scene.take_one(JobKind::Verify).await;
    discard(&scene, &lease).await;
    scene.finish(created).await;
    let done = scene.ledger.redrive(&kept(), &scene.batches(1), &ANN).await.unwrap();
    assert_eq!(done, Redriven { letters: 1, users: 0, left: 0 });
    let view = scene.view(run).await;
    assert_eq!(view.tally, Tally { source: 2, created: 1, failed: 1, ..Tally::default() });
    assert_eq!((view.state, view.round, view.open_batches), (RunState::Running, 1, 1));
    assert_eq!(scene.finish(created).await, 2);
    assert_eq!(scene.view(run).await.verified, 1);
}
