//! Ferry writes while the application works on the same table.

use ferry_domain::{
    Auth0UserId, Code, ItemSeq, SourceKey, WriteBackTarget,
    application::RowId,
    ports::{Items, Planning, RefusedRow, Reports},
};
use ferry_testbed::until;
use sqlx::Connection;

use crate::world::{
    Database, LEASE, created, execute, in_database, keys, lease_all, running, users_table, worker,
};

async fn users(database: &Database) {
    database
        .execute(
            "CREATE TABLE users (id bigint PRIMARY KEY, name text);
             INSERT INTO users SELECT generate_series(1, 20)",
        )
        .await;
    database.ledger().await.prepare_application(&users_table()).await.unwrap();
}

#[tokio::test]
async fn a_row_that_the_application_holds_waits_alone_and_costs_no_attempt() {
    in_database(|database| async move {
        users(&database).await;
        let ledger = database.migrated().await;
        running(&ledger, 1, Some(users_table()), &[keys(1..=10)]).await;
        let lease = lease_all(&ledger, worker(1), LEASE).await.remove(0);
        let results = created(&ledger, &lease).await;

        let mut application = database.connect().await;
        execute(&mut application, "BEGIN; UPDATE users SET name = 'x' WHERE id = 5").await;
        for _again in 0..2 {
            let written = ledger.write_back(&lease, &results, 10).await.unwrap();
            assert_eq!(
                (written.locked, written.pending, written.refused_rows),
                (vec![ItemSeq(5)], 1, vec![])
            );
        }
        let left = ledger.pending_items(&lease).await.unwrap();
        assert_eq!(left.iter().map(|item| item.seq).collect::<Vec<_>>(), [ItemSeq(5)]);
        assert_eq!(database.ask("SELECT count(auth0_user_id) FROM users").await, "9");

        execute(&mut application, "COMMIT").await;
        let written = ledger.write_back(&lease, &results, 10).await.unwrap();
        assert!(written.finished() && written.locked.is_empty());
        assert_eq!(database.ask("SELECT sum(attempts) FROM ferry.jobs").await, "0");
        assert_eq!(database.ask("SELECT count(*) FROM ferry.attempts").await, "0");
        assert_eq!(database.ask("SELECT name || auth0_user_id FROM users WHERE id = 5").await, "xauth0|5");
    })
    .await;
}

#[tokio::test]
async fn a_row_that_a_policy_keeps_from_being_changed_is_refused_and_a_locked_one_waits() {
    in_database(|database| async move {
        users(&database).await;
        let role = database.name.clone();
        database
            .execute(&format!(
                "CREATE ROLE \"{role}\"; ALTER TABLE users OWNER TO \"{role}\"; GRANT \"{role}\" TO current_user;
                 ALTER TABLE users ENABLE ROW LEVEL SECURITY; ALTER TABLE users FORCE ROW LEVEL SECURITY;
                 CREATE POLICY seen ON users FOR SELECT USING (true);
                 CREATE POLICY changed ON users FOR UPDATE USING (id <> 3)"
            ))
            .await;
        let ledger = database.migrated().await;
        let grants = "GRANT USAGE ON SCHEMA ferry, public TO \"ROLE\"; GRANT ALL ON ALL TABLES IN SCHEMA ferry TO \"ROLE\";
             GRANT ALL ON ALL SEQUENCES IN SCHEMA ferry TO \"ROLE\"; GRANT ALL ON ALL FUNCTIONS IN SCHEMA ferry TO \"ROLE\"";
        database.execute(&grants.replace("ROLE", &role)).await;
        let target = WriteBackTarget { accepts_row_security: true, ..users_table() };
        running(&ledger, 1, Some(target), &[keys(1..=10)]).await;
        let lease = lease_all(&ledger, worker(1), LEASE).await.remove(0);
        let results = created(&ledger, &lease).await;
        ledger.close().await;
        database.execute(&format!("ALTER DATABASE \"{role}\" SET role = \"{role}\"")).await;

        let ledger = database.ledger().await;
        let mut application = database.connect().await;
        execute(&mut application, "BEGIN; UPDATE users SET name = 'x' WHERE id = 5").await;
        let written = ledger.write_back(&lease, &results, 10).await.unwrap();
        assert_eq!((written.locked.as_slice(), written.pending), (&[ItemSeq(3), ItemSeq(5)][..], 2));
        execute(&mut application, "COMMIT").await;
        let written = ledger.write_back(&lease, &results, 10).await.unwrap();
        assert_eq!(written.refused_rows, [RefusedRow::silent(ItemSeq(3), Code::AppRowChanged)]);
        assert!(written.finished());
        ledger.close().await;
        application.close().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_row_that_a_policy_may_hide_is_not_called_gone() {
    in_database(|database| async move {
        users(&database).await;
        let role = database.name.clone();
        database
            .execute(&format!(
                "CREATE ROLE \"{role}\"; GRANT USAGE ON SCHEMA public TO \"{role}\"; GRANT \"{role}\" TO current_user;
                 GRANT SELECT, UPDATE ON users TO \"{role}\"; UPDATE users SET auth0_user_id = 'auth0|2' WHERE id = 2;
                 ALTER TABLE users ENABLE ROW LEVEL SECURITY;
                 CREATE POLICY seen ON users USING (id <> 3)"
            ))
            .await;
        database.execute(&format!("ALTER DATABASE \"{role}\" SET role = \"{role}\"")).await;
        let ledger = database.ledger().await;
        let asked = [1, 2, 3].map(|n| (SourceKey(n.to_string()), Auth0UserId(format!("auth0|{n}"))));
        let found = ledger.row_ids(&users_table(), &asked).await.unwrap();
        assert_eq!(found, [RowId::Lacking, RowId::Carried, RowId::Unseen]);
        ledger.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_key_of_two_rows_is_refused_although_one_of_them_is_locked() {
    in_database(|database| async move {
        database
            .execute("CREATE TABLE users (id bigint, name text, auth0_user_id text); INSERT INTO users VALUES (1), (1), (2)")
            .await;
        let ledger = database.migrated().await;
        running(&ledger, 1, Some(users_table()), &[keys(1..=2)]).await;
        let lease = lease_all(&ledger, worker(1), LEASE).await.remove(0);
        let results = created(&ledger, &lease).await;
        let mut application = database.connect().await;
        let one = "BEGIN; UPDATE users SET name = 'x' WHERE ctid = (SELECT min(ctid) FROM users WHERE id = 1)";
        execute(&mut application, one).await;
        let written = ledger.write_back(&lease, &results, 2).await.unwrap();
        assert_eq!((written.locked, written.pending), (vec![], 0));
        assert_eq!(written.refused_rows, [RefusedRow::silent(ItemSeq(1), Code::AppKeyShared)]);
        assert_eq!(database.ask("SELECT string_agg(id::text, ',') FROM users WHERE auth0_user_id IS NOT NULL").await, "2");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_back_in_progress_stops_nobody_else() {
    in_database(|database| async move {
        users(&database).await;
        // Ferry's transaction stands still behind its last row for as long as the lock is held.
        database
            .execute(
                "CREATE FUNCTION stand_still() RETURNS trigger LANGUAGE plpgsql AS $$
                     BEGIN IF new.id = 10 AND new.auth0_user_id IS NOT NULL THEN
                         SET LOCAL lock_timeout = 0; PERFORM pg_advisory_xact_lock(7); END IF;
                     RETURN NULL; END $$;
                 CREATE TRIGGER stand_still AFTER UPDATE ON users
                     FOR EACH ROW EXECUTE FUNCTION stand_still()",
            )
            .await;
        let ledger = database.migrated().await;
        running(&ledger, 1, Some(users_table()), &[keys(1..=10), keys(11..=20)]).await;
        let leases = lease_all(&ledger, worker(1), LEASE).await;
        let mut gate = database.connect().await;
        execute(&mut gate, "SELECT pg_advisory_lock(7)").await;
        let standing = tokio::spawn({
            let (ledger, lease, results) =
                (ledger.clone(), leases[0].clone(), created(&ledger, &leases[0]).await);
            async move { ledger.write_back(&lease, &results, 10).await }
        });
        database.until_blocked().await;

        let mut application = database.connect().await;
        execute(&mut application, "SET lock_timeout = '200ms'").await;
        execute(&mut application, "UPDATE users SET name = 'y' WHERE id > 10").await;
        execute(&mut application, "INSERT INTO users (id, name) VALUES (21, 'new')").await;
        execute(&mut application, "UPDATE users SET auth0_user_id = 'auth0|mine' WHERE id = 21").await;
        let free = created(&ledger, &leases[1]).await;
        assert!(ledger.write_back(&leases[1], &free, 10).await.unwrap().finished());

        execute(&mut gate, "SELECT pg_advisory_unlock(7)").await;
        assert!(standing.await.unwrap().unwrap().finished());
        assert_eq!(database.ask("SELECT count(auth0_user_id) FROM users").await, "21");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_tried_again_without_an_attempt() {
    in_database(|database| async move {
        users(&database).await;
        database
            .execute("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = ''300ms''', current_database()); END $$")
            .await;
        let ledger = database.migrated().await;
        running(&ledger, 1, Some(users_table()), &[keys(1..=10)]).await;
        let lease = lease_all(&ledger, worker(1), LEASE).await.remove(0);
        let results = created(&ledger, &lease).await;

        // The application locks its log, Ferry the rows and then, by a trigger, the log; then the
        // application wants a row.
        database
            .execute(
                "CREATE TABLE log (id int); INSERT INTO log VALUES (1);
                 CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
                     BEGIN SET LOCAL lock_timeout = 0; UPDATE log SET id = id; RETURN new; END $$;
                 CREATE TRIGGER note BEFORE UPDATE OF auth0_user_id ON users
                     FOR EACH ROW EXECUTE FUNCTION note()",
            )
            .await;
        let mut application = database.connect().await;
        execute(&mut application, "SET deadlock_timeout = '10s'").await;
        execute(&mut application, "BEGIN; UPDATE log SET id = id; UPDATE users SET name = 'z' WHERE id = 10").await;
        let ferry = tokio::spawn({
            let (ledger, lease, results) = (ledger.clone(), lease.clone(), results.clone());
            async move { ledger.write_back(&lease, &results, 10).await }
        });
        database.until_blocked().await;
        execute(&mut application, "UPDATE users SET name = 'z' WHERE id = 1; COMMIT").await;
        let written = ferry.await.unwrap().unwrap();
        assert_eq!(written.locked.len() as i64, written.pending, "but for a row that was locked, all are told");
        if !written.finished() {
            assert!(ledger.write_back(&lease, &results, 0).await.unwrap().finished());
        }

        application.close().await.unwrap();
        assert_eq!(database.ask("SELECT count(auth0_user_id) FROM users").await, "10");
        assert_eq!(database.ask("SELECT count(*) FROM users WHERE name = 'z'").await, "2");
        assert_eq!(database.ask("SELECT max(attempts) FROM ferry.jobs").await, "0");
        // A session hands its statistics in when it ends.
        ledger.close().await;
        let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
        until("the test provoked a deadlock", async || database.ask(deadlocks).await != "0").await;
    })
    .await;
}
