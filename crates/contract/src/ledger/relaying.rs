//! Cases of the relay and the loops beside it.

use std::{collections::BTreeSet, time::Duration};

use super::{
    LedgerWorld,
    scene::{ANN, LEASE, Scene, created, job_ids, jobs},
    together::both,
};
use ferry_domain::{
    code::Code,
    ids::JobId,
    job::{Envelope, JobKind, Lane, Verdict},
    ports::{Command, DeadFilter, DeadLetter, Duty},
    run::RunMove,
};

const NOW: Duration = Duration::ZERO;

/// Reports before provisioning before verifying; within a kind the oldest, in order of batches.
pub async fn jobs_are_taken_by_priority_and_age(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let older = scene.running("a.csv", 6, 2).await;
    world.advance(Duration::from_secs(5)).await;
    let younger = scene.running("b.csv", 1, 1).await;

    let first = scene.ledger.take_ready(1).await.unwrap().remove(0);
    let lease = scene.claim(&first, scene.worker().id).await;
    let items = scene.ledger.pending_items(&lease).await.unwrap();
    assert_eq!(items.iter().map(|item| item.seq.0).collect::<Vec<_>>(), [1, 2], "the first batch goes first");
    scene.provision(&lease, created).await;
    let second = scene.ledger.take_ready(1).await.unwrap().remove(0);
    let tried = scene.claim(&second, scene.worker().id).await;
    let again = Verdict::Retry { after: NOW, code: Code::ServerError };
    scene.ledger.conclude(&tried, &again, None).await.unwrap();

    let rest = scene.ledger.take_ready(10).await.unwrap();
    let order: Vec<_> = rest.iter().map(|send| (send.kind, send.run)).collect();
    let expected = [
        (JobKind::Provision, older),
        (JobKind::Provision, older),
        (JobKind::Provision, younger),
        (JobKind::Verify, older),
    ];
    assert_eq!(order, expected);
    assert_eq!(rest[0].job, second.job, "a retry does not wait behind the run");
    assert!(rest.iter().all(|send| send.version == Envelope::VERSION));
}

/// `not_before` and the run's state hold jobs back.
pub async fn jobs_wait_for_their_time_and_their_run(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.planned("a.csv", 2, 2).await;
    assert!(scene.ledger.take_ready(10).await.unwrap().is_empty(), "the run is not started");
    scene.ledger.start(run, &ANN).await.unwrap();
    let lease = scene.take_one(JobKind::Provision).await;
    let later = Verdict::Snooze { after: Duration::from_secs(20), code: Code::RateLimited };
    scene.ledger.conclude(&lease, &later, None).await.unwrap();

    assert!(scene.ledger.take_ready(10).await.unwrap().is_empty(), "it is snoozed");
    world.advance(Duration::from_secs(10)).await;
    assert!(scene.ledger.take_ready(10).await.unwrap().is_empty(), "its time has not come");
    world.advance(Duration::from_secs(11)).await;
    assert_eq!(scene.take_one(JobKind::Provision).await.of.id, lease.of.id);
}

/// They don't wait behind the others, and a pause holds for them too.
pub async fn the_rescued_are_taken_without_the_others(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running("a.csv", 5, 1).await;
    assert!(scene.ledger.take_rescued(10).await.unwrap().is_empty(), "no process has died");
    let sends = scene.ledger.take_ready(3).await.unwrap();
    for send in &sends[1..] {
        scene.claim(send, scene.worker().id).await;
    }
    world.advance(LEASE).await;
    assert_eq!(scene.rescue_expired().await.len(), 2);
    let rescued = scene.ledger.take_rescued(1).await.unwrap();
    assert_eq!(job_ids(&rescued), job_ids(&sends[1..2]), "the older one");
    assert_eq!((rescued[0].send, rescued[0].rescues, rescued[0].lane()), (2, 1, Lane::Rescued));
    let stop_all = Command { by: "somebody", reason: None };
    scene.ledger.stop_all(true, &stop_all).await.unwrap();
    assert!(scene.ledger.take_rescued(10).await.unwrap().is_empty(), "all is stopped");
    scene.ledger.stop_all(false, &stop_all).await.unwrap();
    assert_eq!(job_ids(&scene.ledger.take_rescued(10).await.unwrap()), job_ids(&sends[2..]));
    assert!(scene.ledger.take_rescued(10).await.unwrap().is_empty());
    let others = scene.ledger.take_ready(10).await.unwrap();
    assert!(others.iter().all(|send| send.lane() == Lane::Usual) && others.len() == 2);
}

/// Two relays at the same time, as after a role was taken over.
pub async fn two_relays_never_take_the_same_job(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running("a.csv", 60, 1).await;
    let other = world.other();
    let mut taken: Vec<JobId> = Vec::new();
    for _ in 0..10 {
        let (mine, theirs) = both(scene.ledger.take_ready(4), other.take_ready(4)).await;
        for sends in [mine.unwrap(), theirs.unwrap()] {
            assert!(sends.len() <= 4);
            taken.extend(job_ids(&sends));
        }
    }
    let different: BTreeSet<JobId> = taken.iter().copied().collect();
    assert_eq!((taken.len(), different.len()), (60, 60));
    assert_eq!(scene.ledger.queued().await.unwrap(), 60);
    assert!(scene.ledger.take_ready(4).await.unwrap().is_empty());
}

/// The send counter tells an old delivery from the current one.
pub async fn a_stale_delivery_gets_nothing(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running("a.csv", 1, 1).await;
    let worker = scene.worker().id;
    let old = scene.ledger.take_ready(1).await.unwrap().remove(0);
    assert_eq!(scene.ledger.unsend(std::slice::from_ref(&old)).await.unwrap(), 1);
    assert!(
        scene.ledger.claim(old.job, old.send, worker, LEASE).await.unwrap().is_none(),
        "it was taken back"
    );
    let new = scene.ledger.take_ready(1).await.unwrap().remove(0);
    assert!(scene.ledger.claim(old.job, old.send, worker, LEASE).await.unwrap().is_none(), "an old send");
    assert!(
        scene.ledger.claim(new.job, new.send + 1, worker, LEASE).await.unwrap().is_none(),
        "no such send"
    );

    let other = world.other();
    let second = scene.worker().id;
    let (a, b) = both(
        scene.ledger.claim(new.job, new.send, worker, LEASE),
        other.claim(new.job, new.send, second, LEASE),
    )
    .await;
    let (a, b) = (a.unwrap(), b.unwrap());
    assert!(a.is_some() != b.is_some(), "a doubled delivery is taken once");
    let lease = a.or(b).unwrap();
    assert_eq!(
        (lease.of.id, lease.of.kind, lease.of.attempts, lease.of.rescues),
        (new.job, JobKind::Provision, 0, 0)
    );
    assert!(scene.ledger.claim(new.job, new.send, worker, LEASE).await.unwrap().is_none(), "it is held");
}

/// A completion event that was pushed and then lost with the queue.
pub async fn a_lost_send_is_sent_again_under_a_new_counter(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running("a.csv", 2, 1).await;
    let leases = scene.take_all().await;
    for lease in &leases {
        scene.provision(lease, created).await;
    }
    let lost = scene.ledger.take_ready(1).await.unwrap();
    assert_eq!(lost[0].kind, JobKind::Verify);
    world.advance(Duration::from_secs(20)).await;
    let fresh = scene.ledger.take_ready(1).await.unwrap();
    world.advance(Duration::from_secs(11)).await;

    let old = scene.ledger.queued_longer_than(Duration::from_secs(30), 10).await.unwrap();
    assert_eq!(old, lost, "the other one is young");
    let both_sends = scene.ledger.queued_longer_than(Duration::from_secs(5), 10).await.unwrap();
    assert_eq!(both_sends, [lost[0].clone(), fresh[0].clone()], "oldest first");
    assert_eq!(scene.ledger.queued_longer_than(Duration::from_secs(5), 1).await.unwrap(), lost);

    scene.claim(&fresh[0], scene.worker().id).await;
    assert_eq!(scene.ledger.unsend(&both_sends).await.unwrap(), 1, "what moved on is left alone");
    assert_eq!(scene.ledger.unsend(&both_sends).await.unwrap(), 0);
    let again = scene.ledger.take_ready(10).await.unwrap();
    assert_eq!(job_ids(&again), job_ids(&lost));
    assert!(again[0].send > lost[0].send);
    assert_eq!(
        scene.ledger.unsend(&lost).await.unwrap(),
        0,
        "an old send takes nothing back from the new one"
    );
}

/// One active relay among all processes.
pub async fn a_role_has_one_holder(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let other = world.other();
    let (ann, bob) = (scene.worker().id, scene.worker().id);
    let ttl = Duration::from_secs(10);
    let (a, b) = both(scene.ledger.lead(Duty::Relay, ann, ttl), other.lead(Duty::Relay, bob, ttl)).await;
    let (a, b) = (a.unwrap(), b.unwrap());
    assert!(a != b, "only one of two leads");
    let (holder, waiting) = if a { (ann, bob) } else { (bob, ann) };

    assert!(other.lead(Duty::Exporter, waiting, ttl).await.unwrap(), "duties are apart");
    world.advance(Duration::from_secs(6)).await;
    assert!(scene.ledger.lead(Duty::Relay, holder, ttl).await.unwrap(), "the holder keeps it");
    world.advance(Duration::from_secs(6)).await;
    assert!(!other.lead(Duty::Relay, waiting, ttl).await.unwrap(), "it was renewed 6 s ago");
    world.advance(Duration::from_secs(5)).await;
    assert!(other.lead(Duty::Relay, waiting, ttl).await.unwrap(), "it ran out");
    assert!(!scene.ledger.lead(Duty::Relay, holder, ttl).await.unwrap());

    scene.ledger.step_down(Duty::Relay, holder).await.unwrap();
    assert!(!scene.ledger.lead(Duty::Relay, holder, ttl).await.unwrap(), "only the holder can give it up");
    assert!(other.lead(Duty::Exporter, waiting, ttl).await.unwrap());
    other.step_down(Duty::Relay, waiting).await.unwrap();
    assert!(!scene.ledger.lead(Duty::Exporter, holder, ttl).await.unwrap(), "its other duty stays its own");
    assert!(scene.ledger.lead(Duty::Relay, holder, ttl).await.unwrap(), "given up, it is free at once");
}

/// The window follows from the slots of processes that live.
pub async fn slots_of_live_workers_are_counted(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let fresh = Duration::from_secs(10);
    assert_eq!(scene.ledger.live_slots(fresh).await.unwrap(), 0);
    let (mut old, young) = (scene.worker(), scene.worker());
    scene.ledger.heartbeat(&old, LEASE, &[]).await.unwrap();
    world.advance(Duration::from_secs(8)).await;
    scene.ledger.heartbeat(&young, LEASE, &[]).await.unwrap();
    assert_eq!(scene.ledger.live_slots(fresh).await.unwrap(), 8);
    world.advance(Duration::from_secs(3)).await;
    assert_eq!(scene.ledger.live_slots(fresh).await.unwrap(), 4, "one has not been seen for 11 s");
    old.slots = 9;
    scene.ledger.heartbeat(&old, LEASE, &[]).await.unwrap();
    assert_eq!(scene.ledger.live_slots(fresh).await.unwrap(), 13);
    scene.ledger.retire(young.id).await.unwrap();
    assert_eq!(scene.ledger.live_slots(fresh).await.unwrap(), 9);
    assert_eq!(world.count("workers").await, 1);
}

/// Dead letters, of any bytes and any length.
pub async fn unreadable_payloads_are_kept(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    for payload in [vec![], vec![0, 159, 146, 150], vec![b'x'; 10_000]] {
        let letter = DeadLetter {
            queue: "ferry:provision".into(),
            payload,
            code: ferry_domain::Code::Undecodable,
            reason: "no JSON".into(),
            by: "host/1".into(),
        };
        scene.ledger.bury(&letter).await.unwrap();
    }
    assert_eq!(world.count("dead_letters").await, 3);
    let mut kept = Vec::new();
    for letter in scene.ledger.dead(&DeadFilter::default(), 10).await.unwrap().into_iter().rev() {
        kept.push(scene.ledger.dead_payload(letter.id).await.unwrap().unwrap());
    }
    assert_eq!(kept, [vec![], vec![0, 159, 146, 150], vec![b'x'; 4096]], "at most the first 4 KiB");
}

/// A rescue puts a job first in line; it lifts neither its pause nor its run's.
pub async fn the_rescued_wait_for_their_time_and_their_run(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 2, 1).await;
    let leases = scene.take_all().await;
    world.advance(LEASE).await;
    assert_eq!(scene.rescue_expired().await.len(), 2);
    let sends = scene.ledger.take_rescued(10).await.unwrap();
    let lease = scene.claim(&sends[0], scene.worker().id).await;
    let later = Verdict::Snooze { after: Duration::from_secs(20), code: Code::RateLimited };
    scene.ledger.conclude(&lease, &later, None).await.unwrap();
    assert!(scene.ledger.take_rescued(10).await.unwrap().is_empty(), "it is snoozed");
    world.advance(Duration::from_secs(21)).await;
    scene.ledger.move_run(run, RunMove::Pause, &ANN).await.unwrap();
    assert!(scene.ledger.take_rescued(10).await.unwrap().is_empty(), "its run is paused");
    scene.ledger.move_run(run, RunMove::Cancel, &ANN).await.unwrap();
    let sends = scene.ledger.take_rescued(10).await.unwrap();
    assert_eq!(job_ids(&sends), [leases[0].of.id], "Auth0 has to be asked about its user");
}

/// Verifications keep nothing for who comes next, so they have no lane of their own.
pub async fn only_provisioning_is_taken_as_rescued(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    scene.running("a.csv", 1, 1).await;
    let lease = scene.take_one(JobKind::Provision).await;
    scene.provision(&lease, created).await;
    let verify = scene.take_one(JobKind::Verify).await;
    world.advance(LEASE).await;
    assert_eq!(scene.rescue_expired().await, [verify.of.id]);
    assert!(scene.ledger.take_rescued(10).await.unwrap().is_empty());
    let send = scene.ledger.take_ready(10).await.unwrap().remove(0);
    assert_eq!((send.job, send.rescues, send.lane()), (verify.of.id, 1, Lane::Usual));
}

/// A job that has ended is not ready again, whatever the queue still holds of it.
pub async fn the_send_of_an_ended_job_is_not_taken_back(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 1, 1).await;
    let send = scene.ledger.take_ready(1).await.unwrap().remove(0);
    let lease = scene.claim(&send, scene.worker().id).await;
    scene.provision(&lease, created).await;
    assert_eq!(scene.ledger.unsend(&[send]).await.unwrap(), 0);
    assert_eq!(scene.jobs(run).await, jobs([("provision done", 1), ("verify ready", 1)]));
}

/// The oldest first, among those that a rescue put first; what is held or sent is not among them.
pub async fn the_older_of_the_rescued_go_first(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let older = scene.running("a.csv", 2, 1).await;
    world.advance(Duration::from_secs(5)).await;
    let younger = scene.running("b.csv", 1, 1).await;
    scene.take_all().await;
    world.advance(LEASE).await;
    assert_eq!(scene.rescue_expired().await.len(), 3);

    let first = scene.ledger.take_rescued(1).await.unwrap().remove(0);
    assert_eq!(first.run, older);
    scene.claim(&first, scene.worker().id).await;
    let rest = scene.ledger.take_rescued(10).await.unwrap();
    assert_eq!(rest.iter().map(|send| send.run).collect::<Vec<_>>(), [older, younger]);
    assert_eq!(scene.ledger.unsend(&rest).await.unwrap(), 2);
    scene.ledger.move_run(older, RunMove::Stop, &ANN).await.unwrap();
    let rest = scene.ledger.take_rescued(10).await.unwrap();
    assert_eq!(rest.iter().map(|send| send.run).collect::<Vec<_>>(), [younger], "the other run is stopped");
}

/// A run that has ended is told so before another one's users are sent; and each run has a
/// report of its own.
pub async fn a_report_goes_before_the_users_of_another_run(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 1, 1).await;
    let lease = scene.take_one(JobKind::Provision).await;
    scene.provision(&lease, created).await;
    let lease = scene.take_one(JobKind::Verify).await;
    let other = scene.running("b.csv", 1, 1).await;
    world.advance(Duration::from_secs(5)).await;
    scene.verify(&lease).await;
    let next = scene.ledger.take_ready(1).await.unwrap().remove(0);
    assert_eq!((next.kind, next.run), (JobKind::Report, run));

    let lease = scene.take_one(JobKind::Provision).await;
    scene.provision(&lease, created).await;
    let lease = scene.take_one(JobKind::Verify).await;
    scene.verify(&lease).await;
    let expected = jobs([("provision done", 1), ("verify done", 1), ("report ready", 1)]);
    assert_eq!(scene.jobs(other).await, expected);
}

/// The window of a relay is what is on its way, no more and no less.
pub async fn only_what_is_on_its_way_counts_and_is_taken_back(world: impl LedgerWorld) {
    let scene = Scene::new(&world).await;
    let run = scene.running("a.csv", 4, 1).await;
    let sends = scene.ledger.take_ready(3).await.unwrap();
    scene.claim(&sends[0], scene.worker().id).await;
    assert_eq!(scene.ledger.queued().await.unwrap(), 2, "one is ready, one is held");
    assert_eq!(scene.ledger.unsend(&sends[1..2]).await.unwrap(), 1);
    assert_eq!(scene.ledger.queued().await.unwrap(), 1);
    let expected = jobs([("provision leased", 1), ("provision queued", 1), ("provision ready", 2)]);
    assert_eq!(scene.jobs(run).await, expected);
}
