use ferry_domain::ports::Planning;

use crate::world::in_database;

#[tokio::test(flavor = "multi_thread")]
async fn nine_processes_migrate_at_once_and_leave_the_applications_table_alone() {
    in_database(|database| async move {
        database
            .execute(
                "CREATE TABLE _sqlx_migrations (version bigint PRIMARY KEY, mark text);
                 INSERT INTO _sqlx_migrations VALUES (1, 'the application''s own')",
            )
            .await;
        let nine: Vec<_> = (0..9)
            .map(|_| {
                let database = database.clone();
                tokio::spawn(async move { database.ledger().await.migrate().await })
            })
            .collect();
        for one in nine {
            one.await.unwrap().unwrap();
        }
        assert_eq!(database.ask("SELECT count(*) FROM ferry._migrations WHERE success").await, "1");
        assert_eq!(database.ask("SELECT mark FROM _sqlx_migrations").await, "the application's own");
        assert_eq!(database.ask("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").await, "0");
    })
    .await;
}

#[tokio::test]
async fn a_ledger_of_a_newer_version_is_refused_with_what_to_do() {
    in_database(|database| async move {
        let ledger = database.migrated().await;
        database
            .execute(
                "INSERT INTO ferry._migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'later', true, '', 0)",
            )
            .await;
        let error = ledger.migrate().await.unwrap_err().to_string();
        assert!(error.contains("9999") && error.contains("newer version"), "{error}");
    })
    .await;
}
