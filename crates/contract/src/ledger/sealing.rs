//! Cases of verification and of a run's end.

use std::time::Duration;

use super::{
    LedgerWorld,
    scene::{ANN, Scene, created, failed, id, jobs, pending, settled},
    together::both,
};
use ferry_domain::{
    code::Code,
    ending,
    ids::{ItemSeq, SourceKey},
    item::{ItemState, Outcome},
    job::{JobKind, Verdict},
    ports::{
        BatchVerification, Course, DeadFilter, Discrepancy, LedgerError, Redriven, SealedRun, UserFilter,
    },
    run::{RunMove, RunState},
};

/// Without a lock each of two would see the other's batch open, and neither would seal.
pub async fn two_verifiers_at_the_end_seal_once(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let other = world.other();
    for round in 0..5 {
        let run = scene.running(&format!("{round}.csv"), 2, 1).await;
        for lease in scene.take_all().await {
            scene.provision(&lease, created).await;
        }
        let leases = scene.take_all().await;
        let found = BatchVerification { matched: 1, ..BatchVerification::default() };
        let (a, b) = both(
            scene.ledger.record_verification(&leases[0], &found),
            other.record_verification(&leases[1], &found),
        )
        .await;
        a.unwrap();
        b.unwrap();
        assert_eq!(scene.view(run).await.state, RunState::Sealing);
        let expected = jobs([("provision done", 2), ("verify done", 2), ("report ready", 1)]);
        assert_eq!(scene.jobs(run).await, expected);
        assert_eq!(scene.ledger.seal_finished().await.unwrap(), 0);
        let report = scene.take_one(JobKind::Report).await;
        scene.seal(&report).await;
        assert_eq!(scene.view(run).await.verified, 2);
    }
}

/// What differs is kept with its fields.
pub async fn discrepancies_are_kept_and_paged(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 4, 4).await;
    let lease = scene.take_one(JobKind::Provision).await;
    scene.provision(&lease, created).await;
    let lease = scene.take_one(JobKind::Verify).await;
    let differs = |seq: i64, fields: &[&str]| Discrepancy {
        seq: ItemSeq(seq),
        key: SourceKey(seq.to_string()),
        auth0_user_id: id(seq),
        fields: fields.iter().map(|&field| field.to_owned()).collect(),
    };
    let discrepancies = vec![differs(1, &["email", "name"]), differs(3, &[]), differs(4, &["blocked"])];
    let found = BatchVerification { matched: 1, discrepancies: discrepancies.clone(), requests: 4 };
    scene.ledger.record_verification(&lease, &found).await.unwrap();

    let view = scene.view(run).await;
    assert_eq!((view.verified, view.discrepancies, view.requests), (1, 3, 4));
    assert_eq!(scene.ledger.discrepancies(run, ItemSeq(0), 10).await.unwrap(), discrepancies);
    assert_eq!(scene.ledger.discrepancies(run, ItemSeq(0), 2).await.unwrap(), discrepancies[..2]);
    assert_eq!(scene.ledger.discrepancies(run, ItemSeq(3), 2).await.unwrap(), discrepancies[2..]);
}

/// What a run wrote into the application's table is read back, whatever its outcome is called.
pub async fn users_of_an_earlier_run_are_read_back_too(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 4, 4).await;
    let outcome = |seq| match seq {
        1 => created(seq),
        2 => Outcome::skipped(Code::AlreadyMigrated, Some(id(seq))),
        3 => Outcome::skipped(Code::ExistsByPolicy, None),
        _ => Outcome::conflict(Code::IdTaken),
    };
    let lease = scene.take_one(JobKind::Provision).await;
    scene.provision(&lease, outcome).await;
    let lease = scene.take_one(JobKind::Verify).await;
    let items = scene.ledger.items_at_target(&lease).await.unwrap();
    let read: Vec<_> = items.iter().map(|item| (item.seq.0, item.state)).collect();
    assert_eq!(read, [(1, ItemState::Created), (2, ItemState::Skipped)]);
    scene.verify(&lease).await;
    scene.finish(created).await;
    assert_eq!(scene.view(run).await.verified, 2);
}

/// A verification that is given up ends the run and hides nothing.
pub async fn users_never_read_back_are_discrepancies(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 3, 3).await;
    let lease = scene.take_one(JobKind::Provision).await;
    let decide = |seq| match seq {
        1 => created(seq),
        2 => ferry_domain::item::Outcome::failed(Code::UserRefused),
        _ => ferry_domain::item::Outcome::adopted(id(seq)),
    };
    scene.provision(&lease, decide).await;
    let lease = scene.take_one(JobKind::Verify).await;
    let discard = Verdict::Discard { code: Code::TimedOut };
    scene.ledger.conclude(&lease, &discard, None).await.unwrap();

    let view = scene.view(run).await;
    assert_eq!((view.state, view.verified, view.discrepancies), (RunState::Sealing, 0, 2));
    let tally = &view.tally;
    let ended = (tally.created, tally.adopted, tally.failed);
    assert_eq!(ended, (1, 1, 1), "the users themselves are as they were");
    let kept = scene.ledger.discrepancies(run, ItemSeq(0), 10).await.unwrap();
    assert_eq!(
        kept.iter().map(|d| (d.seq.0, d.auth0_user_id.clone())).collect::<Vec<_>>(),
        [(1, id(1)), (3, id(3))]
    );
    assert!(kept.iter().all(|d| d.fields == ["not read back"]));
    assert_eq!(scene.jobs(run).await, jobs([("provision done", 1), ("verify dead", 1), ("report ready", 1)]));
}

/// A run does not stay unsealed because one report job died.
pub async fn a_report_given_up_is_made_again(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 1, 1).await;
    let lease = scene.take_one(JobKind::Provision).await;
    scene.provision(&lease, created).await;
    let lease = scene.take_one(JobKind::Verify).await;
    scene.verify(&lease).await;
    let lease = scene.take_one(JobKind::Report).await;
    let discard = Verdict::Discard { code: Code::HandlerPanicked };
    scene.ledger.conclude(&lease, &discard, None).await.unwrap();

    assert_eq!(scene.view(run).await.state, RunState::Sealing);
    assert_eq!(scene.ledger.seal_finished().await.unwrap(), 0, "not at once");
    world.advance(Duration::from_secs(25)).await;
    assert_eq!(scene.ledger.seal_finished().await.unwrap(), 0, "nor after 25 s");
    world.advance(Duration::from_secs(6)).await;
    assert_eq!(scene.ledger.seal_finished().await.unwrap(), 1);
    let lease = scene.take_one(JobKind::Report).await;
    assert_eq!(scene.seal(&lease).await, 1);
    assert_eq!(scene.view(run).await.state, RunState::Sealed);
}

/// A try that can't read all keeps what it has read: the next one is about the others only.
pub async fn what_a_try_read_back_is_kept_for_the_next(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 4, 4).await;
    let lease = scene.take_one(JobKind::Provision).await;
    scene.provision(&lease, created).await;
    let lease = scene.take_one(JobKind::Verify).await;
    assert_eq!(scene.ledger.unread(&lease).await.unwrap(), None, "nobody read anything yet");
    let (differs, unread) = (discrepancy(2, "email"), discrepancy(4, ending::NOT_READ_BACK));
    let found =
        BatchVerification { matched: 2, discrepancies: vec![differs.clone(), unread.clone()], requests: 5 };
    scene.ledger.keep_readings(&lease, &found).await.unwrap();
    let again = Verdict::Retry { after: Duration::ZERO, code: Code::ServerError };
    scene.ledger.conclude(&lease, &again, None).await.unwrap();

    let lease = scene.take_one(JobKind::Verify).await;
    assert_eq!(scene.ledger.unread(&lease).await.unwrap(), Some(vec![ItemSeq(4)]));
    let view = scene.view(run).await;
    assert_eq!((view.verified, view.state, view.open_batches), (2, RunState::Running, 1));
    let found = BatchVerification { matched: 1, discrepancies: Vec::new(), requests: 1 };
    scene.ledger.record_verification(&lease, &found).await.unwrap();
    let view = scene.view(run).await;
    assert_eq!((view.verified, view.discrepancies, view.requests), (3, 1, 6));
    assert_eq!(scene.ledger.discrepancies(run, ItemSeq(0), 10).await.unwrap(), [differs]);
}

/// A batch that is given up half read: only the users that nobody read are not read back.
pub async fn a_verification_given_up_keeps_what_was_read(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 4, 4).await;
    let lease = scene.take_one(JobKind::Provision).await;
    scene.provision(&lease, created).await;
    let lease = scene.take_one(JobKind::Verify).await;
    let both = vec![discrepancy(2, "email"), discrepancy(4, ending::NOT_READ_BACK)];
    let found = BatchVerification { matched: 2, discrepancies: both.clone(), requests: 4 };
    scene.ledger.keep_readings(&lease, &found).await.unwrap();
    let lost = scene.take_over(&lease).await;
    let late = scene.ledger.keep_readings(&lease, &found).await;
    assert!(matches!(late, Err(LedgerError::LeaseLost)), "{late:?}");
    scene.ledger.conclude(&lost, &Verdict::Discard { code: Code::ServerError }, None).await.unwrap();
    let view = scene.view(run).await;
    assert_eq!((view.verified, view.discrepancies, view.open_batches), (2, 2, 0));
    assert_eq!(scene.ledger.discrepancies(run, ItemSeq(0), 10).await.unwrap(), both);
    assert_eq!(scene.finish(created).await, 1);
    // A redrive reads all of the batch once more.
    scene.ledger.redrive(&DeadFilter::default(), &scene.batches(1), &ANN).await.unwrap();
    let lease = scene.take_one(JobKind::Verify).await;
    assert_eq!(scene.ledger.unread(&lease).await.unwrap(), None);
    scene.verify(&lease).await;
    assert_eq!((scene.view(run).await.verified, scene.view(run).await.discrepancies), (4, 0));
}

fn discrepancy(seq: i64, field: &str) -> Discrepancy {
    let fields = vec![field.to_owned()];
    Discrepancy { seq: ItemSeq(seq), key: SourceKey(seq.to_string()), auth0_user_id: id(seq), fields }
}

/// The newest report, or one by its number.
pub async fn reports_are_kept_by_revision(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 1, 1).await;
    assert!(scene.ledger.report(run, None).await.unwrap().is_none());
    for revision in 1..=2 {
        let lease = scene.take_one(JobKind::Provision).await;
        scene.provision(&lease, |_| ferry_domain::item::Outcome::failed(Code::ServerError)).await;
        let lease = scene.take_one(JobKind::Verify).await;
        scene.verify(&lease).await;
        let lease = scene.take_one(JobKind::Report).await;
        let report = serde_json::json!({ "revision": revision, "text": "größer" });
        assert_eq!(scene.ledger.seal(&lease, &SealedRun { report }).await.unwrap(), revision);
        let view = scene.view(run).await;
        assert_eq!((view.state, view.revision), (RunState::Sealed, revision));
        assert!(view.sealed_at.is_some());
        if revision == 1 {
            scene.ledger.retry(run, &UserFilter::default(), &scene.batches(1), &ANN).await.unwrap();
        }
    }
    let newest = scene.ledger.report(run, None).await.unwrap().unwrap();
    assert_eq!((newest.revision, &newest.report["revision"]), (2, &2.into()));
    let first = scene.ledger.report(run, Some(1)).await.unwrap().unwrap();
    assert_eq!((first.revision, &first.report["revision"]), (1, &1.into()));
    assert_eq!(first.report["text"], "größer");
    assert!(first.sealed_at <= newest.sealed_at);
    assert!(scene.ledger.report(run, Some(3)).await.unwrap().is_none());
}

/// When what ended, batch by batch: the sums are those of the run, whatever the number of steps.
pub async fn the_course_of_a_run_is_told_in_steps(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let mut run = scene.new_run("a.csv");
    run.spec.batch_size = 2;
    let id_of_run = run.id;
    scene.ledger.open_run(&run).await.unwrap();
    let refused = Outcome::failed(Code::EmailInvalid);
    let mut items = vec![settled(9, run.settled_batch, refused)];
    for batch in 0..4 {
        let id = scene.batch();
        items.extend((1..=2).map(|n| pending(batch * 2 + n, id)));
    }
    items.sort_by_key(|item| item.seq);
    scene.ledger.add_items(run.id, &items).await.unwrap();
    scene.ledger.finish_planning(run.id, &[]).await.unwrap();
    let run = id_of_run;
    assert_eq!(scene.ledger.course(run, 200).await.unwrap(), None, "it was not started");

    scene.ledger.start(run, &ANN).await.unwrap();
    let begun = scene.view(run).await.started_at.unwrap();
    let course = async |most| scene.ledger.course(run, most).await.unwrap().unwrap();
    let sum = |course: &Course| {
        let ended = course.steps.iter().fold(course.before, |sum, step| sum.plus(&step.ended));
        let read = course.steps.iter().map(|step| step.verified + step.discrepancies).sum::<i64>();
        (ended, read, course.steps.iter().map(|step| step.batches).sum::<i64>())
    };
    let first = course(200).await;
    assert_eq!((first.begun, first.steps.len()), (begun, 0));
    assert_eq!((first.before.source, first.before.failed), (1, 1), "a rule settled one");

    let leases = scene.take_all().await;
    for lease in &leases[..3] {
        let decide = |seq| if seq == 1 { failed(seq) } else { created(seq) };
        world.sleep(Duration::from_millis(5)).await;
        scene.provision(lease, decide).await;
    }
    // One of two users ended: the batch is open, and does not count.
    let some = scene.results(&leases[3], created).await;
    scene.ledger.write_back(&leases[3], &some[..1], 1).await.unwrap();
    let (ended, read, batches) = sum(&course(200).await);
    assert_eq!((ended.source, ended.created, ended.failed, read, batches), (7, 5, 2, 0, 3));

    for lease in scene.take_all().await {
        world.sleep(Duration::from_millis(5)).await;
        scene.verify(&lease).await;
    }
    let whole = course(200).await;
    for most in [1, 2, 3, 7, 200] {
        let course = course(most).await;
        assert_eq!(sum(&course), sum(&whole), "{most}");
        let numbers: Vec<i64> = course.steps.iter().map(|step| step.number).collect();
        assert!(numbers.iter().all(|&number| (0..most).contains(&number)), "{most}: {numbers:?}");
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    }
    assert_eq!(sum(&whole).1, 5, "who failed is not read back");
    assert!(whole.steps.len() > 3, "they ended at times of their own: {whole:?}");
    let last = |most: i64, course: &Course| course.steps.last().unwrap().number < most;
    assert!(last(200, &whole) && whole.step * 200 > Duration::from_millis(25), "{whole:?}");

    let cancelled = scene.running("b.csv", 2, 1).await;
    scene.ledger.move_run(cancelled, RunMove::Cancel, &ANN).await.unwrap();
    let (ended, ..) = sum(&scene.ledger.course(cancelled, 200).await.unwrap().unwrap());
    assert_eq!((ended.source, ended.cancelled), (2, 2), "who is cancelled has an end, too");
}

/// Nothing is sealed while users are still to be read back.
pub async fn a_run_is_not_sealed_before_its_users_are_read_back(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 2, 1).await;
    for lease in scene.take_all().await {
        scene.provision(&lease, created).await;
    }
    assert_eq!(scene.ledger.seal_finished().await.unwrap(), 0, "two verifications are ready");
    let leases = scene.take_all().await;
    scene.verify(&leases[0]).await;
    assert_eq!(scene.ledger.seal_finished().await.unwrap(), 0, "one is held");
    assert_eq!(scene.view(run).await.state, RunState::Running);
    scene.verify(&leases[1]).await;
    assert_eq!(scene.view(run).await.state, RunState::Sealing);
}

/// A lease is for the work of its job.
pub async fn a_job_ends_only_what_its_kind_is_for(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 1, 1).await;
    let (found, sealed) =
        (BatchVerification::default(), SealedRun { report: serde_json::json!({ "made": false }) });
    for kind in [JobKind::Provision, JobKind::Verify, JobKind::Report] {
        let lease = scene.take_one(kind).await;
        if kind != JobKind::Verify {
            let answer = scene.ledger.record_verification(&lease, &found).await;
            assert!(matches!(answer, Err(LedgerError::Refused(_))), "{kind}: {answer:?}");
        }
        if kind != JobKind::Report {
            let answer = scene.ledger.seal(&lease, &sealed).await;
            assert!(matches!(answer, Err(LedgerError::Refused(_))), "{kind}: {answer:?}");
        }
        if kind != JobKind::Provision {
            let answer = scene.ledger.conclude(&lease, &Verdict::Done, None).await;
            assert!(matches!(answer, Err(LedgerError::Refused(_))), "{kind}: {answer:?}");
            let answer = scene.ledger.write_back(&lease, &[], 0).await;
            assert!(matches!(answer, Err(LedgerError::Refused(_))), "{kind}: {answer:?}");
            let answer = scene.ledger.pending_items(&lease).await;
            assert!(matches!(answer, Err(LedgerError::Refused(_))), "{kind}: {answer:?}");
        }
        if kind != JobKind::Verify {
            let answer = scene.ledger.items_at_target(&lease).await;
            assert!(matches!(answer, Err(LedgerError::Refused(_))), "{kind}: {answer:?}");
        }
        match kind {
            JobKind::Provision => scene.provision(&lease, created).await,
            JobKind::Verify => scene.verify(&lease).await,
            JobKind::Report => assert_eq!(scene.seal(&lease).await, 1),
        }
    }
    assert_eq!(scene.view(run).await.state, RunState::Sealed);
}

/// Two processes that look at the same time.
pub async fn two_sweeps_at_once_make_one_report(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let other = world.other();
    for round in 0..8 {
        let run = scene.running(&format!("{round}.csv"), 1, 1).await;
        scene.ledger.move_run(run, RunMove::Cancel, &ANN).await.unwrap();
        let (mine, theirs) = both(scene.ledger.seal_finished(), other.seal_finished()).await;
        assert_eq!(mine.unwrap() + theirs.unwrap(), 1);
        let lease = scene.take_one(JobKind::Report).await;
        assert_eq!(scene.seal(&lease).await, 1);
    }
}

/// The sweep was faster than the person: the letter is answered by the report that waits.
pub async fn a_redrive_makes_no_second_report(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 1, 1).await;
    let lease = scene.take_one(JobKind::Provision).await;
    scene.provision(&lease, created).await;
    let lease = scene.take_one(JobKind::Verify).await;
    scene.verify(&lease).await;
    let send = scene.ledger.take_ready(1).await.unwrap().remove(0);
    assert!(scene.ledger.give_up(send.job, Code::CrashedWorker, scene.worker().id).await.unwrap());
    world.advance(Duration::from_secs(31)).await;
    assert_eq!(scene.ledger.seal_finished().await.unwrap(), 1);

    let done = scene.ledger.redrive(&DeadFilter::default(), &[], &ANN).await.unwrap();
    assert_eq!(done, Redriven { letters: 1, users: 0, left: 0 });
    let expected = jobs([("provision done", 1), ("verify done", 1), ("report dead", 1), ("report ready", 1)]);
    assert_eq!(scene.jobs(run).await, expected);
    assert_eq!(scene.finish(created).await, 1);
}

/// A run whose users were all read back while it was paused goes on: either its failed users are
/// sent again, or it is sealed, and never both.
pub async fn a_sweep_and_a_retry_at_once_do_not_both_win(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let other = world.other();
    for round in 0..8 {
        let run = scene.running(&format!("{round}.csv"), 2, 2).await;
        let lease = scene.take_one(JobKind::Provision).await;
        scene.provision(&lease, failed).await;
        let lease = scene.take_one(JobKind::Verify).await;
        scene.ledger.move_run(run, RunMove::Pause, &ANN).await.unwrap();
        scene.verify(&lease).await;
        scene.ledger.move_run(run, RunMove::Resume, &ANN).await.unwrap();

        let ids = scene.batches(1);
        let (retried, sealed) =
            both(scene.ledger.retry(run, &UserFilter::default(), &ids, &ANN), other.seal_finished()).await;
        let expected = match retried {
            Ok(_) => (0, RunState::Running),
            Err(LedgerError::Refused(_)) => (1, RunState::Sealing),
            Err(error) => panic!("{error}"),
        };
        assert_eq!((sealed.unwrap(), scene.view(run).await.state), expected);
        scene.finish(created).await;
        assert_eq!(scene.view(run).await.tally.pending, 0);
    }
}
