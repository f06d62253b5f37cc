//! Cases of processes that die, and of what becomes of their work.

use std::{collections::BTreeSet, time::Duration};

use super::{
    LedgerWorld,
    scene::{LEASE, Scene, created, jobs},
    together::both,
};
use ferry_domain::{
    code::Code,
    ids::{BatchId, ItemSeq, JobId, RunId, WorkerId},
    item::ItemState,
    job::{Envelope, Job, JobKind, Lease, Verdict},
    ports::{Duty, Loss, Rescued, Unclaimed, WorkerRecord},
    run::RunState,
    tally::Tally,
};

/// A worker that says that it lives takes a send.
async fn take(scene: &Scene<'_>, worker: &WorkerRecord, send: &Envelope) -> Lease<Job> {
    scene.ledger.heartbeat(worker, LEASE, &[]).await.unwrap();
    scene.claim(send, worker.id).await
}

fn rescued_ids(rescued: &[Rescued]) -> Vec<JobId> {
    rescued.iter().map(|one| one.job).collect()
}

/// The lease of a process that died is not waited for.
pub async fn the_dead_are_rescued_at_once(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running("a.csv", 5, 2).await;
    let (ann, bob) = (scene.worker(), scene.worker());
    let living = scene.ledger.register(&ann).await.unwrap();
    assert_eq!(living.unwatched, None);
    let sends = scene.ledger.take_ready(10).await.unwrap();
    let held = scene.claim(&sends[0], ann.id).await;
    let results = scene.results(&held, created).await;
    scene.ledger.write_back(&held, &results[..1], 1).await.unwrap();
    scene.claim(&sends[1], ann.id).await;
    assert!(scene.ledger.rescue(ann.id, true).await.unwrap().is_empty(), "a process does not rescue itself");

    world.process_dies(ann.id).await;
    let other = world.other();
    let _presence = other.register(&bob).await.unwrap();
    let mine = other.claim(sends[2].job, sends[2].send, bob.id, LEASE).await.unwrap().unwrap();
    let mut rescued = other.rescue(bob.id, false).await.unwrap();
    rescued.sort_by_key(|one| one.pending);
    let expected = |job: &Envelope, pending| Rescued {
        job: job.job,
        kind: JobKind::Provision,
        holder: ann.id,
        rescues: 1,
        pending,
        because: Loss::Dead,
    };
    assert_eq!(rescued, [expected(&sends[0], 1), expected(&sends[1], 2)]);
    assert!(other.rescue(bob.id, true).await.unwrap().is_empty(), "once, and never what the living hold");
    assert_eq!(world.count("workers").await, 1, "the dead are struck off");
    assert_eq!(other.live_slots(LEASE).await.unwrap(), i64::from(bob.slots));

    scene.provision(&mine, created).await;
    let late = scene.ledger.write_back(&held, &results[1..], 1).await;
    assert!(matches!(late, Err(ferry_domain::ports::LedgerError::LeaseLost)), "{late:?}");
    scene.finish(created).await;
    drop(living);
}

/// Without a registration only time tells, and only who is asked for it hears it.
pub async fn what_ran_out_is_rescued_when_asked_for(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running("a.csv", 2, 2).await;
    let (holder, me) = (scene.worker(), scene.worker());
    let send = scene.ledger.take_ready(1).await.unwrap().remove(0);
    let lease = take(&scene, &holder, &send).await;
    assert!(scene.ledger.rescue(me.id, true).await.unwrap().is_empty(), "its time is not over");
    world.advance(LEASE).await;
    assert!(scene.ledger.rescue(me.id, false).await.unwrap().is_empty(), "no sign of its death yet");
    let rescued = scene.ledger.rescue(me.id, true).await.unwrap();
    let seen: Vec<_> = rescued.iter().map(|one| (one.job, one.holder, one.because)).collect();
    assert_eq!(seen, [(lease.of.id, holder.id, Loss::Expired)]);
    assert!(scene.ledger.rescue(me.id, true).await.unwrap().is_empty());
}

/// Verify and report jobs have nothing pending.
pub async fn jobs_of_each_kind_are_rescued(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running("a.csv", 2, 2).await;
    let me = scene.worker();
    for (kind, pending) in [(JobKind::Provision, 2), (JobKind::Verify, 0), (JobKind::Report, 0)] {
        let send = scene.ledger.take_ready(1).await.unwrap().remove(0);
        take(&scene, &scene.worker(), &send).await;
        world.advance(LEASE).await;
        let rescued = scene.ledger.rescue(me.id, true).await.unwrap();
        let seen: Vec<_> = rescued.iter().map(|one| (one.kind, one.rescues, one.pending)).collect();
        assert_eq!(seen, [(kind, 1, pending)]);
        let lease = scene.take_one(kind).await;
        match kind {
            JobKind::Provision => scene.provision(&lease, created).await,
            JobKind::Verify => scene.verify(&lease).await,
            JobKind::Report => assert_eq!(scene.seal(&lease).await, 1),
        }
    }
}

/// Each loss is counted once, by whichever process finds it.
pub async fn two_rescuers_at_once_rescue_each_job_once(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running("a.csv", 40, 1).await;
    let other = world.other();
    let holder = scene.worker();
    for rescues in 1..=3 {
        let sends = scene.ledger.take_ready(100).await.unwrap();
        assert_eq!(sends.len(), 40);
        for send in &sends {
            take(&scene, &holder, send).await;
        }
        world.advance(LEASE).await;
        let (a, b) =
            both(scene.ledger.rescue(scene.worker().id, true), other.rescue(scene.worker().id, true)).await;
        let rescued = [a.unwrap(), b.unwrap()].concat();
        let different: BTreeSet<JobId> = rescued_ids(&rescued).into_iter().collect();
        assert_eq!((rescued.len(), different.len()), (40, 40));
        assert!(rescued.iter().all(|one| one.rescues == rescues));
    }
}

/// A process that lost its registration goes on under another name, and nothing counts as a death.
pub async fn an_old_identity_is_handed_back_without_a_rescue(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running("a.csv", 1, 1).await;
    let (old, new) = (scene.worker(), scene.worker());
    let lost = scene.ledger.register(&old).await.unwrap();
    let send = scene.ledger.take_ready(1).await.unwrap().remove(0);
    let lease = scene.claim(&send, old.id).await;
    drop(lost);
    let _presence = scene.ledger.register(&new).await.unwrap();
    assert_eq!(scene.ledger.retire(old.id).await.unwrap(), 1);
    assert_eq!(scene.ledger.retire(old.id).await.unwrap(), 0);
    assert_eq!(world.count("workers").await, 1);
    let again = scene.take_one(JobKind::Provision).await;
    assert_eq!((again.of.id, again.of.rescues, again.of.attempts), (lease.of.id, 0, 0));
}

/// The relay's successor does not wait.
pub async fn a_dead_holder_of_a_role_is_followed_at_once(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let mut living = Vec::new();
    let ttl = Duration::from_secs(30);
    let mut last: Option<WorkerId> = None;
    for struck_off_first in [false, true, false] {
        let next = scene.worker();
        if let Some(last) = last {
            world.process_dies(last).await;
        }
        living.push(scene.ledger.register(&next).await.unwrap());
        if struck_off_first {
            scene.ledger.rescue(next.id, false).await.unwrap();
        }
        assert!(scene.ledger.lead(Duty::Relay, next.id, ttl).await.unwrap(), "after {last:?}");
        assert!(scene.ledger.lead(Duty::Relay, next.id, ttl).await.unwrap());
        assert!(!scene.ledger.lead(Duty::Relay, WorkerId(uuid::Uuid::max()), ttl).await.unwrap());
        last = Some(next.id);
    }
}

/// A batch whose workers died as often as that is halved.
async fn dies_three_times(scene: &Scene<'_>, world: &impl LedgerWorld) -> Rescued {
    let (holder, me) = (scene.worker(), scene.worker());
    let mut last = None;
    for _ in 0..3 {
        let send = scene.ledger.take_ready(1).await.unwrap().remove(0);
        take(scene, &holder, &send).await;
        world.advance(LEASE).await;
        last = scene.ledger.rescue(me.id, true).await.unwrap().pop();
    }
    last.unwrap()
}

async fn batch_sizes(scene: &Scene<'_>) -> Vec<(Option<BatchId>, Vec<i64>, i32)> {
    let mut seen = Vec::new();
    for lease in scene.take_all().await {
        let items = scene.ledger.pending_items(&lease).await.unwrap();
        let seqs = items.iter().map(|item| item.seq.0).collect();
        seen.push((lease.of.batch, seqs, lease.of.rescues));
        scene.provision(&lease, created).await;
    }
    seen
}

/// Progress resets the count: deaths of holders that made progress don't add up.
pub async fn results_clear_the_deaths_before_them(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running("a.csv", 4, 4).await;
    let (holder, me) = (scene.worker(), scene.worker());
    let mut deaths = Vec::new();
    for results in [0, 0, 1, 0, 2] {
        let send = scene.ledger.take_ready(1).await.unwrap().remove(0);
        let lease = take(&scene, &holder, &send).await;
        let done = scene.results(&lease, created).await;
        scene.ledger.write_back(&lease, &done[..results], 1).await.unwrap();
        scene.ledger.write_back(&lease, &done[..results], 1).await.unwrap(); // told again, it is nothing new
        world.advance(LEASE).await;
        deaths.push(scene.ledger.rescue(me.id, true).await.unwrap().remove(0).rescues);
    }
    assert_eq!(deaths, [1, 2, 1, 2, 1]);
}

/// Both halves together are what the batch was, and both start with fewer deaths.
pub async fn a_halved_batch_is_two_that_add_up(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 7, 7).await;
    let lease = scene.take_one(JobKind::Provision).await;
    let results = scene.results(&lease, created).await;
    let ended = [results[0].clone(), results[6].clone()];
    scene.ledger.write_back(&lease, &ended, 2).await.unwrap();
    let back = Verdict::Snooze { after: Duration::ZERO, code: Code::Interrupted };
    scene.ledger.conclude(&lease, &back, None).await.unwrap();
    let rescued = dies_three_times(&scene, &world).await;
    assert_eq!((rescued.rescues, rescued.pending), (3, 5));

    let into = scene.batch();
    assert_eq!(scene.ledger.halve(rescued.job, into).await.unwrap(), 3);
    let view = scene.view(run).await;
    assert_eq!((view.tally.source, view.tally.created, view.tally.pending), (7, 2, 5));
    assert_eq!((view.open_batches, view.round), (2, 1));
    let old = lease.of.batch;
    assert_eq!(batch_sizes(&scene).await, [(old, vec![2, 3], 2), (Some(into), vec![4, 5, 6], 2)]);
    scene.finish(created).await;
    let view = scene.view(run).await;
    assert_eq!((view.state, view.tally.created, view.verified), (RunState::Sealed, 7, 7));
}

/// A send that is under way stays good: it finds the half.
pub async fn a_batch_is_halved_while_its_send_is_under_way(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running("a.csv", 4, 4).await;
    dies_three_times(&scene, &world).await;
    let send = scene.ledger.take_ready(1).await.unwrap().remove(0);
    assert_eq!(scene.ledger.halve(send.job, scene.batch()).await.unwrap(), 2);
    let lease = scene.claim(&send, scene.worker().id).await;
    assert_eq!(scene.ledger.pending_items(&lease).await.unwrap().len(), 2);
    let other_half = scene.take_one(JobKind::Provision).await;
    assert_eq!(scene.ledger.pending_items(&other_half).await.unwrap().len(), 2);
}

/// One user, a held job, an ended one, or one of another kind.
pub async fn what_can_not_be_halved_stays_as_it_is(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 3, 2).await;
    let halve = async |job: JobId| scene.ledger.halve(job, scene.batch()).await.unwrap();
    let sends = scene.ledger.take_ready(2).await.unwrap();
    assert_eq!(halve(sends[1].job).await, 0, "it has one user");
    let lease = scene.claim(&sends[0], scene.worker().id).await;
    assert_eq!(halve(sends[0].job).await, 0, "it is held");
    scene.provision(&lease, created).await;
    assert_eq!(halve(sends[0].job).await, 0, "it has ended");
    let verify = scene.ledger.take_ready(1).await.unwrap().remove(0);
    assert_eq!((verify.kind, halve(verify.job).await), (JobKind::Verify, 0));
    assert_eq!(halve(JobId(uuid::Uuid::max())).await, 0, "there is no such job");
    let expected = jobs([("provision done", 1), ("provision queued", 1), ("verify queued", 1)]);
    assert_eq!(scene.jobs(run).await, expected);
    assert_eq!(scene.view(run).await.open_batches, 2);
}

/// Either order is fine: the worker reads all of it, or the half.
pub async fn a_halving_and_a_claim_at_once_lose_no_user(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let other = world.other();
    for round in 0..8 {
        let run = scene.running(&format!("{round}.csv"), 4, 4).await;
        let send = scene.ledger.take_ready(1).await.unwrap().remove(0);
        let worker = scene.worker().id;
        let (lease, went) = both(
            scene.ledger.claim(send.job, send.send, worker, LEASE),
            other.halve(send.job, scene.batch()),
        )
        .await;
        let (lease, went) = (lease.unwrap().unwrap(), went.unwrap());
        assert!(went == 0 || went == 2);
        let read = scene.ledger.pending_items(&lease).await.unwrap();
        assert_eq!(i64::try_from(read.len()).unwrap() + went, 4);
        scene.provision(&lease, created).await;
        scene.finish(created).await;
        let tally = scene.view(run).await.tally;
        assert_eq!(tally, Tally { source: 4, created: 4, ..Tally::default() });
    }
}

/// The deadly user fails with a code of its own, with a letter, and everybody else arrives.
pub async fn a_deadly_batch_is_given_up_with_a_letter(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 3, 1).await;
    let rescued = dies_three_times(&scene, &world).await;
    let rescuer = scene.worker();
    scene.ledger.heartbeat(&rescuer, LEASE, &[]).await.unwrap();
    assert!(scene.ledger.give_up(rescued.job, Code::CrashedWorker, rescuer.id).await.unwrap());
    assert!(
        !scene.ledger.give_up(rescued.job, Code::CrashedWorker, scene.worker().id).await.unwrap(),
        "it has ended"
    );
    assert_eq!(world.count("dead_letters").await, 1);
    let letter = scene.ledger.dead(&Default::default(), 10).await.unwrap().remove(0);
    assert_eq!((letter.job, letter.code, letter.users), (Some(rescued.job), Code::CrashedWorker, 1));
    assert_eq!((letter.rescues, letter.given_up_by.as_str()), (3, "host/1"));

    let send = scene.ledger.take_ready(1).await.unwrap().remove(0);
    let held = scene.claim(&send, scene.worker().id).await;
    assert!(
        !scene.ledger.give_up(held.of.id, Code::CrashedWorker, scene.worker().id).await.unwrap(),
        "it is held"
    );
    scene.provision(&held, created).await;
    scene.finish(created).await;
    let tally = scene.view(run).await.tally;
    assert_eq!(tally, Tally { source: 3, created: 2, failed: 1, ..Tally::default() });
    let failed = failed_items(&scene, run).await;
    assert_eq!(failed, [Some(Code::CrashedWorker)]);
}

async fn failed_items(scene: &Scene<'_>, run: RunId) -> Vec<Option<Code>> {
    let items = scene.items(run).await;
    items.into_iter().filter(|item| item.state == ItemState::Failed).map(|item| item.code).collect()
}

/// A verification and a report whose workers die leave the run with an end all the same.
pub async fn a_deadly_verification_and_report_are_given_up(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 2, 2).await;
    let lease = scene.take_one(JobKind::Provision).await;
    scene.provision(&lease, created).await;
    let verify = scene.ledger.take_ready(1).await.unwrap().remove(0);
    assert!(
        scene.ledger.give_up(verify.job, Code::CrashedWorker, scene.worker().id).await.unwrap(),
        "while queued"
    );
    let view = scene.view(run).await;
    assert_eq!((view.state, view.verified, view.discrepancies), (RunState::Sealing, 0, 2));
    assert_eq!(scene.ledger.discrepancies(run, ItemSeq(0), 10).await.unwrap().len(), 2);
    assert!(scene.ledger.claim(verify.job, verify.send, scene.worker().id, LEASE).await.unwrap().is_none());

    let report = scene.ledger.take_ready(1).await.unwrap().remove(0);
    assert_eq!(report.kind, JobKind::Report);
    assert_eq!(scene.ledger.halve(report.job, scene.batch()).await.unwrap(), 0, "it has no batch");
    assert_eq!(scene.ledger.unsend(std::slice::from_ref(&report)).await.unwrap(), 1);
    assert!(
        scene.ledger.give_up(report.job, Code::CrashedWorker, scene.worker().id).await.unwrap(),
        "while ready"
    );
    assert_eq!(world.count("dead_letters").await, 2);
    world.advance(Duration::from_secs(31)).await;
    assert_eq!(scene.ledger.seal_finished().await.unwrap(), 1);
    let lease = scene.take_one(JobKind::Report).await;
    assert_eq!(scene.seal(&lease).await, 1);
}

/// A foreign delivery is told from a stale one.
pub async fn a_delivery_that_is_not_claimed_says_why(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 2, 1).await;
    let sends = scene.ledger.take_ready(2).await.unwrap();
    let why = async |envelope: Envelope| scene.ledger.why_unclaimed(&envelope).await.unwrap();
    let good = sends[0].clone();
    scene.claim(&good, scene.worker().id).await;
    assert_eq!(why(good.clone()).await, Unclaimed::Stale, "it was taken");
    assert_eq!(why(Envelope { send: 0, ..good.clone() }).await, Unclaimed::Stale, "it was sent before");
    assert_eq!(why(Envelope { send: 7, ..good.clone() }).await, Unclaimed::Ahead);
    assert_eq!(why(Envelope { job: JobId(uuid::Uuid::max()), ..good.clone() }).await, Unclaimed::Unknown);
    for foreign in [
        Envelope { batch: sends[1].batch, ..good.clone() },
        Envelope { batch: None, ..good.clone() },
        Envelope { kind: JobKind::Verify, ..good.clone() },
        Envelope { run: scene.new_run("b.csv").id, send: 7, ..good.clone() },
    ] {
        assert_eq!(why(foreign).await, Unclaimed::Mismatch);
    }
    assert_eq!(scene.jobs(run).await, jobs([("provision leased", 1), ("provision queued", 1)]));
}

/// The half is due when the whole was, and its users have been tried as often.
pub async fn a_half_is_as_old_and_as_often_tried_as_the_whole(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 4, 4).await;
    let lease = scene.take_one(JobKind::Provision).await;
    let retry = Verdict::Retry { after: Duration::ZERO, code: Code::ServerError };
    scene.ledger.conclude(&lease, &retry, None).await.unwrap();
    world.advance(Duration::from_secs(5)).await;
    let younger = scene.running("b.csv", 1, 1).await;
    assert_eq!(scene.ledger.halve(lease.of.id, scene.batch()).await.unwrap(), 2);
    let sends = scene.ledger.take_ready(10).await.unwrap();
    assert_eq!(sends.iter().map(|send| send.run).collect::<Vec<_>>(), [run, run, younger]);
    let half = scene.claim(&sends[1], scene.worker().id).await;
    assert_eq!((half.of.attempts, half.token), (1, lease.token + 1));
}
