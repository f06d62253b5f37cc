use std::time::Duration;

use ferry_domain::{
    WriteBackTarget,
    ports::{LedgerError, Planning},
};

use crate::world::{execute, in_database, users_table};

const INDEXES: &str = "SELECT count(*) FROM pg_index WHERE indrelid = 'users'::regclass AND indisunique \
                       AND indisvalid AND indpred IS NOT NULL";

#[tokio::test]
async fn the_column_and_a_partial_index_are_made_once() {
    in_database(|database| async move {
        let ledger = database.ledger().await;
        database
            .execute("CREATE TABLE users (id bigint PRIMARY KEY); INSERT INTO users VALUES (1), (2)")
            .await;
        let target = users_table();
        let lacking = ledger.check_application(&target).await.unwrap_err();
        assert!(lacking.to_string().contains("ferry migrate --app"), "{lacking}");
        assert!(ledger.prepare_application(&target).await.unwrap(), "something was missing");
        assert!(!ledger.prepare_application(&target).await.unwrap(), "nothing is missing any more");
        ledger.check_application(&target).await.unwrap();
        assert_eq!(database.ask(INDEXES).await, "1");
        database.execute("UPDATE users SET auth0_user_id = NULL").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_prepare_at_once_while_the_application_holds_the_table() {
    in_database(|database| async move {
        database.execute("CREATE TABLE users (id bigint PRIMARY KEY); INSERT INTO users VALUES (1)").await;
        let mut application = database.connect().await;
        execute(&mut application, "BEGIN; UPDATE users SET id = id").await;
        let four: Vec<_> = (0..4)
            .map(|_| {
                let database = database.clone();
                tokio::spawn(async move { database.ledger().await.prepare_application(&users_table()).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(900)).await;
        execute(&mut application, "COMMIT").await;
        let mut changed = 0;
        for one in four {
            changed += u32::from(one.await.unwrap().unwrap());
        }
        assert_eq!(changed, 1);
        assert_eq!(database.ask(INDEXES).await, "1");
    })
    .await;
}

#[tokio::test]
async fn an_index_that_an_interrupted_build_left_is_made_anew() {
    in_database(|database| async move {
        let ledger = database.ledger().await;
        database.execute("CREATE TABLE users (id bigint PRIMARY KEY)").await;
        ledger.prepare_application(&users_table()).await.unwrap();
        database
            .execute(
                "UPDATE pg_index SET indisvalid = false WHERE indpred IS NOT NULL \
                          AND indrelid = 'users'::regclass",
            )
            .await;
        assert_eq!(database.ask(INDEXES).await, "0");
        assert!(ledger.prepare_application(&users_table()).await.unwrap());
        assert_eq!(database.ask(INDEXES).await, "1");
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_prepared_is_said_and_leaves_no_index() {
    in_database(|database| async move {
        let ledger = database.ledger().await;
        let missing = ledger.prepare_application(&users_table()).await.unwrap_err();
        assert!(missing.to_string().contains("no table users"), "{missing}");
        database
            .execute(
                "CREATE TABLE users (id bigint PRIMARY KEY, auth0_user_id text);
                 INSERT INTO users VALUES (1, 'auth0|same'), (2, 'auth0|same')",
            )
            .await;
        let doubled = ledger.prepare_application(&users_table()).await.unwrap_err();
        assert!(matches!(doubled, LedgerError::WriteBackTarget(_)), "{doubled:?}");
        assert!(!doubled.to_string().contains("auth0|"), "{doubled}");
        let indexes = "SELECT count(*) FROM pg_index WHERE indrelid = 'users'::regclass";
        assert_eq!(database.ask(indexes).await, "1", "only the primary key");

        database.execute("ALTER TABLE users ALTER auth0_user_id TYPE bytea USING NULL").await;
        let bytes = ledger.check_application(&users_table()).await.unwrap_err();
        assert!(bytes.to_string().contains("not text"), "{bytes}");
        let no_key = WriteBackTarget { key_column: "nr".into(), ..users_table() };
        let error = ledger.check_application(&no_key).await.unwrap_err();
        assert!(error.to_string().contains("no column nr"), "{error}");
    })
    .await;
}
