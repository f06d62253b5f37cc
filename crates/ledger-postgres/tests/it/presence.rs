use std::time::Instant;

use ferry_domain::{
    WorkerId,
    ports::{Duty, Items, Leases, LedgerError, Loss, Processes, Whose, WorkerRecord},
};
use ferry_testbed::until;

use crate::world::{LEASE, in_database, keys, lease_all, running, worker};

fn record(id: WorkerId) -> WorkerRecord {
    WorkerRecord { id, host: "host".into(), pid: 7, slots: 4, waiting_for: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_process_is_seen_at_once_and_the_living_keep_what_they_hold() {
    in_database(|database| async move {
        let (a, b) = (database.migrated().await, database.ledger().await);
        let (ann, bob, me) = (worker(1), worker(2), worker(3));
        let dying = a.register(&record(ann)).await.unwrap();
        let living = b.register(&record(bob)).await.unwrap();
        assert_eq!((&dying.unwatched, &living.unwatched), (&None, &None));
        running(&a, 1, None, &[keys(1..=2)]).await;
        let lost = lease_all(&a, ann, LEASE).await.remove(0);
        running(&b, 2, None, &[keys(1..=2)]).await;
        let held = lease_all(&b, bob, LEASE).await.remove(0);
        assert!(b.rescue(me, true).await.unwrap().is_empty(), "both live");

        let died = Instant::now();
        database.end_presence(ann).await;
        let rescued = b.rescue(me, false).await.unwrap();
        println!("rescued {:?} after the session was ended", died.elapsed());
        let seen: Vec<_> = rescued.iter().map(|one| (one.job, one.holder, one.because)).collect();
        assert_eq!(seen, [(lost.of.id, ann, Loss::Dead)]);
        dying.lost.await; // the process itself learns of it, too
        assert!(matches!(a.pending_items(&lost).await, Err(LedgerError::LeaseLost)));
        assert_eq!(b.pending_items(&held).await.unwrap().len(), 2);
        let workers = b.workers().await.unwrap();
        let seen: Vec<_> = workers.iter().map(|view| (view.record.id, view.watched, view.leases)).collect();
        assert_eq!(seen, [(bob, true, 1)]);

        drop(living);
        let mut rescued = Vec::new();
        until("its job is rescued", async || {
            rescued = a.rescue(me, false).await.unwrap();
            !rescued.is_empty()
        })
        .await;
        assert_eq!(
            rescued.iter().map(|one| one.job).collect::<Vec<_>>(),
            [held.of.id],
            "given up by dropping"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_sees_the_dead_leader_or_all_dead_before_anything_is_taken_back() {
    in_database(|database| async move {
        let (a, b) = (database.migrated().await, database.ledger().await);
        let (ann, bob, cyd, me) = (worker(1), worker(2), worker(3), worker(4));
        let _dying = [a.register(&record(ann)).await.unwrap(), a.register(&record(bob)).await.unwrap()];
        let _living = b.register(&record(cyd)).await.unwrap();
        b.heartbeat(&record(worker(5)), LEASE, &[]).await.unwrap(); // nobody watches this one
        let leader = Whose::Leader(Duty::Relay);
        assert!(a.lead(Duty::Relay, bob, LEASE).await.unwrap());
        assert_eq!(b.died(me, Whose::Anyone).await.unwrap(), []);

        database.end_presence(ann).await;
        for _ in 0..2 {
            assert_eq!(b.died(me, Whose::Anyone).await.unwrap(), [ann], "asking takes nothing");
        }
        assert_eq!(b.died(ann, Whose::Anyone).await.unwrap(), [], "nobody asks for itself");
        assert_eq!(b.died(me, leader).await.unwrap(), [], "another one leads");
        database.end_presence(bob).await;
        assert_eq!(b.died(me, leader).await.unwrap(), [bob]);
        assert_eq!(b.died(me, Whose::Leader(Duty::Exporter)).await.unwrap(), [], "nobody leads it");
        b.rescue(me, false).await.unwrap();
        assert_eq!(b.died(me, Whose::Anyone).await.unwrap(), [], "they are struck off");
    })
    .await;
}

#[tokio::test]
async fn an_identity_is_registered_once_and_a_lost_one_is_not_taken_up_again_by_its_heartbeat() {
    in_database(|database| async move {
        let (a, b) = (database.migrated().await, database.ledger().await);
        let presence = a.register(&record(worker(1))).await.unwrap();
        let twice = b.register(&record(worker(1))).await.unwrap_err();
        assert!(matches!(&twice, LedgerError::Refused(why) if why.contains("another identity")), "{twice}");

        running(&a, 1, None, &[keys(1..=1)]).await;
        lease_all(&a, worker(1), LEASE).await;
        database.end_presence(worker(1)).await;
        presence.lost.await;
        assert_eq!(b.rescue(worker(2), false).await.unwrap().len(), 1);
        // Late, before the process takes another identity.
        a.heartbeat(&record(worker(1)), LEASE, &[]).await.unwrap();
        assert_eq!(database.ask("SELECT watched FROM ferry.workers").await, "false");
        let held = lease_all(&a, worker(1), LEASE).await;
        assert!(b.rescue(worker(2), false).await.unwrap().is_empty(), "only time takes this one");
        let presence = a.register(&record(worker(3))).await.unwrap();
        assert_eq!(a.retire(worker(1)).await.unwrap(), 1);
        assert!(matches!(a.pending_items(&held[0]).await, Err(LedgerError::LeaseLost)));
        drop(presence);
    })
    .await;
}

#[tokio::test]
async fn what_somebody_writes_right_now_is_rescued_at_the_next_look() {
    in_database(|database| async move {
        let ledger = database.migrated().await;
        running(&ledger, 1, None, &[keys(1..=1), keys(2..=2)]).await;
        let gone = lease_all(&ledger, worker(1), LEASE).await; // it never had a row, or has none any more
        let mut writing = database.connect().await;
        crate::world::execute(&mut writing, "BEGIN").await;
        let lock = format!("SELECT FROM ferry.jobs WHERE id = '{}' FOR UPDATE", gone[0].of.id);
        crate::world::execute(&mut writing, &lock).await;
        let first = ledger.rescue(worker(2), false).await.unwrap();
        assert_eq!(first.iter().map(|one| one.job).collect::<Vec<_>>(), [gone[1].of.id]);
        crate::world::execute(&mut writing, "ROLLBACK").await;
        let second = ledger.rescue(worker(2), false).await.unwrap();
        assert_eq!(second.iter().map(|one| one.job).collect::<Vec<_>>(), [gone[0].of.id]);
    })
    .await;
}

#[tokio::test]
async fn processes_that_nobody_watches_are_struck_off_after_a_minute_of_silence() {
    in_database(|database| async move {
        let ledger = database.migrated().await;
        ledger.heartbeat(&record(worker(1)), LEASE, &[]).await.unwrap();
        ledger.heartbeat(&record(worker(2)), LEASE, &[]).await.unwrap();
        let watched = ledger.register(&record(worker(4))).await.unwrap();
        for (number, seconds) in [(1, 61), (2, 50), (4, 61)] {
            let silent = format!("UPDATE ferry.workers SET seen_at = seen_at - interval '{seconds} s'");
            database.execute(&format!("{silent} WHERE id = '{}'", worker(number))).await;
        }
        assert!(ledger.rescue(worker(3), false).await.unwrap().is_empty());
        let left = "SELECT string_agg(id::text, ' ' ORDER BY id) FROM ferry.workers";
        assert_eq!(database.ask(left).await, format!("{} {}", worker(2), worker(4)));

        database.end_presence(worker(4)).await;
        watched.lost.await;
        assert!(ledger.rescue(worker(3), false).await.unwrap().is_empty());
        assert_eq!(database.ask(left).await, worker(2).to_string(), "it held nothing and is seen to be dead");
    })
    .await;
}
