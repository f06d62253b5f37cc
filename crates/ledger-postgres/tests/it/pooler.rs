//! Behind pgbouncer: where each transaction gets another session, nobody's death is seen.

use std::{
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    str::FromStr,
    time::Duration,
};

use ferry_domain::ports::{Leases, Loss, Planning, Processes, Runs, WorkerRecord};
use ferry_ledger_postgres::{Options, PostgresLedger};
use sqlx::postgres::PgConnectOptions;

use crate::world::{Database, LEASE, in_database, keys, lease_all, running, worker};

struct Pooler {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// Starts pgbouncer before the database, or says that the test is skipped.
async fn pooler(database: &Database, mode: &str) -> Option<Pooler> {
    pooler_of(database, mode, 10).await
}

/// The same; `sessions` is the number of connections that it opens to the server.
async fn pooler_of(database: &Database, mode: &str, sessions: u32) -> Option<Pooler> {
    let places = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/opt/homebrew/bin/pgbouncer"];
    let Some(program) = places.iter().map(Path::new).find(|place| place.exists()) else {
        eprintln!("skipped: pgbouncer is not installed");
        return None;
    };
    let options = PgConnectOptions::from_str(&database.url).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = std::env::temp_dir().join(format!("ferry-pooler-{}-{port}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let settings = format!(
        "[databases]\n* = host={} port={} user={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
         unix_socket_dir =\nauth_type = any\npool_mode = {mode}\ndefault_pool_size = {sessions}\n\
         ignore_startup_parameters = extra_float_digits\n",
        options.get_host(),
        options.get_port(),
        options.get_username(),
    );
    let file = folder.join("pgbouncer.ini");
    std::fs::write(&file, settings).unwrap();
    let mut command = Command::new(program);
    command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // It refuses to run as root: nobody will do.
    if Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n") {
        command.uid(65_534).gid(65_534);
    }
    let pooler = Pooler { child: command.spawn().unwrap(), folder, port };
    for _ in 0..500 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Some(pooler);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("pgbouncer does not start");
}

impl Pooler {
    async fn ledger(&self, database: &Database) -> PostgresLedger {
        // This pgbouncer may be one that knows nothing of prepared statements.
        let url = format!("{}?statement-cache-capacity=0", self.url(database));
        PostgresLedger::connect(&url, Options::default()).await.unwrap()
    }

    fn url(&self, database: &Database) -> String {
        let options = PgConnectOptions::from_str(&database.url).unwrap();
        let (user, name) = (options.get_username(), options.get_database().unwrap());
        format!("postgres://{user}@127.0.0.1:{}/{name}", self.port)
    }
}

fn record(number: u128) -> WorkerRecord {
    WorkerRecord { id: worker(number), host: "host".into(), pid: 7, slots: 4, waiting_for: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_transaction_pooler_a_process_is_not_watched_and_says_so() {
    in_database(|database| async move {
        let Some(pooler) = pooler(&database, "transaction").await else { return };
        let direct = database.migrated().await;
        let ledger = pooler.ledger(&database).await;
        let presence = ledger.register(&record(1)).await.unwrap();
        let why = presence.unwatched.expect("nobody can watch it");
        assert!(why.contains("pool_mode = session"), "{why}");
        assert_eq!(database.ask("SELECT watched FROM ferry.workers").await, "false");
        let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' \
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        assert_eq!(database.ask(locks).await, "0", "no lock is left on the pooler's sessions");

        running(&direct, 1, None, &[keys(1..=1)]).await;
        lease_all(&direct, worker(1), Duration::from_secs(1)).await;
        drop(presence.lost);
        assert!(direct.rescue(worker(2), false).await.unwrap().is_empty(), "its death can't be seen");
        database
            .execute("UPDATE ferry.jobs SET expires_at = expires_at - interval '2 s' WHERE state = 'leased'")
            .await;
        let rescued = direct.rescue(worker(2), true).await.unwrap();
        assert_eq!(rescued.iter().map(|one| one.because).collect::<Vec<_>>(), [Loss::Expired]);
        ledger.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_loses_prepared_statements_is_named_with_what_to_connect_to_instead() {
    in_database(|database| async move {
        let Some(pooler) = pooler_of(&database, "transaction", 1).await else { return };
        database.migrated().await.close().await;
        let url = pooler.url(&database);
        let mut said = None;
        // Each client begins to count its statements anew, on the one session of all.
        for _client in 0..3 {
            match PostgresLedger::connect(&url, Options::default()).await {
                Ok(ledger) => said = said.or(ledger.runs(1).await.err().map(|error| error.to_string())),
                Err(error) => said = said.or(Some(error.to_string())),
            }
        }
        let said = said.expect("two clients call different statements by one name");
        assert!(said.contains("a pooler") && said.contains("pool_mode = session"), "{said}");
        assert!(!said.contains("migrate") && !said.contains("max_prepared"), "{said}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_session_pooler_a_process_is_watched_as_ever() {
    in_database(|database| async move {
        let Some(pooler) = pooler(&database, "session").await else { return };
        let direct = database.ledger().await;
        direct.migrate().await.unwrap();
        let ledger = pooler.ledger(&database).await;
        let presence = ledger.register(&record(1)).await.unwrap();
        assert_eq!(presence.unwatched, None);
        running(&direct, 1, None, &[keys(1..=1)]).await;
        lease_all(&direct, worker(1), LEASE).await;
        assert!(direct.rescue(worker(2), false).await.unwrap().is_empty());
        database.end_presence(worker(1)).await;
        presence.lost.await;
        assert_eq!(direct.rescue(worker(2), false).await.unwrap().len(), 1);
        ledger.close().await;
    })
    .await;
}
