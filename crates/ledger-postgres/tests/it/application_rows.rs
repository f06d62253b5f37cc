use std::time::Duration;

use ferry_domain::{
    BatchId, Code, ItemSeq, ItemState, RunId, WriteBackTarget,
    ports::{
        Command, ItemFilter, Items, LedgerError, Moves, Planning, Processes, RefusedRow, Runs, UserFilter,
        WorkerRecord,
    },
};
use ferry_testbed::until;
use tokio::time::Instant;

use crate::world::{
    Database, LEASE, created, id, in_database, keys, lease_all, running, users_table, worker,
};

/// Rows and their reasons, in order.
fn reasons(rows: &[RefusedRow]) -> Vec<(i64, Code)> {
    let mut reasons: Vec<_> = rows.iter().map(|row| (row.seq.0, row.code)).collect();
    reasons.sort_unstable();
    reasons
}

async fn users(database: &Database, count: i64) {
    database
        .execute(&format!(
            "CREATE TABLE users (id bigint PRIMARY KEY, auth0_user_id text);
             INSERT INTO users SELECT generate_series(1, {count});
             CREATE UNIQUE INDEX users_auth0 ON users (auth0_user_id) WHERE auth0_user_id IS NOT NULL"
        ))
        .await;
}

#[tokio::test]
async fn one_bad_row_never_costs_the_other_sixty_three() {
    in_database(|database| async move {
        users(&database, 70).await;
        database
            .execute(
                "UPDATE users SET auth0_user_id = 'auth0|7' WHERE id = 70;
                 UPDATE users SET auth0_user_id = 'auth0|other' WHERE id = 9;
                 UPDATE users SET auth0_user_id = 'auth0|11' WHERE id = 11;
                 DELETE FROM users WHERE id = 10;
                 CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                     BEGIN IF new.id = 33 THEN RAISE EXCEPTION 'no % here', new.auth0_user_id; END IF;
                     RETURN new; END $$;
                 CREATE TRIGGER refuse BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION refuse()",
            )
            .await;
        let ledger = database.migrated().await;
        running(&ledger, 1, Some(users_table()), &[keys(1..=64)]).await;
        let lease = lease_all(&ledger, worker(1), LEASE).await.remove(0);
        let results = created(&ledger, &lease).await;
        let written = ledger.write_back(&lease, &results, 64).await.unwrap();

        let refused = reasons(&written.refused_rows);
        let expected = [
            (7, Code::AppIdTaken),
            (9, Code::AppRowChanged),
            (10, Code::AppRowChanged),
            (33, Code::AppRowRefused),
        ];
        assert_eq!(refused, expected);
        assert!(written.finished());
        let filled = "SELECT count(*) FROM users WHERE auth0_user_id = 'auth0|' || id";
        assert_eq!(database.ask(filled).await, "60");
        assert_eq!(database.ask("SELECT auth0_user_id FROM users WHERE id = 9").await, "auth0|other");
        let run = ledger.run(RunId(id(1))).await.unwrap().unwrap();
        assert!(run.tally.adds_up());
        assert_eq!((run.tally.created, run.tally.conflict, run.requests), (60, 4, 64));
        let conflicts = ItemFilter { states: vec![ItemState::Conflict], codes: vec![] };
        let conflicts = ledger.items(run.id, &conflicts, ItemSeq(0), 10).await.unwrap();
        assert!(conflicts.iter().all(|item| item.auth0_user_id.is_some()), "the user at Auth0 stays known");
        let made = "SELECT count(*) FROM ferry.items WHERE state = 'conflict' AND made_by_ferry";
        assert_eq!(database.ask(made).await, "4");
    })
    .await;
}

/// Rows of the ledger's items that were read so far. A server's process tells at its end at the
/// latest, so the test must have closed its ledgers.
pub(crate) async fn rows_read(database: &Database) -> i64 {
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    until("the ledger's sessions have ended", async || database.ask(others).await == "0").await;
    let read = "SELECT sum(idx_tup_read) + (SELECT sum(seq_tup_read) FROM pg_stat_user_tables \
                WHERE relname IN ('planned_items', 'outcomes')) \
                FROM pg_stat_user_indexes WHERE relname IN ('planned_items', 'outcomes')";
    database.ask(read).await.parse().unwrap()
}

#[tokio::test]
async fn writing_back_reads_a_batch_and_not_the_run_before_anybody_made_statistics() {
    in_database(|database| async move {
        users(&database, 4000).await;
        let ledger = database.migrated().await;
        database.execute("ALTER TABLE ferry.planned_items SET (autovacuum_enabled = false)").await;
        let batches: Vec<_> = (0..80).map(|n| keys(n * 50 + 1..=n * 50 + 50)).collect();
        running(&ledger, 1, Some(users_table()), &batches).await;
        let leases = lease_all(&ledger, worker(1), LEASE).await;
        ledger.close().await;
        let before = rows_read(&database).await;
        let ledger = database.ledger().await;
        for lease in &leases[..10] {
            let results = created(&ledger, lease).await;
            assert!(ledger.write_back(lease, &results, 50).await.unwrap().finished());
        }
        ledger.close().await;
        let rows = rows_read(&database).await - before;
        assert!((500..=3000).contains(&rows), "{rows} rows were read for 500 users of 4,000");
    })
    .await;
}

#[tokio::test]
async fn a_user_that_ferry_made_stays_so_when_the_next_round_finds_it() {
    in_database(|database| async move {
        users(&database, 1).await;
        database.execute("UPDATE users SET auth0_user_id = 'auth0|other'").await;
        let ledger = database.migrated().await;
        running(&ledger, 1, Some(users_table()), &[keys(1..=1)]).await;
        let lease = lease_all(&ledger, worker(1), LEASE).await.remove(0);
        let made = created(&ledger, &lease).await;
        assert_eq!(ledger.write_back(&lease, &made, 1).await.unwrap().refused_rows.len(), 1);

        database.execute("UPDATE users SET auth0_user_id = NULL").await;
        let order = Command { by: "ann", reason: None };
        ledger.retry(RunId(id(1)), &UserFilter::default(), &[BatchId(id(7))], &order).await.unwrap();
        let leases = lease_all(&ledger, worker(1), LEASE).await;
        let lease = leases.iter().find(|lease| lease.of.batch == Some(BatchId(id(7)))).unwrap();
        let mut found = created(&ledger, lease).await;
        found[0].outcome.state = ItemState::Adopted;
        ledger.write_back(lease, &found, 1).await.unwrap();
        let of_ferry = "SELECT count(*) FROM ferry.items WHERE state = 'adopted' AND made_by_ferry";
        assert_eq!(database.ask(of_ferry).await, "1");
    })
    .await;
}

#[tokio::test]
async fn results_written_twice_count_once() {
    in_database(|database| async move {
        users(&database, 10).await;
        let ledger = database.migrated().await;
        running(&ledger, 1, Some(users_table()), &[keys(1..=10)]).await;
        let lease = lease_all(&ledger, worker(1), LEASE).await.remove(0);
        let results = created(&ledger, &lease).await;
        let first = ledger.write_back(&lease, &results[..6], 6).await.unwrap();
        assert_eq!((first.pending, first.refused_rows.len()), (4, 0));
        let again = ledger.write_back(&lease, &results[..6], 0).await.unwrap();
        assert_eq!((again.pending, again.refused_rows.len()), (4, 0));
        assert!(ledger.write_back(&lease, &results, 4).await.unwrap().finished());
        let run = ledger.run(RunId(id(1))).await.unwrap().unwrap();
        assert_eq!((run.tally.created, run.tally.source, run.requests), (10, 10, 10));
    })
    .await;
}

#[tokio::test]
async fn keys_of_any_type_and_names_of_any_kind() {
    in_database(|database| async move {
        let ledger = database.migrated().await;
        let uuids: Vec<String> = (1..=3).map(|n| id(n).to_string().to_uppercase()).collect();
        let numbers: Vec<String> = ["1", "02", " 3 "].map(String::from).to_vec();
        let texts: Vec<String> = ["a'b", "c\"d\\", "ü"].map(String::from).to_vec();
        let kinds = [
            ("uuid", &uuids),
            ("bigint", &numbers),
            ("smallint", &numbers),
            ("text", &texts),
            ("varchar(4)", &texts),
            ("char(4)", &texts),
        ];
        for (number, (kind, keys)) in kinds.into_iter().enumerate() {
            let target = WriteBackTarget::new(
                Some("My \"App\""),
                &format!("user.s; {kind}"),
                "The Key",
                "auth0 \"id\"",
            );
            let table = format!("\"My \"\"App\"\"\".\"user.s; {kind}\"");
            let rows: Vec<_> = keys.iter().map(|key| format!("('{}')", key.replace('\'', "''"))).collect();
            database
                .execute(&format!(
                    "CREATE SCHEMA IF NOT EXISTS \"My \"\"App\"\"\";
                     CREATE TABLE {table} (\"The Key\" {kind} PRIMARY KEY);
                     INSERT INTO {table} VALUES {}",
                    rows.join(", ")
                ))
                .await;
            assert!(ledger.prepare_application(&target).await.unwrap(), "{kind}");
            ledger.check_application(&target).await.unwrap();
            running(&ledger, number as u128 + 1, Some(target), std::slice::from_ref(keys)).await;
            let lease = lease_all(&ledger, worker(1), LEASE).await.remove(0);
            let results = created(&ledger, &lease).await;
            let written = ledger.write_back(&lease, &results, 3).await.unwrap();
            assert_eq!(written.refused_rows, [], "{kind}");
            let filled = format!("SELECT count(\"auth0 \"\"id\"\"\") FROM {table}");
            assert_eq!(database.ask(&filled).await, "3", "{kind}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_key_that_is_no_number_costs_its_own_row() {
    in_database(|database| async move {
        users(&database, 3).await;
        let ledger = database.migrated().await;
        let odd = ["1", "no number", "3"].map(String::from).to_vec();
        running(&ledger, 1, Some(users_table()), &[odd]).await;
        let lease = lease_all(&ledger, worker(1), LEASE).await.remove(0);
        let results = created(&ledger, &lease).await;
        let written = ledger.write_back(&lease, &results, 3).await.unwrap();
        assert_eq!(reasons(&written.refused_rows), [(2, Code::AppRowRefused)]);
        assert_eq!(database.ask("SELECT count(auth0_user_id) FROM users").await, "2");
    })
    .await;
}

#[tokio::test]
async fn a_column_that_vanished_stops_the_write_and_its_return_heals_it() {
    in_database(|database| async move {
        users(&database, 2).await;
        let ledger = database.migrated().await;
        running(&ledger, 1, Some(users_table()), &[keys(1..=2)]).await;
        let lease = lease_all(&ledger, worker(1), LEASE).await.remove(0);
        let results = created(&ledger, &lease).await;
        ledger.write_back(&lease, &results[..1], 1).await.unwrap();
        database.execute("ALTER TABLE users DROP COLUMN auth0_user_id").await;
        assert!(ledger.write_back(&lease, &results[1..], 1).await.is_err());
        let error = ledger.write_back(&lease, &results[1..], 1).await.unwrap_err();
        assert!(matches!(error, LedgerError::WriteBackTarget(_)), "{error:?}");
        assert_eq!(ledger.pending_items(&lease).await.unwrap().len(), 1, "nothing is written by half");
        ledger.prepare_application(&users_table()).await.unwrap();
        assert!(ledger.write_back(&lease, &results[1..], 1).await.unwrap().finished());
    })
    .await;
}

/// A trigger that takes its time is no reason for others to count this process as dead.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_trigger_ends_and_no_heartbeat_waits_for_it() {
    in_database(|database| async move {
        users(&database, 12).await;
        database
            .execute(
                "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
                     BEGIN PERFORM pg_sleep(CASE WHEN new.id = 5 THEN 6 ELSE 0.8 END); RETURN new; END $$;
                 CREATE TRIGGER slow BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION slow()",
            )
            .await;
        let ledger = database.migrated().await;
        running(&ledger, 1, Some(users_table()), &[keys(1..=12)]).await;
        let lease = lease_all(&ledger, worker(1), LEASE).await.remove(0);
        let results = created(&ledger, &lease).await;
        let writing = tokio::spawn({
            let (ledger, lease) = (ledger.clone(), lease.clone());
            async move { ledger.write_back(&lease, &results, 12).await }
        });
        let me = WorkerRecord { id: worker(1), host: "h".into(), pid: 1, slots: 1, waiting_for: None };
        let mut longest = Duration::ZERO;
        while !writing.is_finished() {
            let began = Instant::now();
            ledger.heartbeat(&me, LEASE, &[lease.of.id]).await.unwrap();
            longest = longest.max(began.elapsed());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let written = writing.await.unwrap().unwrap();
        assert!(longest < Duration::from_secs(3), "a heartbeat waited for {longest:?}");
        assert_eq!(reasons(&written.refused_rows), [(5, Code::AppRowRefused)]);
        assert!(written.finished());
        assert_eq!(database.ask("SELECT count(auth0_user_id) FROM users").await, "11");
        let run = ledger.run(RunId(id(1))).await.unwrap().unwrap();
        assert_eq!((run.tally.created, run.tally.conflict, run.requests), (11, 1, 12));
    })
    .await;
}

/// A worker's search path may lead to another table of the same name.
#[tokio::test]
async fn the_schema_that_was_found_is_kept_whatever_a_workers_search_path() {
    in_database(|database| async move {
        database
            .execute(
                "CREATE SCHEMA app; CREATE TABLE app.users (id bigint PRIMARY KEY, auth0_user_id text);
                 INSERT INTO app.users SELECT generate_series(1, 3);
                 CREATE TABLE public.users (LIKE app.users INCLUDING ALL);
                 INSERT INTO public.users SELECT generate_series(1, 3);
                 CREATE SCHEMA ferry; CREATE TABLE ferry.users (id bigint PRIMARY KEY)",
            )
            .await;
        let ledger = database.migrated().await;
        let found = ledger.application_table(&users_table()).await.unwrap();
        assert_eq!(found.target.shown(), "public.users");
        running(&ledger, 1, Some(found.target), &[keys(1..=3)]).await;
        database
            .execute("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = ferry, app', current_database()); END $$")
            .await;
        let elsewhere = database.ledger().await;
        let found = elsewhere.application_table(&users_table()).await.unwrap();
        assert_eq!(found.target.shown(), "app.users", "the ledger's own schema comes last");
        let lease = lease_all(&elsewhere, worker(1), LEASE).await.remove(0);
        let results = created(&elsewhere, &lease).await;
        assert!(elsewhere.write_back(&lease, &results, 3).await.unwrap().finished());
        assert_eq!(database.ask("SELECT count(auth0_user_id) FROM public.users").await, "3");
        assert_eq!(database.ask("SELECT count(auth0_user_id) FROM app.users").await, "0");
    })
    .await;
}

/// The statistics know the first run only, and take the second for one row: joined in a loop, each of
/// its users would be compared with each other.
#[tokio::test]
async fn a_second_run_is_planned_by_reading_each_user_a_few_times() {
    in_database(|database| async move {
        let ledger = database.migrated().await;
        database.execute("ALTER TABLE ferry.planned_items SET (autovacuum_enabled = false)").await;
        let users = 5_000;
        running(&ledger, 1, None, &[keys(1..=users)]).await;
        ledger.close().await;
        database.execute("ANALYZE ferry.planned_items").await;
        let before = rows_read(&database).await;
        let ledger = database.ledger().await;
        let planned = running(&ledger, 2, None, &[keys(1..=users)]).await;
        assert_eq!(planned.tally.pending, users);
        ledger.close().await;
        let rows = rows_read(&database).await - before;
        assert!((users..=users * 40).contains(&rows), "{rows} rows were read for {users} users");
    })
    .await;
}
