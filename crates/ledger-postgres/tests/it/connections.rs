use ferry_domain::ports::{Controls, Jobs, LedgerError, Planning, Reports, Runs};
use ferry_ledger_postgres::{Options, PostgresLedger};
use ferry_testbed::Proxy;

use crate::world::in_database;

#[tokio::test]
async fn after_a_lost_connection_one_call_fails_and_the_next_works() {
    in_database(|database| async move {
        let ledger = database.migrated().await;
        // Several connections, so that several are broken.
        let (a, b, c) = tokio::join!(ledger.queued(), ledger.runs(1), ledger.queued());
        assert!(a.is_ok() && b.is_ok() && c.is_ok());
        let lose = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                    WHERE datname = current_database() AND pid <> pg_backend_pid()";
        database.execute(lose).await;
        let error = ledger.queued().await.unwrap_err();
        assert!(matches!(error, LedgerError::Unavailable { .. }), "{error:?}");
        for _ in 0..5 {
            assert_eq!(ledger.queued().await.unwrap(), 0);
        }
        database.execute(lose).await;
        assert!(matches!(ledger.seal_finished().await, Err(LedgerError::Unavailable { .. })));
        assert_eq!(ledger.seal_finished().await.unwrap(), 0);
        ledger.close().await;
        assert!(matches!(ledger.queued().await, Err(LedgerError::Unavailable { .. })));
    })
    .await;
}

/// The pool would try it again for 5 s, and say only that no connection was made.
#[tokio::test]
async fn a_server_that_refuses_connections_is_told_as_such() {
    in_database(|database| async move {
        database.migrated().await;
        let server = database.url.rsplit('@').next().and_then(|rest| rest.split('/').next()).unwrap();
        let address = tokio::net::lookup_host(server).await.expect("host and port").next().unwrap();
        let proxy = Proxy::before(address).await;
        let through = database.url.replace(server, &format!("127.0.0.1:{}", proxy.port));
        let ledger = PostgresLedger::connect(&through, Options::default()).await.unwrap();
        ledger.orders().await.unwrap();
        drop(proxy);
        // The connection that is open learns of it first.
        let _ = ledger.orders().await;
        let error = ledger.orders().await.unwrap_err();
        assert!(matches!(error, LedgerError::Unavailable { .. }), "{error:?}");
        assert!(error.to_string().contains("connection refused"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn an_unreachable_server_is_named_without_credentials() {
    // Port 1 of the loopback: nobody listens there.
    let url = "postgres://somebody:hunter2@127.0.0.1:1/clinic";
    let error = PostgresLedger::connect(url, Options::default()).await.unwrap_err();
    let told = format!("{error} {error:?}");
    assert!(told.contains("127.0.0.1:1") && told.contains("clinic"), "{told}");
    assert!(!told.contains("hunter2") && !told.contains("somebody"), "{told}");

    let error =
        PostgresLedger::connect("postgres://u:hunter2@h:notaport/x", Options::default()).await.unwrap_err();
    let told = format!("{error} {error:?}");
    assert!(told.contains("postgres://USER") && !told.contains("hunter2"), "{told}");
}

#[tokio::test]
async fn a_missing_database_and_missing_tables_say_what_to_do() {
    in_database(|database| async move {
        let url = database.url.replace(&database.name, "ferry_t_no_such_database");
        let error = PostgresLedger::connect(&url, Options::default()).await.unwrap_err().to_string();
        assert!(error.contains("no such database") && error.contains("3D000"), "{error}");
        let ledger = database.ledger().await;
        let error = ledger.queued().await.unwrap_err().to_string();
        assert!(error.contains("ferry migrate"), "{error}");
        assert!(!format!("{ledger:?}").contains("postgres://"), "{ledger:?}");
        ledger.migrate().await.unwrap();
        assert_eq!(ledger.queued().await.unwrap(), 0);
    })
    .await;
}
