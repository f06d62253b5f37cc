use std::time::Duration;

use ferry_domain::{
    Code, JobKind, JobState, RunId, RunState, Verdict,
    ports::{BatchVerification, Items, JobCount, Jobs, Leases, LedgerError, Reports, Runs},
};

use crate::world::{self, LEASE, created, execute, id, in_database, keys, lease_all, running, worker};

#[tokio::test]
async fn a_late_owner_writes_nothing_after_the_new_one_has_read() {
    in_database(|database| async move {
        let (old, new) = (database.migrated().await, database.ledger().await);
        running(&old, 1, None, &[keys(1..=32)]).await;
        let lost = lease_all(&old, worker(1), Duration::ZERO).await.remove(0);
        let results = created(&old, &lost).await;

        let rescued = new.rescue(worker(2), true).await.unwrap();
        assert_eq!(rescued.iter().map(|one| one.job).collect::<Vec<_>>(), [lost.of.id]);
        let held = lease_all(&new, worker(2), LEASE).await.remove(0);
        assert_eq!((held.of.rescues, held.token), (1, lost.token + 1));
        let read = new.pending_items(&held).await.unwrap();

        let late = old.write_back(&lost, &results, 32).await;
        assert!(matches!(late, Err(LedgerError::LeaseLost)), "{late:?}");
        assert_eq!(new.pending_items(&held).await.unwrap(), read);
        assert_eq!(database.ask("SELECT requests FROM ferry.batches WHERE state = 'open'").await, "0");
        let done = new.write_back(&held, &created(&new, &held).await, 32).await.unwrap();
        assert!(done.finished());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_owner_that_waited_for_the_claim_is_checked_against_it() {
    in_database(|database| async move {
        let ledger = database.migrated().await;
        running(&ledger, 1, None, &[keys(1..=32)]).await;
        let lost = lease_all(&ledger, worker(1), LEASE).await.remove(0);
        let results = created(&ledger, &lost).await;

        // The claim is made and not committed when the late owner writes.
        let mut claim = database.connect().await;
        execute(&mut claim, "BEGIN").await;
        execute(
            &mut claim,
            "UPDATE ferry.jobs SET token = token + 1, holder = gen_random_uuid() WHERE kind = 'provision'",
        )
        .await;
        let late = tokio::spawn({
            let (ledger, lost) = (ledger.clone(), lost.clone());
            async move { ledger.write_back(&lost, &results, 32).await }
        });
        database.until_blocked().await;
        execute(&mut claim, "COMMIT").await;

        assert!(matches!(late.await.unwrap(), Err(LedgerError::LeaseLost)));
        assert_eq!(database.ask("SELECT count(*) FROM ferry.items WHERE state = 'pending'").await, "32");
    })
    .await;
}

/// The holder saw its run running; the move that it waited for was a person's.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_waited_for_a_move_of_its_run_hands_its_job_back() {
    in_database(|database| async move {
        let ledger = database.migrated().await;
        for (number, state, due) in [(1, "paused", "true"), (2, "cancelling", "false")] {
            running(&ledger, number, None, &[keys(1..=2)]).await;
            let lease = lease_all(&ledger, worker(1), LEASE).await.remove(0);
            let mut moved = database.connect().await;
            execute(&mut moved, "BEGIN").await;
            execute(&mut moved, &format!("UPDATE ferry.runs SET state = '{state}' WHERE state = 'running'")).await;
            let stopping = tokio::spawn({
                let (ledger, lease) = (ledger.clone(), lease.clone());
                async move { ledger.conclude(&lease, &Verdict::Stop { code: Code::ScopeMissing }, None).await }
            });
            database.until_blocked().await;
            execute(&mut moved, "COMMIT").await;

            stopping.await.unwrap().unwrap();
            let job = format!("SELECT state || ' ' || (not_before <= clock_timestamp())::text FROM ferry.jobs WHERE id = '{}'", lease.of.id.0);
            assert_eq!(database.ask(&job).await, format!("ready {due}"), "{state}");
            let run = format!("SELECT state FROM ferry.runs WHERE id = '{}'", lease.of.run.0);
            assert_eq!(database.ask(&run).await, state);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_verifiers_at_once_exactly_one_seals_the_run() {
    in_database(|database| async move {
        let ledger = database.migrated().await;
        for round in 1..=50u128 {
            running(&ledger, round, None, &[keys(1..=1), keys(2..=2)]).await;
            for lease in lease_all(&ledger, worker(1), LEASE).await {
                let results = created(&ledger, &lease).await;
                assert!(ledger.write_back(&lease, &results, 1).await.unwrap().finished());
            }
            let verifiers: Vec<_> = lease_all(&ledger, worker(1), LEASE)
                .await
                .into_iter()
                .map(|lease| {
                    let ledger = ledger.clone();
                    tokio::spawn(async move {
                        let found = BatchVerification { matched: 1, requests: 1, ..Default::default() };
                        ledger.record_verification(&lease, &found).await
                    })
                })
                .collect();
            assert_eq!(verifiers.len(), 2);
            for verifier in verifiers {
                verifier.await.unwrap().unwrap();
            }
            let run = ledger.run(RunId(id(round))).await.unwrap().unwrap();
            assert_eq!(
                (run.state, run.verified, run.open_batches),
                (RunState::Sealing, 2, 0),
                "round {round}"
            );
            let jobs = ledger.job_counts(run.id).await.unwrap();
            let reports = jobs.iter().filter(|found| found.kind == JobKind::Report).collect::<Vec<_>>();
            let ready = JobCount { kind: JobKind::Report, state: JobState::Ready, jobs: 1 };
            assert_eq!(reports, [&ready]);
            lease_all(&ledger, worker(1), LEASE).await; // out of the way of the next round
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verifier_that_waited_for_the_other_counts_what_it_left() {
    in_database(|database| async move {
        let ledger = database.migrated().await;
        running(&ledger, 1, None, &[keys(1..=1), keys(2..=2)]).await;
        for lease in lease_all(&ledger, worker(1), LEASE).await {
            let results = created(&ledger, &lease).await;
            ledger.write_back(&lease, &results, 1).await.unwrap();
        }
        let mine = lease_all(&ledger, worker(1), LEASE).await.remove(0);
        let batch = mine.of.batch.unwrap();
        // The other one holds the run, has closed its batch, and has not committed.
        let mut other = database.connect().await;
        execute(&mut other, "BEGIN; SELECT FROM ferry.runs FOR NO KEY UPDATE").await;
        let close = format!(
            "UPDATE ferry.batches SET state = 'verified' WHERE state = 'provisioned' AND id <> '{batch}'"
        );
        execute(&mut other, &close).await;
        let waiting = tokio::spawn({
            let ledger = ledger.clone();
            async move { ledger.record_verification(&mine, &BatchVerification::default()).await }
        });
        database.until_blocked().await;
        execute(&mut other, "COMMIT").await;
        waiting.await.unwrap().unwrap();
        let run = ledger.run(RunId(id(1))).await.unwrap().unwrap();
        assert_eq!(run.state, RunState::Sealing);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn relays_at_once_never_send_a_job_twice() {
    in_database(|database| async move {
        let ledger = database.migrated().await;
        let batches: Vec<_> = (1..=300).map(|n| keys(n..=n)).collect();
        running(&ledger, 1, None, &batches).await;
        let relays: Vec<_> = (0..6)
            .map(|_| {
                let ledger = ledger.clone();
                tokio::spawn(async move {
                    let mut sent = Vec::new();
                    loop {
                        let more = ledger.take_ready(7).await.unwrap();
                        if more.is_empty() {
                            return sent;
                        }
                        sent.extend(more.into_iter().map(|envelope| (envelope.job, envelope.send)));
                    }
                })
            })
            .collect();
        let mut sent = Vec::new();
        for relay in relays {
            sent.extend(relay.await.unwrap());
        }
        sent.sort_unstable();
        sent.dedup();
        let left = world::lease_all(&ledger, worker(1), LEASE).await.len();
        assert_eq!(sent.len() + left, 300);
        assert!(sent.iter().all(|(_, send)| *send == 1));
    })
    .await;
}
