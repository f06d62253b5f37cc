//! A PostgreSQL database for one test.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::{runtime, time::timeout};

/// A server that a test has hurt must not keep its end waiting.
const GOODBYE: Duration = Duration::from_secs(20);

/// An empty database; dropped with this value, whoever is connected to it.
#[derive(Debug)]
pub struct Database {
    /// Where it is.
    pub url: String,
    /// What it is called: also a name that no other test uses in Redis.
    pub name: String,
    server: String,
}

impl Database {
    /// On the server that `tests/run` provides; `None`, said on stderr, without one.
    pub async fn new() -> Option<Database> {
        let Some(server) = std::env::var("TEST_DATABASE_URL").ok().filter(|url| !url.is_empty()) else {
            eprintln!("skipped: TEST_DATABASE_URL is not set; tests/run sets it");
            return None;
        };
        Some(Self::on(&server).await)
    }

    /// On this server, named by the URL of any of its databases.
    pub async fn on(server: &str) -> Database {
        // The standard library's own chance, so that no two runs share a name.
        let chance = RandomState::new().hash_one(std::process::id());
        let name = format!("ferry_t_{chance:016x}");
        run(server, &format!("CREATE DATABASE {name}")).await.unwrap();
        let (place, options) = server.split_once('?').map_or((server, None), |(p, o)| (p, Some(o)));
        let (host, _) = place.rsplit_once('/').unwrap();
        let options = options.map_or(String::new(), |options| format!("?{options}"));
        Database { url: format!("{host}/{name}{options}"), name, server: server.to_owned() }
    }

    /// A connection to it.
    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }

    /// Runs statements.
    pub async fn execute(&self, sql: &str) {
        run(&self.url, sql).await.unwrap();
    }
}

/// In a thread, as `drop` cannot wait inside the test's own runtime.
impl Drop for Database {
    fn drop(&mut self) {
        let (server, sql) = (self.server.clone(), format!("DROP DATABASE {} WITH (FORCE)", self.name));
        let dropping = std::thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime
                .block_on(async { timeout(GOODBYE, run(&server, &sql)).await.is_ok_and(|ran| ran.is_ok()) })
        });
        if !dropping.join().unwrap_or(false) {
            eprintln!("the database {} was left behind", self.name);
        }
    }
}

async fn run(url: &str, sql: &str) -> sqlx::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await?;
    connection.close().await
}
