use ferry_domain::{
    BatchId, Code, ItemSeq, ItemState, RunId, WriteBackTarget,
    ports::{Command, ItemFilter, Items, LedgerError, Moves, Planning, RefusedRow, Runs},
};

use crate::world::{
    Database, LEASE, created, id, in_database, keys, lease_all, running, users_table, worker,
};

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

        let mut refused = written.refused_rows.clone();
        refused.sort_unstable_by_key(|row| row.seq);
        let expected = [
            RefusedRow { seq: ItemSeq(7), code: Code::AppIdTaken },
            RefusedRow { seq: ItemSeq(9), code: Code::AppRowChanged },
            RefusedRow { seq: ItemSeq(10), code: Code::AppRowChanged },
            RefusedRow { seq: ItemSeq(33), code: Code::AppRowRefused },
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
        ledger.retry(RunId(id(1)), &[], &[BatchId(id(7))], &order).await.unwrap();
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
            let target = WriteBackTarget {
                schema: Some("My \"App\"".into()),
                table: format!("user.s; {kind}"),
                key_column: "The Key".into(),
                id_column: "auth0 \"id\"".into(),
            };
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
        assert_eq!(written.refused_rows, [RefusedRow { seq: ItemSeq(2), code: Code::AppRowRefused }]);
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
